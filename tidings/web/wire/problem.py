"""Problem answers (RFC 9457): the one place where an error becomes a status, headers and a body."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tidings.model.errors import Place, TidingsError

MEDIA = "application/problem+json"
PAGE = "urn:tidings:problem:"
"""The prefix of `type`, before the code: `type` is a name, not an address that somebody must keep alive."""

PLACES_MAX = 1_000
"""The maximum number of errors that are listed."""
CLOSE = ("connection", "close")
"""The header of a response that is sent before the whole body was read."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every response that is not a success."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Place]
    request_id: str


class Internal(TidingsError):
    """Something unexpected happened. The log has it under the request's id; the caller learns nothing else."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"An internal error occurred. The server's log has the details under the request id {request_id}."
        )


def problem(error: TidingsError, request_id: str) -> Problem:
    """The body for an error."""
    return Problem(
        type=PAGE + error.code,
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        errors=error.errors[:PLACES_MAX],
        request_id=request_id,
    )


def headers(error: TidingsError) -> list[tuple[str, str]]:
    """The headers that belong to an error: its own, `Retry-After` (RFC 9110), and how to authenticate (RFC 6750)."""
    found = list(error.headers)
    if error.retry_after_seconds is not None:
        found.append(("retry-after", str(max(1, math.ceil(error.retry_after_seconds)))))
    if error.status == 401:
        found.append(("www-authenticate", 'Bearer realm="tidings"'))
    if error.status in (408, 413):
        # The rest of the body is not read, so nothing more can be read from this connection.
        found = [*(header for header in found if header != CLOSE), CLOSE]
    return found


def send_problem(proto: Any, error: TidingsError, request_id: str) -> None:
    """Write a refusal before a door is chosen, without having read the body."""
    sent = [*headers(error), ("content-type", MEDIA), ("request-id", request_id), CLOSE]
    proto.response_bytes(error.status, sent, msgspec.json.encode(problem(error, request_id)))
