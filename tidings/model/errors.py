"""The errors that a request may raise. One table: class, code, status.

    TidingsError
      Malformed      malformed        400   the request cannot be read (JSON, headers, parameters)
      Unauthorized   unauthorized     401   no key, or a key we do not know
      Forbidden      forbidden        403   the key lacks the scope
      NotFound       not_found        404   no such thing, or it is somebody else's
      NotAllowed     method_not_allowed 405 the path exists, the method does not
      TooSlow        request_timeout  408   the body did not arrive in time
      Conflict       conflict         409   the thing is in a state that does not permit this
      Gone           gone             410   the cursor is older than what is kept
      Stale          stale            412   If-Match names another revision
      TooLarge       too_large        413   the body is over the limit
      BadMedia       unsupported_media 415  the body has a media type that is not read here
      Invalid        invalid          422   it can be read, but a value is wrong: `errors` say which
      LimitReached   limit_reached    429   the key's call limit is used up
      Unavailable    unavailable      503   the store cannot take it now; try again

Some errors have a more precise code than their class: PRECISE is the table of those.

Delivery attempts never raise: they return an outcome (model/outcome.py).
"""

from __future__ import annotations

from typing import Self

import msgspec


class Precise(msgspec.Struct, frozen=True):
    """A code that says more than its class's own: the statuses that it comes with, and when."""

    code: str
    statuses: tuple[int, ...]
    when: str


PRECISE: tuple[Precise, ...] = (
    Precise("body_not_expected", (400,), "The operation takes no body, but one was sent."),
    Precise("key_expired", (401,), "The key has expired."),
    Precise("ticket_not_valid", (401,), "The stream's ticket is too old, not from this server, or its key is revoked."),
    Precise("scope_missing", (403,), "The key lacks the scope of the operation."),
    Precise("verb_not_permitted", (403,), "The key's permit does not include this verb for the collection."),
    Precise("field_not_permitted", (403,), "The key's permit does not let it write this field."),
    Precise("row_not_permitted", (403,), "The key's permit does not let it write this item, by its row rule."),
    Precise("unique_taken", (409,), "Another item has this value in a unique field."),
    Precise("id_taken", (409,), "Another item has this id."),
    Precise("ambiguous_id", (409,), "Several tenants have an item with this id: add `tenant`."),
    Precise("referenced", (409,), "Other items, or a collection that stays, refer to what would be deleted."),
    Precise("too_many_endpoints", (409,), "The tenant already has the maximum number of endpoints."),
    Precise("too_many_hooks", (409,), "The tenant already has the maximum number of hooks."),
    Precise("path_taken", (409,), "Another hook has this path."),
    Precise("brought_by_collection", (409,), "The event type belongs to a collection; change its declaration."),
    Precise("plan_changed", (409,), "The collections have changed since the plan was made: plan again."),
    Precise("would_lose", (409,), "Applying the declaration would lose values; `drop_values` permits it."),
    Precise("cannot_convert", (409,), "A field cannot change from its current type to the declared one."),
    Precise("event_type_taken", (409,), "The catalogue already has an event type of the collection."),
    Precise("name_taken", (409,), "A collection or field would be renamed to a name in use."),
    Precise("too_many", (409,), "There would be too many collections."),
    Precise("too_many_columns", (409,), "The collection would have more columns than the database supports."),
    Precise("items_fits", (409,), "Items have values that the declared field does not accept."),
    Precise("items_required", (409,), "Items lack a value in a field that is declared required."),
    Precise("items_unique", (409,), "Items share a value in a field that is declared unique."),
    Precise("items_exists", (409,), "Items refer to items that do not exist."),
    Precise(
        "too_heavy",
        (413,),
        "The items that it reads and writes are more than one transaction may hold: send fewer at a time.",
    ),
    Precise("wrong_value", (422,), "The `Idempotency-Key` is not 1 to 255 visible ASCII characters."),
    Precise("idempotency_key_reused", (422,), "The `Idempotency-Key` was used for another request."),
    Precise("import_refused", (422,), "Lines of the file were refused, so nothing was stored."),
    Precise("address_limit_reached", (429,), "The address has used up its calls for the time window."),
    Precise("too_many_open", (429, 503), "Too many streams, long polls, imports and exports are open."),
)
"""Every code that a response may have besides the class's own."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wrong place: a JSON pointer into the body, or the name of a parameter or header; in a file also the line."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    """The line in a file, counted from 1."""


class TidingsError(Exception):
    """The base of all our errors. `detail` is a sentence for people."""

    code = "internal"
    status = 500
    title = "Something went wrong on our side"

    def __init__(
        self,
        detail: str,
        *,
        errors: list[Place] | None = None,
        code: str | None = None,
        retry_after_seconds: float | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.retry_after_seconds = retry_after_seconds
        self.headers = headers or []
        if code:
            self.code = code

    @classmethod
    def of_parameter(cls, name: str, code: str, detail: str) -> Self:
        """Refuse one parameter or header; `code` is that of the place."""
        return cls(detail, errors=[Place(parameter=name, code=code, detail=detail)])

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> Self:
        """Refuse one value in the body, named by a JSON pointer."""
        return cls(detail, errors=[Place(pointer=pointer, code=code, detail=detail)])


class Malformed(TidingsError):
    """The request cannot be read."""

    code, status, title = "malformed", 400, "The request cannot be read"


class Unauthorized(TidingsError):
    """There is no key, or it is unknown, expired or revoked."""

    code, status, title = "unauthorized", 401, "A valid key is needed"


class Forbidden(TidingsError):
    """The key is known, but lacks the scope that this operation needs."""

    code, status, title = "forbidden", 403, "This key may not do that"


class NotFound(TidingsError):
    """There is no such thing, or it belongs to someone else."""

    code, status, title = "not_found", 404, "Not found"


class NotAllowed(TidingsError):
    """The path exists, but not with this method."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class TooSlow(TidingsError):
    """The body did not arrive within the time limit."""

    code, status, title = "request_timeout", 408, "The request took too long to arrive"


class Conflict(TidingsError):
    """The thing is in a state that does not permit this."""

    code, status, title = "conflict", 409, "Conflicts with the current state"


class Gone(TidingsError):
    """The cursor points before the oldest event that is kept."""

    code, status, title = "gone", 410, "No longer available"


class Stale(TidingsError):
    """If-Match names a revision that is not the present one."""

    code, status, title = "stale", 412, "It was changed in the meantime"

    @classmethod
    def at_revision(cls, revision: int) -> Stale:
        """Refuse a change of something that is now at another revision."""
        return cls(f"It is now at revision {revision}. Read it again, then repeat the change.")


class TooLarge(TidingsError):
    """The body is larger than the limit."""

    code, status, title = "too_large", 413, "The body is too large"


class BadMedia(TidingsError):
    """The body has a content type or encoding that we do not support."""

    code, status, title = "unsupported_media", 415, "This media type is not supported"


class Invalid(TidingsError):
    """The request can be read, but a value is wrong. `errors` say which."""

    code, status, title = "invalid", 422, "A value is wrong"


class LimitReached(TidingsError):
    """The key's call limit for this time window is used up."""

    code, status, title = "limit_reached", 429, "Too many calls"


class Unavailable(TidingsError):
    """The store cannot take it now. Nothing was stored, or that is unknown; the same request may be sent again."""

    code, status, title = "unavailable", 503, "Not possible right now"
