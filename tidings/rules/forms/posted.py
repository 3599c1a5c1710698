"""What was sent to a form, read strictly: urlencoded, multipart or JSON.

Nothing is guessed: text is UTF-8, a body ends where its kind says, and a body that breaks the rules of its kind is
refused. The values are what people typed; `values.py` checks them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from tidings.model.errors import BadMedia, Malformed
from tidings.rules.reading import jsontext
from tidings.rules.reading.multipart import MULTIPART, file_name, parameters

URLENCODED, JSON = "application/x-www-form-urlencoded", "application/json"
PAIRS_MAX = 1_000
"""No more values than this are read from any form."""
HEAD_BYTES_MAX = 4_096

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_UTF8 = ("", "utf-8", "utf8", "us-ascii")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_NUMBERS = (int, float)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_HEX = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class _Typed(NamedTuple):
    """A number of a JSON body, with the digits that were sent."""

    text: msgspec.Raw


class PostedFile(NamedTuple):
    """A file as it was sent. `type` is the media type that the sender gave."""

    name: str
    type: str
    content: bytes

    def data(self) -> dict[str, Any]:
        """The file as an event's data has it, its bytes in base64."""
        return {
            "name": self.name,
            "type": self.type,
            "size": len(self.content),
            "base64": base64.b64encode(self.content).decode(),
        }


class Posted(NamedTuple):
    """Texts and files by the name of their field, in order."""

    texts: dict[str, list[str]]
    files: dict[str, list[PostedFile]]

    def names(self) -> list[str]:
        """The names of everything that was sent."""
        return list(dict.fromkeys((*self.texts, *self.files)))

    def text(self, name: str) -> str:
        """The first text of a name; "" if there is none."""
        return (self.texts.get(name) or [""])[0]


def read_posted(content_type: str, body: bytes, encoding: str = "", most: int = PAIRS_MAX) -> Posted:
    """The values in a body. `encoding`: its Content-Encoding. `most`: the maximum number of values.

    Raises BadMedia, or Malformed with what is wrong.
    """
    if encoding.strip().lower() not in ("", "identity"):
        raise BadMedia("A form must be sent without a Content-Encoding.")
    most = min(most, PAIRS_MAX)
    kind = content_type.partition(";")[0].strip().lower()
    if parameters(content_type).get("charset", "").lower() not in _UTF8:
        raise BadMedia("A form must be sent in UTF-8.")
    if kind == URLENCODED:
        return _urlencoded(body, most)
    if kind == MULTIPART:
        return _multipart(parameters(content_type).get("boundary", ""), body, most)
    if kind == JSON:
        return _json(body, most)
    raise BadMedia(f"A form must be sent as {URLENCODED}, {MULTIPART} or {JSON}.")


def _urlencoded(body: bytes, most: int) -> Posted:
    texts: dict[str, list[str]] = {}
    if not body:
        return Posted(texts, {})
    pairs = body.split(b"&", most)
    if len(pairs) > most:
        raise _too_many(most)
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        texts.setdefault(_unquoted(name), []).append(_unquoted(value))
    return Posted(texts, {})


def _unquoted(part: bytes) -> str:
    if _HEX.search(part):
        raise Malformed("A % in the form's body is not followed by two hexadecimal digits.")
    return _text(unquote_to_bytes(part.replace(b"+", b" ")))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed("The form's body is not valid UTF-8.") from None


def _multipart(boundary: str, body: bytes, most: int) -> Posted:
    if not _BOUNDARY.fullmatch(boundary):
        raise Malformed("The Content-Type of a multipart form has no valid boundary.")
    posted = Posted({}, {})
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode(), most + 1)
    if len(pieces) < 2 or pieces[0] not in (b"", b"\r\n"):
        raise Malformed("The form's body does not begin with its boundary.")
    for count, piece in enumerate(pieces[1:]):
        if piece.startswith(b"--"):
            if piece[2:].strip() or piece is not pieces[-1]:
                raise Malformed("There is data after the end of the multipart form.")
            return posted
        if count == most:
            raise _too_many(most)
        _add_part(posted, piece)
    raise Malformed("The multipart form does not end with its boundary.")


def _add_part(posted: Posted, piece: bytes) -> None:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not head.startswith(b"\r\n") or not blank or len(head) > HEAD_BYTES_MAX:
        raise Malformed("The headers of a part of the multipart form are missing or too long.")
    headers: dict[str, str] = {}
    for line in _text(head[2:]).split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() in headers:
            raise Malformed(f"A part of the multipart form has the header {name.strip()[:50]} twice.")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    says = _disposition(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in says:
        raise Malformed("A part of the multipart form does not name its field.")
    if headers.get("content-transfer-encoding", "8bit").lower() not in ("7bit", "8bit", "binary"):
        raise Malformed("A part of the multipart form has a Content-Transfer-Encoding, which browsers do not use.")
    name = says["name"]
    if "filename" not in says:
        posted.texts.setdefault(name, []).append(_text(content))
    elif says["filename"] or content:
        # A file field without a chosen file is sent as a file without a name.
        kind = headers.get("content-type", "").partition(";")[0].strip().lower() or "application/octet-stream"
        posted.files.setdefault(name, []).append(PostedFile(file_name(says["filename"]), plain(kind)[:100], content))
    else:
        posted.files.setdefault(name, [])


def _disposition(value: str) -> dict[str, str]:
    """The parameters of a Content-Disposition, as browsers write them: only quotation marks, CR and LF are escaped."""
    found: dict[str, str] = {}
    for name, text in re.findall(r';\s*([A-Za-z*]+)\s*=\s*("[^"]*"|[^;\s]*)', value):
        if name.lower() in found:
            raise Malformed(f"A part of the multipart form has the parameter {name[:50]} twice.")
        if text.startswith('"'):
            text = text.strip('"').replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
        found[name.lower()] = text
    if "filename*" in found:
        raise Malformed("The parameter `filename*` is not used in multipart forms (RFC 7578).")
    return found


def plain(text: str) -> str:
    """A text without control characters."""
    return _CONTROL.sub("", text)


def _json(body: bytes, most: int) -> Posted:
    value = jsontext.read(body)
    if type(value) is not dict:
        raise Malformed('The JSON of a form must be an object, such as {"email": "ann@example.com"}.')
    posted = Posted({}, {})
    count = 0
    for name, given in _with_numbers(body, value):
        for each in given if type(given) is list else [given]:
            count += 1
            if count > most:
                raise _too_many(most)
            if type(each) is dict:
                posted.files.setdefault(name, []).append(_file(name, each))
            else:
                found = posted.texts.setdefault(name, [])
                if (text := _as_typed(name, each)) is not None:
                    found.append(text)
    return posted


def _with_numbers(body: bytes, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members of a form, their numbers as text: a double would change digits, or drop them."""
    texts: dict[str, msgspec.Raw] | None = None
    for name, given in value.items():
        numbers = [type(each) in _NUMBERS for each in (given if type(given) is list else [given])]
        if not any(numbers):
            yield name, given
            continue
        texts = _members.decode(body) if texts is None else texts
        if type(given) is not list:
            yield name, _Typed(texts[name])
            continue
        typed = _elements.decode(texts[name])
        yield name, [_Typed(typed[at]) if is_number else given[at] for at, is_number in enumerate(numbers)]


def _as_typed(name: str, value: Any) -> str | None:
    """A JSON value as somebody would type it; None for null and false."""
    if value is None or value is False:
        return None
    if value is True:
        return "on"
    if type(value) is _Typed:
        return bytes(value.text).decode().strip()
    if type(value) is not str:
        raise Malformed(f"The field {name[:64]!r} has a list inside a list.")
    return value


def _file(name: str, value: dict[str, Any]) -> PostedFile:
    texts = {key: value.get(key, "") for key in ("name", "type", "base64")}
    unknown = [key for key in value if key not in (*texts, "size")]
    if unknown or not all(type(each) is str for each in texts.values()):
        raise Malformed(f"A file in the field {name[:64]!r} must be an object with name, type and base64.")
    try:
        content = base64.b64decode(texts["base64"], validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"A file in the field {name[:64]!r} is not valid base64.") from None
    kind = plain(texts["type"])[:100].lower() or "application/octet-stream"
    return PostedFile(file_name(texts["name"]), kind, content)


def _too_many(most: int) -> Malformed:
    return Malformed(f"The form's body has more than {most:,} values.")
