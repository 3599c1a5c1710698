"""Keys: make them, look them up, revoke them. A key can grant no more than it has itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec

from tidings.model import moment
from tidings.model.access import EVERYTHING, SCOPES, TENANT_RULE, Caller, CallLimit, Key, Permit, is_tenant, key_hash
from tidings.model.errors import Conflict, Forbidden, Invalid, NotFound, Place
from tidings.model.ids import new_id
from tidings.model.moment import Clock, Micros
from tidings.rules.items import permit
from tidings.rules.items.within import lacking
from tidings.rules.limits.windows import check_limits
from tidings.rules.network.origin import origins
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog

NAME_CHARS_MAX = 200
OPERATOR = "key_operator"
"""The id of the key from the settings, which cannot be revoked here."""
READ, WRITE = "keys:read", "keys:write"


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to create, with scopes, permits for single collections, or both. `limits`: at most `calls` in each window
    of `seconds`. `cors_origins`: origins whose pages may use it in a browser, in addition to those that the server
    allows.
    """

    scopes: tuple[str, ...] = ()
    permits: tuple[Permit, ...] = ()
    name: str = ""
    tenant: str | None = None
    limits: tuple[CallLimit, ...] = ()
    expires: str | None = None
    cors_origins: tuple[str, ...] = ()


class MadeKey(msgspec.Struct, frozen=True):
    """A new key with its text, which is shown only here and not stored."""

    key: Key
    text: str


class Keys:
    """Makes and revokes keys, on behalf of callers."""

    def __init__(self, catalog: Catalog, clock: Clock, token: Callable[[], str] = lambda: secrets.token_urlsafe(32)):
        self._catalog, self._clock, self._token = catalog, clock, token

    def visible(self, caller: Caller, tenant: str | None = None) -> list[Key]:
        """The keys that the caller may see, including revoked ones. `tenant`: only that tenant's. Raises NotFound."""
        caller.need(READ)
        wanted = caller.narrowed(tenant)
        return [key for key in self._catalog.now.keys.values() if wanted in (None, key.tenant)]

    def find(self, caller: Caller, ident: str) -> Key:
        """One key. Raises NotFound, also if it belongs to another tenant."""
        caller.need(READ)
        return self._find(caller, ident)

    async def create(self, caller: Caller, new: NewKey, run: Run[MadeKey, R]) -> R:
        """Make a key. Raises Invalid with every wrong place."""
        caller.need(WRITE)
        now, maker = self._clock.now(), caller.key
        expires = self._check(new, maker, now)
        text = "tdk_" + self._token()
        key = Key(
            id=new_id("key", now),
            hash=key_hash(text),
            name=new.name,
            scopes=tuple(dict.fromkeys(new.scopes)),
            tenant=maker.tenant or new.tenant,
            limits=new.limits,
            expires=expires,
            created=now,
            permits=tuple(permit.narrowed(each, maker) for each in new.permits),
            cors_origins=origins(new.cors_origins),
            shared_limits=maker.passed_on,
        )

        def job(db: Db) -> MadeKey:
            self._catalog.put_key(db, key)
            return MadeKey(key, text)

        return await run(job)

    async def revoke(self, caller: Caller, ident: str, run: Run[None, R]) -> R:
        """Refuse a key from now on.

        Raises NotFound, Forbidden unless the caller's key is this one or contains it, or Conflict for the operator's.
        """
        caller.need(WRITE)
        key = self._find(caller, ident)
        more = None if key.id == caller.key.id else lacking(caller.key, key, self._catalog.now.collections)
        if more is not None:
            raise Forbidden(
                f"A key can revoke only itself and keys that it could have created. {key.id} {more}, but your key does "
                "not.",
                code="key_beyond",
            )
        if key.id == OPERATOR:
            raise Conflict(
                "The operator's key cannot be revoked, so that the operator is never locked out. Change it with "
                "TIDINGS_OPERATOR_KEY."
            )
        now = self._clock.now()

        def job(db: Db) -> None:
            row = db.one("key_of", id=key.id)
            if row is not None and row[1] is None:
                self._catalog.put_key(db, msgspec.structs.replace(key, revoked=now))

        return await run(job)

    def _find(self, caller: Caller, ident: str) -> Key:
        key = self._catalog.now.keys.get(ident)
        if key is None or not caller.sees(key.tenant):
            raise NotFound(f"There is no key {ident[:64]}.")
        return key

    def _check(self, new: NewKey, maker: Key, now: Micros) -> Micros | None:
        """When the key expires. Raises Invalid with every wrong place."""
        wrong: list[Place] = []
        if not new.scopes and not new.permits:
            _say(
                wrong,
                "/scopes",
                "no_permission",
                f"Give at least one scope or permit. The scopes are: {', '.join(SCOPES)}.",
            )
        if len(new.scopes) > len(SCOPES):
            _say(wrong, "/scopes", "too_many", "List each scope only once.")
        for index, scope in enumerate(new.scopes[: len(SCOPES)]):
            if scope not in SCOPES:
                known = ", ".join(SCOPES)
                _say(wrong, f"/scopes/{index}", "scope", f"There is no scope {scope[:50]!r}. The scopes are: {known}.")
            elif not maker.has_scope(scope):
                _say(
                    wrong,
                    f"/scopes/{index}",
                    "scope",
                    f"Your key does not have the scope {scope}, so it cannot grant that scope.",
                )
        if len(new.name) > NAME_CHARS_MAX:
            _say(wrong, "/name", "too_long", f"A name may have at most {NAME_CHARS_MAX} characters.")
        if new.tenant is not None:
            if maker.tenant is not None and new.tenant != maker.tenant:
                _say(
                    wrong, "/tenant", "tenant", "This key can create keys only for its own tenant. Leave `tenant` out."
                )
            elif not is_tenant(new.tenant):
                _say(wrong, "/tenant", "tenant", TENANT_RULE)
        collections, tenant = self._catalog.now.collections, maker.tenant or new.tenant
        wrong += [
            msgspec.structs.replace(place, pointer=f"/permits{place.pointer}")
            for place in permit.check_permits(new.permits, maker, tenant, collections)
        ]
        try:
            check_limits(new.limits, "/limits")
        except Refused as refused:
            wrong.append(refused.place)
        try:
            origins(new.cors_origins, "/cors_origins")
        except Refused as refused:
            wrong.append(refused.place)
        expires = _check_expires(new, maker, now, wrong)
        if wrong:
            raise Invalid("The key is not valid.", errors=wrong)
        return expires


def ensure_operator(
    given: str, catalog: Catalog, clock: Clock, run: Callable[[Callable[[Db], bool]], bool]
) -> str | None:
    """Store the operator's key, if one is given; if none is given and none exists, make one and return it.

    `run` runs a write job.
    """
    text = given or "tdk_" + secrets.token_urlsafe(32)
    key = Key(id=OPERATOR, hash=key_hash(text), name="operator", scopes=(EVERYTHING,), created=clock.now())

    def is_there() -> bool:
        there = catalog.now.keys.get(OPERATOR)
        return there is not None and (not given or there.hash == key.hash)

    def put(db: Db) -> bool:
        # Another node that starts at the same time may have made one; this job then runs again.
        if is_there():
            return False
        catalog.put_key(db, key)
        return True

    return text if not is_there() and run(put) and not given else None


def _check_expires(new: NewKey, maker: Key, now: Micros, wrong: list[Place]) -> Micros | None:
    expires = maker.expires
    if new.expires is not None:
        try:
            expires = moment.from_text(new.expires)
        except ValueError:
            _say(wrong, "/expires", "time", "expires must be an RFC 3339 time such as 2027-01-01T00:00:00Z.")
            return None
        if expires <= now:
            _say(wrong, "/expires", "past", "expires is in the past.")
        elif maker.expires is not None and expires > maker.expires:
            _say(
                wrong,
                "/expires",
                "time",
                "Your own key expires earlier, and cannot create a key that outlives it.",
            )
    return expires


def _say(wrong: list[Place], pointer: str, code: str, detail: str) -> None:
    wrong.append(Place(pointer=pointer, code=code, detail=detail))
