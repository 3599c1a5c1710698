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

Delivery attempts never raise: they return an outcome (model/outcome.py).
"""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wrong place: a JSON pointer into the body, or the name of a parameter or header; of a file also the line."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    """Of a file of lines: which one, counted from 1."""


class TidingsError(Exception):
    """What all our errors are. `detail` is a sentence for people."""

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
    """There is no such thing, or it belongs to somebody else."""

    code, status, title = "not_found", 404, "Not found"


class NotAllowed(TidingsError):
    """The path exists, but not with this method."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class TooSlow(TidingsError):
    """The body did not arrive within the time limit."""

    code, status, title = "request_timeout", 408, "The request took too long to arrive"


class Conflict(TidingsError):
    """The thing is in a state that does not permit this."""

    code, status, title = "conflict", 409, "That does not fit the present state"


class Gone(TidingsError):
    """The cursor points before the oldest event that is kept."""

    code, status, title = "gone", 410, "No longer kept"


class Stale(TidingsError):
    """If-Match names a revision that is not the present one."""

    code, status, title = "stale", 412, "Somebody changed it meanwhile"


class TooLarge(TidingsError):
    """The body is larger than the limit."""

    code, status, title = "too_large", 413, "The body is too large"


class BadMedia(TidingsError):
    """The body has a content type, or an encoding, that we do not read."""

    code, status, title = "unsupported_media", 415, "That media type is not read here"


class Invalid(TidingsError):
    """The request can be read, but a value is wrong. `errors` say which."""

    code, status, title = "invalid", 422, "A value is wrong"


class LimitReached(TidingsError):
    """The key's call limit for this time window is used up."""

    code, status, title = "limit_reached", 429, "Too many calls"


class Unavailable(TidingsError):
    """The store cannot take it now. Nothing was stored, or that is unknown; the same request may be sent again."""

    code, status, title = "unavailable", 503, "Not possible right now"
