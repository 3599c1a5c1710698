"""Who may do what: keys with scopes, permits and call limits, callers, and tenants."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import msgspec

from tidings.model.errors import Forbidden, NotFound
from tidings.model.link import AnyLink
from tidings.model.moment import Micros

EVERYTHING = "*"
LINKS_READ = "links:read"

TENANT_RULE = "A tenant's id has 1 to 64 characters: letters, digits, _ and -."
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")

SCOPES: tuple[str, ...] = (
    "events:write",
    "events:read",
    "event-types:read",
    "event-types:write",
    "endpoints:read",
    "endpoints:write",
    "links:read",
    "links:write",
    "deliveries:read",
    "deliveries:write",
    "replays:read",
    "replays:write",
    "collections:read",
    "collections:write",
    "items:read",
    "items:write",
    "tenants:read",
    "tenants:write",
    "keys:read",
    "keys:write",
    "hooks:read",
    "hooks:write",
    "forms:read",
    "forms:write",
    "metrics:read",
    "acts:read",
    EVERYTHING,
)


class CallLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `calls` in each window of `seconds`, windows counted from the epoch."""

    calls: int
    seconds: int


Verb = Literal["list", "get", "create", "edit", "put", "delete"]
"""What may be done with items. `put` creates or replaces the item with the id that the caller gives."""
VERBS: tuple[Verb, ...] = ("list", "get", "create", "edit", "put", "delete")
READING: tuple[Verb, ...] = ("list", "get")


class Permit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a key may do in one collection, unless a scope lets it do everything. Null means no limit of this kind."""

    collection: str
    verbs: tuple[Verb, ...] = ()
    read: tuple[str, ...] | None = None
    """The fields that responses show."""
    write: tuple[str, ...] | None = None
    """The fields that the key may set."""
    filter: tuple[str, ...] | None = None
    """The fields by which the key may filter lists; `q` permits searching."""
    sort: tuple[str, ...] | None = None
    rows: dict[str, Any] | None = None
    """Items that do not match this pattern do not exist for this key.

    `$tenant` and `$key` are the caller's own. None means {"tenant": "$tenant"} for keys with a tenant, otherwise every
    item.
    """
    questions: tuple[str, ...] = ()
    """The names of the collection's questions that the key may ask."""


class SharedLimit(CallLimit, frozen=True, kw_only=True):
    """A limit of another key, in whose window the calls of this one count too. `key`: its id."""

    key: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A credential. Its text is never kept, only the SHA-256 of it."""

    id: str
    hash: str
    name: str
    scopes: tuple[str, ...]
    tenant: str | None = None
    limits: tuple[CallLimit, ...] = ()
    expires: Micros | None = None
    created: Micros = 0
    revoked: Micros | None = None
    permits: tuple[Permit, ...] = ()
    cors_origins: tuple[str, ...] = ()
    """The origins, in addition to the server's own, whose pages may read responses to this key in a browser."""
    shared_limits: tuple[SharedLimit, ...] = ()
    """The limits of the key that created this one, of the key that created that one, and so on. This key's calls also
    count towards those limits."""

    @property
    def passed_on(self) -> tuple[SharedLimit, ...]:
        """The limits that apply to the keys it makes, all of them together."""
        own = tuple(SharedLimit(calls=each.calls, seconds=each.seconds, key=self.id) for each in self.limits)
        return (*self.shared_limits, *own)

    def has_scope(self, scope: str) -> bool:
        """Whether this key has the scope."""
        return scope in self.scopes or EVERYTHING in self.scopes

    def need(self, scope: str) -> None:
        """Raise Forbidden if this key lacks the scope."""
        if not self.has_scope(scope):
            has = ", ".join(self.scopes) or "no scopes"
            raise Forbidden(f"This needs the scope {scope}. The key has: {has}.", code="scope_missing")


def key_hash(text: str) -> str:
    """What is stored instead of a key's text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request, through the API or on a page. Functions that decide for callers take one and check it."""

    key: Key
    request_id: str | None = None
    """The id of the request, as in the log and in events."""

    @property
    def tenant(self) -> str | None:
        """The only tenant whose things it may see and change; None for every tenant's."""
        return self.key.tenant

    @property
    def is_operator(self) -> bool:
        """Whether it may do everything, for every tenant."""
        return self.tenant is None and self.key.has_scope(EVERYTHING)

    def need(self, scope: str, whole: str = "") -> None:
        """Raise Forbidden if its key lacks the scope.

        `whole`: the kind of thing, if it belongs to the whole server, so that no tenant's key may change it.
        """
        self.key.need(scope)
        if whole and self.tenant is not None:
            verb = "see" if scope.endswith(":read") else "change"
            raise Forbidden(f"{whole} belong to the whole server, so a tenant's key cannot {verb} them.")

    def sees(self, tenant: str | None) -> bool:
        """Whether a thing of this tenant exists for the caller."""
        return self.tenant is None or self.tenant == tenant

    def sees_link(self, link: AnyLink) -> bool:
        """Whether an endpoint, or an operator's link (which has a name), exists for the caller, with all that it does.

        What operators let their links do for a tenant is theirs: a tenant's key sees it only with the scope links:read.
        """
        is_open = not link.name or self.tenant is None or self.key.has_scope(LINKS_READ)
        return is_open and self.sees(link.tenant)

    def narrowed(self, tenant: str | None) -> str | None:
        """The tenant whose things a list shows if `tenant` is requested; None for every tenant. Raises NotFound."""
        if self.tenant is not None and tenant not in (None, self.tenant):
            raise NotFound(f"There is no tenant {tenant}.")
        return self.tenant or tenant


def is_tenant(text: str) -> bool:
    """Whether the text is a valid tenant id: one rule for events, endpoints, keys and tenants."""
    return _TENANT.fullmatch(text) is not None


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the operator's customers."""

    id: str
    name: str = ""
    revision: int = 1
    created: Micros = 0
    updated: Micros = 0
    notes: str | None = None
    """The data that the door for another system's callers keeps with the tenant, as JSON."""
