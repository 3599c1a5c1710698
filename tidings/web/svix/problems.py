"""Refusals as Svix writes them: `{code, detail}`, and for wrong values the location of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidings.model.digits import is_digits
from tidings.model.errors import Place, TidingsError
from tidings.web.operation import Operation

CODES = {
    401: "authentication_failed",
    403: "insufficient access",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    429: "too_many_requests",
    500: "server_error",
}
"""Svix's code for each status; other statuses keep our codes."""
NAMES = {
    "description": "description",
    "events": "eventTypes",
    "fields": "payload",
    "filter": "channels",
    "id": "uid",
    "overlap_seconds": "gracePeriodSeconds",
    "rate": "throttleRate",
    "secret": "secret",
    "tenant": "app_id",
    "type": "eventType",
    "data": "payload",
}
"""Svix's names for the members of our bodies."""
PLACES_MAX = 100
TYPES = {"missing": "value_error.missing", "wrong_value": "type_error"}


OF_OPERATION: dict[str, dict[str, str]] = {
    "v1.message.create": {"id": "eventId", "subject": "channels"},
    "v1.endpoint.rotate-secret": {"secret": "key"},
    "v1.authentication.app-portal-access": {"expires_in": "expiry"},
}
"""Different names for single operations."""


def body_of(operation: Operation | None) -> Callable[[TidingsError, str], dict[str, Any]]:
    """A function that makes the body of this operation's refusals."""
    names = NAMES | OF_OPERATION.get(operation.name if operation else "", {})

    def body(error: TidingsError, request_id: str) -> dict[str, Any]:
        if error.status == 422:
            places = error.errors or [Place(code=error.code, detail=error.detail)]
            return {"detail": [_item(each, names) for each in places[:PLACES_MAX]]}
        return {"code": CODES.get(error.status, error.code), "detail": error.detail}

    return body


def _item(place: Place, names: dict[str, str]) -> dict[str, Any]:
    kind = TYPES.get(place.code, "value_error")
    return {"loc": _location(place, names), "msg": _in_their_words(place, names), "type": kind}


def _in_their_words(place: Place, names: dict[str, str]) -> str:
    """The message; if it begins with our name for the member, with Svix's name instead."""
    ours = (place.pointer or "").split("/")[1:2]
    first, _, rest = place.detail.partition(" ")
    return f"{names[first]} {rest}" if [first] == ours and first in names else place.detail


def _location(place: Place, names: dict[str, str]) -> list[str]:
    if place.parameter is not None:
        return ["header" if "-" in place.parameter else "query", place.parameter]
    steps = [step.replace("~1", "/").replace("~0", "~") for step in (place.pointer or "").split("/")[1:]]
    named = [names.get(steps[0], steps[0]), *steps[1:]] if steps else []
    return ["body", *(f"[{step}]" if is_digits(step) else step for step in named)]
