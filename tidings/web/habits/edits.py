"""What the operations that change things share: conditions, entity tags and merge patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tidings.rules.revisions import ANY, Conditions
from tidings.web.habits.revisions import if_match, if_none_match, not_modified
from tidings.web.operation import Answer, Request
from tidings.web.wire.bodies import body

T = TypeVar("T", bound=msgspec.Struct)


def conditions(request: Request) -> Conditions:
    """What If-Match and If-None-Match require of a change. Raises Malformed."""
    if "if-match" not in request.headers and "if-none-match" not in request.headers:
        return ANY
    named = if_match(request)
    return Conditions(
        must_exist="if-match" in request.headers,
        expected=None if named is None else frozenset(named),
        excluded=if_none_match(request),
    )


def shown(view: Any, revision: int | str) -> Answer:
    """A thing with its ETag."""
    return Answer(200, view, [etag(revision)])


def created(view: Any, revision: int, path: str) -> Answer:
    """A new thing, with its path."""
    return Answer(201, view, [("location", path), etag(revision)])


def unless_known(request: Request, view: Any, revision: int) -> Answer:
    """The requested thing; 304 if If-None-Match says that the caller has it."""
    return Answer(304, None, [etag(revision)]) if not_modified(request, revision) else shown(view, revision)


def etag(revision: int | str) -> tuple[str, str]:
    """The ETag header of a revision (or tag)."""
    return ("etag", f'"{revision}"')


def patch_of(
    kind: type[msgspec.Struct], name: str, doc: str, instead: Mapping[str, Any] | None = None
) -> type[msgspec.Struct]:
    """The merge-patch form (RFC 7396) of a body: each field may be omitted, and may be null if it has a default.

    `instead`: the types of fields whose form in a patch differs from that in a body.
    """
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        type = (instead or {}).get(field.name, field.type) | msgspec.UnsetType
        is_nullable = _has_default(field) and field.type is not Any
        fields.append((field.name, type | None if is_nullable else type, msgspec.UNSET))
    return msgspec.defstruct(
        name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True, namespace={"__doc__": doc}
    )


def _has_default(field: msgspec.structs.FieldInfo) -> bool:
    return field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT


def merged(before: dict[str, Any], request: Request, kind: type[T]) -> T:
    """The request's merge patch (RFC 7396) over `before`, as a checked struct: null removes a field.

    Members of objects inside a field are not merged: a schema or an example is one value.
    """
    document = before | {name: value for name, value in request.value.items() if value is not None}
    for name, value in request.value.items():
        if value is None:
            document.pop(name, None)
    return body.read(msgspec.json.encode(document), kind)[0]
