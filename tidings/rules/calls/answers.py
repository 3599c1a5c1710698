"""The answer to a call as plain values: JSON, XML without prefixes, or text."""

from __future__ import annotations

from typing import Any

from tidings.model.errors import TidingsError
from tidings.rules.hooks.charset import in_utf8
from tidings.rules.hooks.xml import Unread, xml_object
from tidings.rules.reading import jsontext

_SPACE = b" \t\r\n"


def read_answer(content_type: str, body: bytes) -> Any:
    """The body as plain values; text if it is not what it says; None without one. Never raises."""
    text = in_utf8(body, content_type)
    if text is None or not text.strip(_SPACE):
        return None
    start = text.lstrip(_SPACE)[:1]
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if "json" in kind or start in (b"{", b"["):
            return jsontext.read(text)
        if kind.endswith(("/xml", "+xml")) or start == b"<":
            return xml_object(text)
    except (TidingsError, Unread):
        pass
    return text.decode("utf-8", "replace").replace("\x00", "\ufffd")


def header_values(lines: Any) -> dict[str, str]:
    """Headers by their names in lower case; the first of each name."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.decode("latin-1").strip().lower(), value.decode("latin-1").strip())
    return found
