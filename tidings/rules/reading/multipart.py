"""Multipart bodies: fields, and files as received."""

from __future__ import annotations

import base64
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

PARTS_MAX = 200
"""Further parts are not read; no sender of webhooks sends this many."""
MULTIPART = "multipart/form-data"
FILE_NAME_CHARS_MAX = 255

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
"""Control characters, and invisible characters such as those that change the direction of text. Joiners are kept,
because some scripts and emoji need them."""
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


class FormPart(NamedTuple):
    """One part of a multipart form. `filename` is None for a field."""

    name: str
    filename: str | None
    type: str
    content: bytes

    def text(self) -> str:
        """The value of a field."""
        return self.content.decode("utf-8", "replace")

    def file(self) -> dict[str, Any]:
        """A file as an event's data has it, its bytes in base64."""
        return {
            "field": self.name,
            "name": self.filename,
            "type": self.type,
            "size": len(self.content),
            "base64": base64.b64encode(self.content).decode(),
        }


def parts_of(content_type: str, body: bytes) -> list[FormPart]:
    """The parts of a body, in order. If a part breaks the rules of multipart, only the parts before it are returned."""
    boundary = parameters(content_type).get("boundary", "").encode("utf-8", "replace")
    if not boundary:
        return []
    found = []
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary, PARTS_MAX + 1)[1 : PARTS_MAX + 1]:
        if piece[:2] == b"--":
            break
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            continue
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
        }
        says = parameters(headers.get("content-disposition", ""))
        if "name" in says:
            kind = headers.get("content-type", "application/octet-stream")
            found.append(FormPart(_plain(says["name"]), _filename(says), _plain(kind), content))
    return found


def parameters(value: str) -> dict[str, str]:
    """The parameters of a header such as `form-data; name="a"`, names in lower case."""
    found: dict[str, str] = {}
    for name, text in _PARAMETER.findall(value):
        if text[:1] == '"' and len(text) > 1:
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        found.setdefault(name.lower(), text.strip())
    return found


def _filename(says: dict[str, str]) -> str | None:
    extended = says.get("filename*", "")
    if extended.lower().startswith("utf-8''"):
        return file_name(unquote(extended[7:]))
    return file_name(says["filename"]) if "filename" in says else None


def file_name(text: str) -> str:
    """A safe name for a file: without folders, and without characters that hide how the name ends."""
    name = _UNSEEN.sub("", re.split(r"[/\\]", text)[-1]).strip().rstrip(". ")
    return name[-FILE_NAME_CHARS_MAX:].lstrip() or "file"


def _plain(text: str) -> str:
    return text.replace("\0", "\ufffd")
