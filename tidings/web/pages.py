"""Pages of lists: `limit`, an opaque `cursor`, and the answer with `next_cursor` and a Link header (RFC 8288)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from tidings.model import moment
from tidings.model.errors import Invalid, Place
from tidings.web.menu import Answer, Call, Parameter

LIMIT = 50
LIMIT_MAX = 1000

PAGING: tuple[Parameter, ...] = (
    Parameter(
        name="limit",
        schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
        help="How many to answer at most.",
    ),
    Parameter(
        name="cursor",
        schema={"type": "string"},
        help="Where to go on: `next_cursor` of the page before, with the same other parameters.",
    ),
)


class Page(msgspec.Struct, frozen=True):
    """Which page is asked for. `after`: the position that the page before ended with; None: the first page."""

    call: Any
    limit: int
    after: Any

    @classmethod
    def of(cls, call: Call, kind: type[int] | type[str] = int) -> Page:
        """Read `limit` and `cursor`; positions are of type `kind`.

        Raises Invalid where the cursor is none, or belongs to another query.
        """
        cursor = call.query.get("cursor")
        after = None if cursor is None else _position(cursor, _query_mark(call), kind)
        return cls(call, call.query.get("limit", LIMIT), after)

    def answer(self, data: Sequence[Any], position: int | str | None) -> Answer:
        """The page; `position` is where the next one goes on, None: there is none."""
        if position is None:
            return Answer(200, {"data": data, "next_cursor": None})
        cursor = _cursor(position, _query_mark(self.call))
        path = self.call.operation.path.format(**self.call.path)
        query = urlencode({**_given(self.call), "limit": self.limit, "cursor": cursor})
        return Answer(200, {"data": data, "next_cursor": cursor}, [("link", f'<{path}?{query}>; rel="next"')])


def _cursor(position: int | str, mark: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([position, mark])).decode().rstrip("=")


def _position(cursor: str, mark: str, kind: type[int] | type[str]) -> int | str:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position, its_mark = msgspec.json.decode(raw, type=tuple[int | str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        position, its_mark = "", ""
    if not isinstance(position, kind) or not its_mark or (isinstance(position, int) and not 0 <= position < 1 << 63):
        raise _wrong("This is no cursor of ours. Take next_cursor of the page before.")
    if its_mark != mark:
        raise _wrong("This cursor belongs to another query. Send the same parameters as for the page before.")
    return position


def _given(call: Call) -> dict[str, str]:
    """The other parameters that were given, as they would be written again."""
    kinds = {parameter.name: parameter.schema for parameter in call.operation.parameters}
    return {
        name: _written(value, kinds[name])
        for name, value in sorted(call.query.items())
        if name not in ("limit", "cursor")
    }


def _written(value: Any, schema: dict[str, Any]) -> str:
    if isinstance(value, list):
        return ",".join(_written(each, schema.get("items", {})) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if schema.get("format") == "date-time":
        return moment.to_text(value)
    return str(value)


def _query_mark(call: Call) -> str:
    whole = [call.operation.name, call.path, _given(call), call.key.tenant]
    return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()[:12]


def _wrong(detail: str) -> Invalid:
    return Invalid(detail, errors=[Place(parameter="cursor", code="wrong_cursor", detail=detail)])
