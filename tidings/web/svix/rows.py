"""Rows of this door's table of operations, and what many of them share: parameters, and the application in a path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tidings.model.access import Tenant
from tidings.model.errors import Conflict, Invalid
from tidings.rules.reading.refused import Refused
from tidings.web.operation import Handler, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.svix.paging import LIMIT_MAX
from tidings.web.svix.shapes import NAME_PATTERN, UID_CHARS_MAX, ApplicationIn

NO_RATE = (
    "Tidings has no rate limit for a whole application. Set `throttleRate` on each endpoint; that limit is enforced "
    "exactly."
)

_UID = re.compile(NAME_PATTERN.strip("^$"))
_TIME = {"type": "string", "format": "date-time"}
PAGING = (
    Parameter(name="limit", schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}, help="Entries per page."),
    Parameter(
        name="iterator",
        schema={"type": "string", "maxLength": 1_000},
        help="The iterator that another page of the list returned.",
    ),
)
ORDER = Parameter(
    name="order", schema={"type": "string", "enum": ["ascending", "descending"]}, help="The order of the list."
)
TIMES = (
    Parameter(name="before", schema=_TIME, help="Return only entries created before this time."),
    Parameter(name="after", schema=_TIME, help="Return only entries created after this time."),
)
CHANNEL = Parameter(
    name="channel", schema={"type": "string", "maxLength": 128}, help="Return only messages on this channel."
)
TYPES = Parameter(
    name="event_types",
    schema={"type": "array", "items": {"type": "string", "maxLength": 256}, "maxItems": 100},
    help="Return only messages of these types.",
)
CONTENT = Parameter(name="with_content", schema={"type": "boolean"}, help="Whether payloads are included.")


def row(
    name: str,
    method: str,
    path: str,
    scope: str | None,
    handler: Handler,
    *,
    tag: str,
    request: Any = None,
    response: Any = None,
    status: int = 200,
    parameters: Sequence[Parameter] = (),
    secret: bool = False,
    at_sender: bool = False,
) -> Operation:
    """An operation of this door. `path`: after the version, such as `/app/{app_id}`. An empty body is as `{}`."""
    return Operation(
        name=name,
        method=method,
        path=path,
        scope=scope,
        summary=(handler.__doc__ or "").split("\n")[0].rstrip("."),
        handler=handler,
        tag=tag,
        request=request,
        response=response,
        status=status,
        parameters=tuple(parameters),
        secret=secret,
        at_sender=at_sender,
        idempotent_key=method == "POST",
    )


def of_first_version(request: Request) -> bool:
    """Whether the caller is an SDK of the first major version, or older.

    Some of them raise an exception for any status but the one in the document that they were made from.
    """
    return request.headers.get("user-agent", "").startswith(("svix-libs/0.", "svix-libs/1."))


def application(parts: Parts, request: Request) -> Tenant:
    """The application of the path, by id or uid. Raises NotFound, also if it belongs to another tenant."""
    return parts.svix.applications.find(request.caller, request.path["app_id"])


async def application_or_new(parts: Parts, request: Request, given: ApplicationIn | None) -> Tenant:
    """The application of the path; if there is none, one is made from the body. Raises NotFound or Invalid."""
    ident = request.path["app_id"]
    if given is None or parts.svix.applications.known(request.caller, ident) is not None:
        return application(parts, request)
    if given.uid != ident:
        what = "is required" if given.uid is None else "must be the same as in the path"
        raise Invalid.at("/application/uid", "wrong_value", f"The uid of the application {what}.")
    refuse_rate(given.throttle_rate, given.rate_limit, "/application")
    make = parts.svix.applications.create(
        request.caller, given.name, given.uid, given.metadata or {}, parts.writer.call
    )
    try:
        made: Tenant = await make
    except Conflict:
        # Another request was first.
        return application(parts, request)
    return made


def uid_of_path(given: str | None, ident: str) -> str:
    """The uid of what PUT makes, taken from the path. Raises Refused."""
    if given not in (None, ident):
        detail = "This request would create a resource with the uid in the path, but the body has a different uid."
        raise Refused("/uid", "wrong_value", detail)
    if len(ident) > UID_CHARS_MAX or not _UID.fullmatch(ident):
        raise Refused(
            "/uid",
            "wrong_value",
            f"A uid has 1 to {UID_CHARS_MAX} characters: letters, digits, hyphens, underscores and dots.",
        )
    return ident


def refuse_rate(throttle_rate: Any, rate_limit: Any, at: str = "") -> None:
    """Raise Refused if an application is given a rate."""
    for name, value in (("throttleRate", throttle_rate), ("rateLimit", rate_limit)):
        if isinstance(value, int):
            raise Refused(f"{at}/{name}", "not_permitted", NO_RATE)
