"""The errors that a request may raise, with the code and the status of each class.

    TidingsError
      Malformed      malformed        400   the request cannot be read (JSON, headers, parameters)
      Unauthorized   unauthorized     401   the key is missing, unknown, expired or revoked
      Forbidden      forbidden        403   the key lacks the scope
      NotFound       not_found        404   the resource does not exist, or belongs to someone else
      NotAllowed     method_not_allowed 405 the path exists, but does not support this method
      TooSlow        request_timeout  408   the body did not arrive in time
      Conflict       conflict         409   the resource is in a state that does not permit this
      Gone           gone             410   the cursor is older than the oldest event that is kept
      Stale          stale            412   If-Match names another revision
      TooLarge       too_large        413   the body is over the limit
      BadMedia       unsupported_media 415  the body has a media type that the server does not support
      Invalid        invalid          422   the request can be read, but a value is wrong: `errors` lists each one
      LimitReached   limit_reached    429   the key's call limit is used up
      Unavailable    unavailable      503   the store cannot accept the request now; try again

Some errors have a more precise code than their class: those are in `model/codes.py`.

Delivery attempts never raise: they return an outcome (model/outcome.py).
"""

from __future__ import annotations

from typing import Self

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem, with its JSON pointer into the body, or its parameter or header; in a file also with its line."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    """The line number in a file, counted from 1."""


class TidingsError(Exception):
    """The base of all our errors. `detail` is a message for people."""

    code = "internal"
    status = 500
    title = "Something went wrong on the server"

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
        """Refuse one parameter or header; `code` is the code of its entry in `errors`."""
        return cls(detail, errors=[Place(parameter=name, code=code, detail=detail)])

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> Self:
        """Refuse one value in the body, named by a JSON pointer."""
        return cls(detail, errors=[Place(pointer=pointer, code=code, detail=detail)])


class Malformed(TidingsError):
    """The request cannot be read."""

    code, status, title = "malformed", 400, "The request cannot be read"


NO_KEY = "Send a key: Authorization: Bearer tdk_..."
"""The message for a caller that sends no key."""


class Unauthorized(TidingsError):
    """The key is missing, unknown, expired or revoked."""

    code, status, title = "unauthorized", 401, "A valid key is needed"


class Forbidden(TidingsError):
    """The key is known, but lacks the scope that this operation needs."""

    code, status, title = "forbidden", 403, "This key may not do that"


class ForeignOrigin(Forbidden):
    """A form was submitted from a page whose origin the form does not list. No key is involved."""

    title = "This page may not submit the form"


class NotFound(TidingsError):
    """The resource does not exist, or belongs to someone else."""

    code, status, title = "not_found", 404, "Not found"


class NotAllowed(TidingsError):
    """The path exists, but does not support this method."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class TooSlow(TidingsError):
    """The body did not arrive within the time limit."""

    code, status, title = "request_timeout", 408, "The request took too long to arrive"


class Conflict(TidingsError):
    """The resource is in a state that does not permit this."""

    code, status, title = "conflict", 409, "Conflicts with the current state"


class Gone(TidingsError):
    """The cursor is older than the oldest event that is kept."""

    code, status, title = "gone", 410, "No longer available"


class Stale(TidingsError):
    """If-Match names a revision that is not the current one."""

    code, status, title = "stale", 412, "The resource was changed in the meantime"

    @classmethod
    def at_revision(cls, revision: int) -> Stale:
        """Refuse a change to a resource that is now at another revision."""
        return cls(f"The resource is now at revision {revision}. Read it again, then repeat the change.")


class TooLarge(TidingsError):
    """The body is larger than the limit."""

    code, status, title = "too_large", 413, "The body is too large"


class BadMedia(TidingsError):
    """The body has a content type or encoding that the server does not support."""

    code, status, title = "unsupported_media", 415, "This media type is not supported"


class Invalid(TidingsError):
    """The request can be read, but a value is wrong. `errors` lists each wrong value."""

    code, status, title = "invalid", 422, "A value is wrong"


class LimitReached(TidingsError):
    """The key's call limit for this time window is used up."""

    code, status, title = "limit_reached", 429, "Too many calls"


class Unavailable(TidingsError):
    """The store cannot accept the request now, and may or may not have stored it. You can send it again unchanged."""

    code, status, title = "unavailable", 503, "Not possible right now"


class Elsewhere(Unavailable):
    """At the moment, only the node that routes and sends can do this. Nothing was done here."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after_seconds=1.0)
