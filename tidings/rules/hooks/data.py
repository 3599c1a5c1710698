"""The body of another system's request as the data of an event, which is always a JSON object.

JSON is kept as the received text, so numbers keep their digits. If it is not an object it becomes a member of one:
`{"items": [...]}` for an array, `{"lines": [...]}` for JSON lines, `{"value": ...}` for other JSON. Anything else is
written as one of these: the fields of a form (a repeated one as a list; of a multipart form also `{"files": [...]}`),
XML as nested objects (attributes as `@name`, text next to them as `#text`, no prefixes), `{"text": "..."}`, `{"base64":
"...", "type": "..."}`, and of a request without a body the parameters of its query. A body that claims to be JSON or
XML but is not, or has too many values to be parsed at once, is kept as text, with the reason as `unread`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tidings.model.errors import TidingsError
from tidings.rules.hooks.charset import charset_of, in_utf8
from tidings.rules.hooks.xml import Unread, xml_object
from tidings.rules.reading import jsontext
from tidings.rules.reading.multipart import MULTIPART, parts_of
from tidings.rules.reading.size import TOO_MANY, has_too_many_values
from tidings.rules.schemes import HookRequest
from tidings.rules.schemes.request import FIELDS_MAX

LINES_MAX = 100_000

URLENCODED = "application/x-www-form-urlencoded"
_JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines", "application/x-jsonlines")
_SPACE = b" \t\r\n"
_encode = msgspec.json.Encoder().encode

Data = tuple[bytes, dict[str, Any]]
"""The data of an event: as JSON text, and as plain values."""


def data_of(request: HookRequest, body: bytes) -> Data:
    """The data of the event. `body`: without its Content-Encoding. Never raises."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return _whole(_fields(request.query()))
    if kind == URLENCODED:
        return _form(body, content_type)
    if kind == MULTIPART and (parts := parts_of(content_type, body)):
        files = [part.file() for part in parts if part.filename is not None]
        fields = _fields((part.name, part.text()) for part in parts if part.filename is None)
        return _whole(fields | ({"files": files} if files else {}))
    text = in_utf8(body, content_type)
    if text is None:
        return _bytes(body, kind)
    if kind in _JSON_LINES:
        return _lines(text)
    if kind.endswith(("/xml", "+xml")):
        return _xml(text)
    # Senders are careless with this header (SNS says text/plain), so what looks like JSON is read as JSON.
    start = text.lstrip(_SPACE)[:1]
    if "json" in kind or start in (b"{", b"["):
        return _json(request, text, sure="json" in kind)
    if start == b"<" and kind in ("", "text/plain"):
        return _xml(text)
    return _text(text, kind)


def _json(request: HookRequest, body: bytes, *, sure: bool) -> Data:
    if has_too_many_values(body):
        return _text(body, "", unread=TOO_MANY)
    try:
        value = jsontext.read(body)
    except TidingsError as wrong:
        if b"\n" in body and (lines := _lines(body))[1].get("lines"):
            return lines
        return _text(body, "", unread=wrong.detail if sure else "")
    if body == request.body:
        request.remember(value)
    text = body.strip(_SPACE)
    if isinstance(value, dict):
        return text, value
    name = "items" if isinstance(value, list) else "value"
    return b'{"%s":%s}' % (name.encode(), text), {name: value}


def _lines(body: bytes) -> Data:
    found: list[Any] = []
    texts: list[bytes] = []
    try:
        for line in body.split(b"\n"):
            if text := line.strip(_SPACE):
                found.append(jsontext.read(text))
                texts.append(text)
            if len(found) > LINES_MAX:
                return _text(body, "", unread=f"The body has more than {LINES_MAX:,} lines.")
    except TidingsError as wrong:
        return _text(body, "", unread=f"Line {len(found) + 1}: {wrong.detail}")
    return b'{"lines":[%s]}' % b",".join(texts), {"lines": found}


def _xml(body: bytes) -> Data:
    try:
        return _whole(xml_object(body))
    except Unread as wrong:
        return _text(body, "application/xml", unread=str(wrong))


def _text(body: bytes, kind: str, unread: str = "") -> Data:
    """Text in UTF-8; anything else is kept as bytes."""
    if b"\0" in body:
        return _bytes(body, kind, unread)
    return _whole({"text": body.decode()} | ({"unread": unread} if unread else {}))


def _bytes(body: bytes, kind: str, unread: str = "") -> Data:
    return _whole({"base64": base64.b64encode(body).decode(), "type": kind} | ({"unread": unread} if unread else {}))


def _form(body: bytes, content_type: str) -> Data:
    try:
        text = body.decode("ascii", "replace") if b"%" in body else body.decode("utf-8", "replace")
        pairs = parse_qsl(
            text, keep_blank_values=True, max_num_fields=FIELDS_MAX, encoding=charset_of(content_type) or "utf-8"
        )
    except ValueError:
        return _text(body, URLENCODED, unread=f"The body has more than {FIELDS_MAX:,} fields.")
    return _whole(_fields(pairs))


def _fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Fields as an object; repeated ones are lists."""
    found: dict[str, Any] = {}
    repeated: set[str] = set()
    for name, value in pairs:
        value = value.replace("\0", "\ufffd")
        name = name.replace("\0", "\ufffd")
        if name in repeated:
            found[name].append(value)
        elif name in found:
            repeated.add(name)
            found[name] = [found[name], value]
        else:
            found[name] = value
    return found


def _whole(value: dict[str, Any]) -> Data:
    return _encode(value), value
