"""Entity tags (RFC 9110): revisions, If-Match for changes, If-None-Match for reads.

If-Match compares strongly: a weak tag (`W/"3"`) never matches. If-None-Match compares weakly: `W/"3"` is `"3"`.
"""

from __future__ import annotations

import re

import msgspec

from tidings.model.errors import Malformed
from tidings.web.operation import Parameter, Request

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_ONE = r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*'
TAGS = rf"^(\*|[ \t,]*{_ONE}(,[ \t]*({_ONE})?)*)$"
"""`*`, or a list of entity tags, which may have empty elements."""
_LIST = re.compile(TAGS)
TAGS_CHARS_MAX = 8_192
_REVISION = re.compile(r"([1-9][0-9]{0,18})(-[0-9a-f]{16})?")
"""A revision as an entity tag; with expanded items, a hash of them follows."""

IF_MATCH = Parameter(
    name="If-Match",
    schema={"type": "string", "format": "entity-tags", "pattern": TAGS, "maxLength": TAGS_CHARS_MAX},
    help='Change the resource only if it is at this revision, such as `"3"`; otherwise, the response is 412.',
    where="header",
)
IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    schema={"type": "string", "format": "entity-tags", "pattern": TAGS, "maxLength": TAGS_CHARS_MAX},
    help='If the resource still has this `ETag`, such as `"3"`, the response is 304, without a body.',
    where="header",
)
IF_NONE_MATCH_OF_PUT = msgspec.structs.replace(
    IF_NONE_MATCH,
    help=(
        "With `*`, only create: if the resource exists, the response is 412. With a "
        'revision such as `"3"`, the response is 412 if the resource is at this revision.'
    ),
)


def if_match(request: Request) -> set[int] | None:
    """The revisions that If-Match names; None if any will do. Raises Malformed if it is not a list of entity tags."""
    strong = read(request.headers.get("if-match"), "if-match", strong=True)
    return None if strong is None else _revisions(strong)


def if_none_match(request: Request) -> frozenset[int] | None:
    """The revisions that a PUT's If-None-Match excludes; None if all of them (`*`). Raises Malformed."""
    if "if-none-match" not in request.headers:
        return frozenset()
    tags = names(request, "if-none-match")
    return None if tags is None else frozenset(_revisions(tags))


def not_modified(request: Request, revision: int | str) -> bool:
    """Whether If-None-Match names this revision (or tag), so that the response is 304."""
    if "if-none-match" not in request.headers:
        return False
    named = names(request, "if-none-match")
    return named is None or str(revision) in named


def names(request: Request, header: str) -> set[str] | None:
    """The entity tags of a header, including weak ones; None if it is absent or `*`. Raises Malformed."""
    return read(request.headers.get(header), header)


def read(text: str | None, header: str, *, strong: bool = False) -> set[str] | None:
    """The entity tags of a header's text, as `names` has them. `strong`: without the weak ones."""
    if text is None or text.strip() == "*":
        return None
    if len(text) > TAGS_CHARS_MAX or not _LIST.fullmatch(text.strip(" \t")):
        detail = f'{header} must be a revision in quotes, such as "3", as in the ETag header of responses.'
        raise Malformed.of_parameter(header, "wrong_value", detail)
    return {tag for weak, tag in _TAG.findall(text) if not (strong and weak)}


def _revisions(tags: set[str]) -> set[int]:
    # A tag is opaque: "01" is not "1".
    return {int(found[1]) for tag in tags if (found := _REVISION.fullmatch(tag))}
