"""Entity tags (RFC 9110): revisions, If-Match for changes, If-None-Match for reads."""

from __future__ import annotations

import re

from tidings.model.errors import Malformed, Place
from tidings.web.menu import Call, Parameter

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]{0,100})"')
TAGS = r'^(\*|(W/)?"[\x21\x23-\x2b\x2d-\x7e]{0,100}"(, ?(W/)?"[\x21\x23-\x2b\x2d-\x7e]{0,100}")*)$'
"""`*`, or entity tags; none of ours holds a comma."""
TAGS_CHARS_MAX = 8_192
_REVISION = re.compile(r"\d{1,18}")

IF_MATCH = Parameter(
    name="If-Match",
    schema={"type": "string", "format": "entity-tags", "pattern": TAGS, "maxLength": TAGS_CHARS_MAX},
    help='Change it only if it is at this revision, as in `"3"`; else the answer is 412.',
    where="header",
)
IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    schema={"type": "string", "format": "entity-tags", "pattern": TAGS, "maxLength": TAGS_CHARS_MAX},
    help='Answer 304 without a body if it is still as the answer with this `ETag` had it, as in `"3"`.',
    where="header",
)


def if_match(call: Call) -> set[int] | None:
    """The revisions of If-Match; None: any will do. Raises Malformed where it is no list of entity tags."""
    named = names(call, "if-match")
    return None if named is None else {int(name) for name in named if _REVISION.fullmatch(name)}


def not_modified(call: Call, revision: int) -> bool:
    """Whether If-None-Match names this revision, so that 304 is the answer."""
    if "if-none-match" not in call.headers:
        return False
    named = names(call, "if-none-match")
    return named is None or str(revision) in named


def names(call: Call, header: str) -> set[str] | None:
    """The entity tags of a header; None: it is absent, or `*`. Raises Malformed where it is no list of them."""
    return read(call.headers.get(header), header)


def read(text: str | None, header: str) -> set[str] | None:
    """The entity tags of a header's text, as `names` has them."""
    if text is None or text.strip() == "*":
        return None
    found = set()
    for piece in text.split(","):
        tag = _TAG.fullmatch(piece.strip())
        if tag is None or len(text) > TAGS_CHARS_MAX:
            detail = f'{header} must be a revision in quotes, such as "3", as the ETag header of an answer has it.'
            raise Malformed(detail, errors=[Place(parameter=header, code="wrong_value", detail=detail)])
        found.add(tag[1])
    return found
