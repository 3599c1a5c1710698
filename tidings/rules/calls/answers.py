"""The response to a call as plain values: JSON, XML without prefixes, or text."""

from __future__ import annotations

import re
from typing import Any

from tidings.model.errors import TidingsError
from tidings.rules.hooks.charset import in_utf8
from tidings.rules.hooks.xml import Unread, xml_object
from tidings.rules.reading import jsontext
from tidings.rules.templates import numbers

FAULT_CHARS = 300

_SPACE = b" \t\r\n"
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def read_answer(content_type: str, body: bytes) -> Any:
    """The body as plain values; as text if it does not match its content type; None if it is empty. Never raises.

    Numbers that fit neither into 64 bits nor exactly into a double are `msgspec.Raw`.
    """
    text = in_utf8(body, content_type)
    if text is None or not text.strip(_SPACE):
        return None
    start = text.lstrip(_SPACE)[:1]
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if "json" in kind or start in (b"{", b"["):
            return _json(text)
        if kind.endswith(("/xml", "+xml")) or start == b"<":
            return xml_object(text)
    except (TidingsError, Unread, ValueError, RecursionError):
        pass
    return text.decode("utf-8", "replace").replace("\x00", "\ufffd")


def soap_fault(answer: Any) -> str | None:
    """`a SOAP fault: Unknown operation` (SOAP 1.1 or 1.2) if the response is a fault; otherwise None."""
    for name in ("Envelope", "Body", "Fault"):
        if type(answer) is not dict or name not in answer:
            return None
        answer = answer[name]
    reason = answer if type(answer) is dict else {}
    said = reason.get("faultstring")
    if said is None and type(reason.get("Reason")) is dict:
        said = reason["Reason"].get("Text")
    said = said[0] if type(said) is list and said else said
    said = said.get("#text") if type(said) is dict else said
    text = " ".join(said.split())[:FAULT_CHARS].rstrip(".") if type(said) is str else ""
    return f"a SOAP fault: {text}" if text else "a SOAP fault"


def _json(text: bytes) -> Any:
    """A JSON text, with every digit of its numbers. Raises TidingsError or ValueError."""
    if b"\\u0000" in text:
        # We cannot store a NUL; the rest is still useful.
        text = _NUL.sub(rb"\1\\ufffd", text)
    is_long = numbers.may_be_long(found := text.decode())
    try:
        value = jsontext.read(text)
    except TidingsError:
        if not is_long:
            raise
    return numbers.read(found) if is_long else value


def header_values(lines: Any) -> dict[str, str]:
    """Headers by their lowercase names; of a repeated header, the first value."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.decode("latin-1").strip().lower(), value.decode("latin-1").strip())
    return found
