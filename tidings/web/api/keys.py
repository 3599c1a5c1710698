"""The operations on keys. A key's text is shown once, when it is made; only its hash is stored."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.access import EVERYTHING, SCOPES, TENANT_RULE, CallLimit, Key, Permit, is_tenant
from tidings.model.errors import Conflict, Invalid, NotFound, Place
from tidings.model.ids import new_id
from tidings.rules.items import permit
from tidings.rules.limit import check_limits
from tidings.rules.network.origin import origins
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db
from tidings.web.callers.access import digest
from tidings.web.habits.once import once
from tidings.web.habits.paging import PAGING, SortKey, sorted_page
from tidings.web.openapi.bounds import NAME_CHARS_MAX
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Keys"
OPERATOR = "key_operator"
"""The key that settings give, and that cannot be revoked here."""


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make: with scopes, or permits in single collections, or both.

    `limits`: at most `calls` in each window of `seconds`. `cors_origins`: pages that may use it in a browser, beside
    those that the server allows.
    """

    scopes: tuple[str, ...] = ()
    permits: tuple[Permit, ...] = ()
    name: str = ""
    tenant: str | None = None
    limits: tuple[CallLimit, ...] = ()
    expires: str | None = None
    cors_origins: tuple[str, ...] = ()


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: str
    name: str
    scopes: tuple[str, ...]
    permits: tuple[Permit, ...]
    tenant: str | None
    limits: tuple[CallLimit, ...]
    expires: str | None
    created: str
    revoked: str | None
    cors_origins: tuple[str, ...]


class CreatedKey(KeyView, frozen=True, kw_only=True):
    """A key that was made now. `key` is its text, which is shown this once."""

    key: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of keys, newest first."""

    data: list[KeyView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


SORTS: dict[str, SortKey] = {
    "created": lambda key: key.created,
    "name": lambda key: key.name,
    "id": lambda key: key.id,
}


async def list_keys(parts: Parts, request: Request) -> Answer:
    """Keys, newest first by default, revoked ones included."""
    tenant = request.query.get("tenant")
    if request.key.tenant is not None and tenant not in (None, request.key.tenant):
        raise NotFound(f"There is no tenant {tenant}.")
    tenant = request.key.tenant or tenant
    keys = [key for key in parts.catalog.now.keys.values() if tenant in (None, key.tenant)]
    shown, answer = sorted_page(request, keys, SORTS, lambda key: key.id)
    return answer([_view(key) for key in shown])


async def create_key(parts: Parts, request: Request) -> Answer:
    """Make a key. It can do no more than the key it is made with."""
    new: NewKey = request.body
    now = parts.clock.now()
    expires = _check(parts, new, request.key, now)
    text = "tdk_" + secrets.token_urlsafe(32)
    key = Key(
        id=new_id("key", now),
        hash=digest(text),
        name=new.name,
        scopes=tuple(dict.fromkeys(new.scopes)),
        tenant=request.key.tenant or new.tenant,
        limits=new.limits,
        expires=expires,
        created=now,
        permits=tuple(permit.narrowed(each, request.key) for each in new.permits),
        cors_origins=origins(new.cors_origins),
    )

    def job(db: Db) -> Answer:
        parts.catalog.put_key(db, key)
        return Answer(201, CreatedKey(**_fields(key), key=text), [("location", f"/v1/keys/{key.id}")])

    return await once(parts, request, job)


async def get_key(parts: Parts, request: Request) -> Answer:
    """Read one key."""
    return Answer(200, _view(_found(parts, request)))


async def delete_key(parts: Parts, request: Request) -> Answer:
    """Revoke a key, from the next request on."""
    key = _found(parts, request)
    if key.id == OPERATOR:
        raise Conflict("The operator's key is changed with TIDINGS_OPERATOR_KEY, so that nobody is locked out.")
    now = parts.clock.now()

    def job(db: Db) -> Answer:
        row = db.one("key_of", id=key.id)
        if row is not None and row[1] is None:
            parts.catalog.put_key(db, msgspec.structs.replace(key, revoked=now))
        return Answer(204)

    answer: Answer = await parts.writer.call(job)
    return answer


def _check(parts: Parts, new: NewKey, maker: Key, now: moment.Micros) -> moment.Micros | None:
    """When the key ends. Raises Invalid with every wrong place."""
    wrong: list[Place] = []
    if not new.scopes and not new.permits:
        _say(
            wrong,
            "/scopes",
            "no_permission",
            f"Name at least one scope or permit. The scopes are: {', '.join(SCOPES)}.",
        )
    if len(new.scopes) > len(SCOPES):
        _say(wrong, "/scopes", "too_many", "Name each scope once; there are not so many.")
    for index, scope in enumerate(new.scopes[: len(SCOPES)]):
        if scope not in SCOPES:
            known = ", ".join(SCOPES)
            _say(wrong, f"/scopes/{index}", "scope", f"There is no scope {scope[:50]!r}. The scopes are: {known}.")
        elif not maker.has_scope(scope):
            _say(wrong, f"/scopes/{index}", "scope", f"Your key has not the scope {scope}, so it cannot give it.")
    if len(new.name) > NAME_CHARS_MAX:
        _say(wrong, "/name", "too_long", f"A name has at most {NAME_CHARS_MAX} characters.")
    if new.tenant is not None:
        if maker.tenant is not None and new.tenant != maker.tenant:
            _say(wrong, "/tenant", "tenant", "This key makes only keys of its own tenant; leave the field out.")
        elif not is_tenant(new.tenant):
            _say(wrong, "/tenant", "tenant", TENANT_RULE)
    collections, tenant = parts.catalog.now.collections, maker.tenant or new.tenant
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
        raise Invalid("The key is not accepted.", errors=wrong)
    return expires


def _check_expires(new: NewKey, maker: Key, now: moment.Micros, wrong: list[Place]) -> moment.Micros | None:
    expires = maker.expires
    if new.expires is not None:
        try:
            expires = moment.from_text(new.expires)
        except ValueError:
            _say(wrong, "/expires", "time", "expires is an RFC 3339 time such as 2027-01-01T00:00:00Z.")
            return None
        if expires <= now:
            _say(wrong, "/expires", "past", "expires is in the past.")
        elif maker.expires is not None and expires > maker.expires:
            _say(wrong, "/expires", "time", "Your own key ends before that, so it cannot make one that lasts longer.")
    return expires


def _found(parts: Parts, request: Request) -> Key:
    key = parts.catalog.now.keys.get(request.path["id"])
    if key is None or request.key.tenant not in (None, key.tenant):
        raise NotFound(f"There is no key {request.path['id'][:64]}.")
    return key


def _view(key: Key) -> KeyView:
    return KeyView(**_fields(key))


def _fields(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "permits": key.permits,
        "tenant": key.tenant,
        "limits": key.limits,
        "expires": None if key.expires is None else moment.to_text(key.expires),
        "created": moment.to_text(key.created),
        "cors_origins": key.cors_origins,
        "revoked": None if key.revoked is None else moment.to_text(key.revoked),
    }


def _say(wrong: list[Place], pointer: str, code: str, detail: str) -> None:
    wrong.append(Place(pointer=pointer, code=code, detail=detail))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_keys",
        method="GET",
        path="/v1/keys",
        scope="keys:read",
        summary="List keys",
        handler=list_keys,
        tag=TAG,
        response=KeyList,
        sorts=("-created", "created", "-name", "name", "-id", "id"),
        sorts_max=3,
        parameters=(
            Parameter(name="tenant", schema={"type": "string", "maxLength": 64}, help="Only this tenant's keys."),
            *PAGING,
        ),
    ),
    Operation(
        name="create_key",
        method="POST",
        path="/v1/keys",
        scope="keys:write",
        summary="Make a key",
        help=(
            "The answer shows the key's text this once. A key can give only scopes that it has itself. "
            f"The scopes: {', '.join(SCOPES)}; `{EVERYTHING}` is all of them."
        ),
        handler=create_key,
        tag=TAG,
        request=NewKey,
        response=CreatedKey,
        status=201,
        idempotent_key=True,
        secret=True,
        example={"name": "shop", "scopes": ["events:write"], "limits": [{"calls": 100, "seconds": 1}]},
    ),
    Operation(
        name="get_key",
        method="GET",
        path="/v1/keys/{id}",
        scope="keys:read",
        summary="Read a key",
        handler=get_key,
        tag=TAG,
        response=KeyView,
    ),
    Operation(
        name="delete_key",
        method="DELETE",
        path="/v1/keys/{id}",
        scope="keys:write",
        summary="Revoke a key",
        help="It is refused from the next request on. Its entry stays, with the time.",
        handler=delete_key,
        tag=TAG,
        status=204,
    ),
)
