"""The errors that a call can raise. Their names are those of the server's own errors.

ClientError
  ConnectionFailed   no response: refused, broken off, timed out
  BadAnswer          a response, but not from a Tidings server (a proxy's page, for example)
  ApiError           a response with problem details (RFC 9457); its subclasses are:
    Malformed 400, Unauthorized 401, Forbidden 403, NotFound 404, Conflict 409, Gone 410, Stale 412,
    Invalid 422, LimitReached 429, ServerFault 500 and above, Unavailable 503
    and by their code UniqueTaken, IdTaken and Referenced (kinds of Conflict), ImportRefused (of Invalid)
"""

from __future__ import annotations

import json
from typing import Any

PLACES_MAX = 5
"""The maximum number of places that an error message lists."""


class ClientError(Exception):
    """The base of all errors of the client. `str()` is a sentence for people."""


class ConnectionFailed(ClientError):
    """No complete response arrived. `sent`: the request may have reached the server; otherwise it certainly did not."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


class BadAnswer(ClientError):
    """The response did not come from a Tidings server."""


class ApiError(ClientError):
    """A response with problem details. `code` is for programs, `detail` for people; `errors` lists each wrong place."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after_seconds: float | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail") or problem.get("title") or f"status {status}")
        self.errors: list[dict[str, Any]] = list(problem.get("errors") or [])
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        places: dict[str, list[str]] = {}
        for error in self.errors:
            where = error.get("pointer") or error.get("parameter")
            if "line" in error:
                where = f"line {error['line']}{f' at {where}' if where else ''}"
            places.setdefault(error.get("detail", ""), []).append(where or "the body")
        told = [_told(where, detail) for detail, where in places.items() if self.detail not in detail]
        return " ".join([self.detail, *told])


def _told(places: list[str], detail: str) -> str:
    """A sentence with its places, unless it already begins with the name of its only one."""
    name = places[0].removeprefix("/").replace("/", ".")
    return detail if len(places) == 1 and detail.startswith(f"{name} ") else f"{_some(places)}: {detail}"


def _some(places: list[str]) -> str:
    """The places that one sentence is about; only the first few are named."""
    more = len(places) - PLACES_MAX
    return ", ".join(places[:PLACES_MAX]) + (f" and {more} more" if more > 0 else "")


class Malformed(ApiError):
    """400: the server could not read the request."""


class Unauthorized(ApiError):
    """401: the key is missing, unknown, expired or revoked."""


class Forbidden(ApiError):
    """403: the key lacks the required scope."""


class NotFound(ApiError):
    """404: the object does not exist, or belongs to someone else."""


class Conflict(ApiError):
    """409: the object is in a state that does not permit this."""


class UniqueTaken(Conflict):
    """409 `unique_taken`: another item has this value, in a field whose values are unique."""


class IdTaken(Conflict):
    """409 `id_taken`: there is already an item with this id."""


class Referenced(Conflict):
    """409 `referenced`: other items refer to this item."""


class Gone(ApiError):
    """410: events after the cursor are no longer kept."""


class Stale(ApiError):
    """412: the object was changed in the meantime."""


class Invalid(ApiError):
    """422: a value is wrong."""


class ImportRefused(Invalid):
    """422 `import_refused`: nothing in the file was stored. `errors` lists the first bad lines, each with a `line`."""


class LimitReached(ApiError):
    """429: the key's call limit is used up, even after the client's own retries."""


class ServerFault(ApiError):
    """500 and above: an error on the server's side."""


class Unavailable(ServerFault):
    """503: the request is not possible right now, even after the client's own retries."""


KINDS: dict[int, type[ApiError]] = {
    400: Malformed,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: Stale,
    422: Invalid,
    429: LimitReached,
    503: Unavailable,
}
KINDS_BY_CODE: dict[str, type[ApiError]] = {
    "unique_taken": UniqueTaken,
    "id_taken": IdTaken,
    "referenced": Referenced,
    "import_refused": ImportRefused,
}
OF_PROXIES = {
    413: "it does not accept a body of this size. Remove the proxy's limit; nginx: client_max_body_size 0",
    429: "it limits the rate of calls",
    502: "it cannot reach the server",
    503: "it cannot reach the server, or limits the rate of calls",
    504: "the server did not answer it in time",
}
"""What these statuses mean in a response without a reason: the server always gives one, so a proxy has answered."""


def error_of(status: int, media: str, body: bytes, retry_after_seconds: float | None) -> ClientError:
    """The error for a response with status 400 or above."""
    if media.partition(";")[0].strip().lower() != "application/problem+json":
        if status in OF_PROXIES:
            return BadAnswer(f"A proxy, not the server, answered {status}: {OF_PROXIES[status]}.")
        return BadAnswer(f"The server answered {status} without giving a reason. Is this the URL of a Tidings server?")
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return BadAnswer(f"The server answered {status} with malformed problem details.")
    usual = KINDS.get(status, ServerFault if status >= 500 else ApiError)
    kind = KINDS_BY_CODE.get(str(problem.get("code")), usual)
    return (kind if issubclass(kind, usual) else usual)(status, problem, retry_after_seconds)
