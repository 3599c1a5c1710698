"""The result of a GET can be sent back with PUT and PATCH: read-only members are accepted if they are unchanged."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

from tidings.model.errors import Invalid, Place, Stale
from tidings.rules.own_members import agrees, differs
from tidings.web.operation import Operation, Request
from tidings.web.wire.bodies import body

T = TypeVar("T")
MEASURED = frozenset(("health", "indexes", "links", "waiting", "next_due", "last_due", "last_run"))
"""Members that change on their own: a value read a moment ago may be outdated, so only its type is checked."""
HELP = "You can send back the result of a GET: read-only members are accepted if they are unchanged."


def read(request: Request, raw: bytes) -> None:
    """Read a body into the request. Members that the operation returns but does not take become `Request.given`."""
    operation = request.operation
    assert operation.request is not None
    if operation.method in ("PUT", "PATCH") and (own := own_members(operation)):
        value = body.plain(raw)
        members: dict[str, Any] = value if isinstance(value, dict) else {}
        request.given = {
            name: each for name, each in members.items() if name in own and _is_shown(operation, name, each)
        }
        if request.given:
            raw = msgspec.json.encode({name: each for name, each in members.items() if name not in request.given})
    request.body, request.value = body.read_body(raw, operation.request)


def own_members(operation: Operation) -> dict[str, Any]:
    """The members that an operation returns but does not take, or takes in another form: their types by name."""
    request, response = operation.request, operation.response
    if operation.method not in ("PUT", "PATCH") or not _is_struct(request) or not _is_struct(response):
        return {}
    return _only_shown(request, response, operation.masked)


@cache
def _only_shown(request: Any, response: Any, masked: tuple[str, ...]) -> dict[str, Any]:
    taken = set(request.__struct_fields__) - set(masked)
    return {field.name: field.type for field in msgspec.structs.fields(response) if field.name not in taken}


def agree(request: Request, view: msgspec.Struct | None, **named: str) -> None:
    """Raise Invalid with the places that differ from `view`, or Stale for another revision.

    `view` is None if the thing is being created; then only the names in the path (`named`) are known.
    """
    wrong = []
    for name, given in request.given.items():
        if view is not None and name in MEASURED:
            if not _converts(given, own_members(request.operation)[name]):
                detail = f"`{name}` is measured by the server. Leave it out, or send back the value that you received."
                wrong.append(Place(pointer=f"/{name}", code="own_field", detail=detail))
            continue
        present = named.get(name, msgspec.UNSET) if view is None else msgspec.to_builtins(getattr(view, name))
        if present is not msgspec.UNSET and agrees(present, given):
            continue
        if view is not None and name == "revision" and type(given) is int:
            detail = f"The body has revision {given}, but the current revision is {present}. Read the resource again."
            raise Stale.at("/revision", "stale", detail)
        wrong.append(differs(name, "", present))
    if wrong:
        raise Invalid(wrong[0].detail, errors=wrong)


def agreeing(request: Request, view: Callable[[T], msgspec.Struct]) -> Callable[[T | None], None]:
    """The check of a PUT: `agree`, with the present thing or None."""
    return lambda before: agree(request, None if before is None else view(before), **request.path)


def _is_shown(operation: Operation, name: str, value: Any) -> bool:
    """Whether a member is read-only, or has the form in which it is shown."""
    if name not in operation.masked:
        return True
    return value is not None and _converts(value, own_members(operation)[name])


def _converts(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
