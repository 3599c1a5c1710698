"""What the operations on small named things share: revisions and merge patches."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tidings.control.revisions import Conditions
from tidings.web.habits.revisions import if_match, if_none_match
from tidings.web.operation import Request
from tidings.web.wire.bodies import body

T = TypeVar("T", bound=msgspec.Struct)


def conditions(request: Request) -> Conditions:
    """What If-Match and If-None-Match of a PUT ask for."""
    return Conditions(
        must_exist="if-match" in request.headers, expected=if_match(request), excluded=if_none_match(request)
    )


def etag(revision: int | str) -> tuple[str, str]:
    """The ETag header of a revision (or tag)."""
    return ("etag", f'"{revision}"')


def merged(before: dict[str, Any], request: Request, kind: type[T]) -> T:
    """The request's merge patch (RFC 7396) over `before`, as a checked struct: null takes a field away.

    Members of objects inside a field are not merged: a schema or an example is one value.
    """
    document = before | {name: value for name, value in request.value.items() if value is not None}
    for name, value in request.value.items():
        if value is None:
            document.pop(name, None)
    return body.read(msgspec.json.encode(document), kind)[0]
