"""Where values come from in a request, and the texts that are made of them: the small language of `form.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jiter

from tidings.model.digits import index_of
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.crypto import digest
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.verdict import Unfit

SOURCES_KEPT = 512
VALUES_MAX = 32
"""Further values of a source are ignored: a real request has a few signatures, a forged one may have many."""
ITEMS_MAX = 10_000

Parts = Sequence[str]
All = Callable[[HookRequest, Parts], list[str]]

_SOURCE = re.compile(r"(header|query|form|json|part):(.+)", re.DOTALL)
_PIECE = re.compile(r"\{([^{}]*)\}")


class Source:
    """A place, or several places of which the first counts. Raises Refused for a text that names none."""

    __slots__ = ("_said", "all", "text")

    def __init__(self, text: str, pointer: str = "") -> None:
        self.text, self._said = text, ""
        ways = [_all_of([_way(each.strip(), pointer) for each in part.split(" & ")]) for part in text.split(" | ")]
        self.all: All = ways[0] if len(ways) == 1 else _first_of(ways)

    def first(self, request: HookRequest, parts: Parts = ()) -> str | None:
        """The value, or None if the request has none."""
        found = self.all(request, parts)
        return found[0] if found else None

    def needed(self, request: HookRequest, parts: Parts = ()) -> str:
        """The value. Raises Unfit if there is none."""
        found = self.all(request, parts)
        if not found or not found[0]:
            raise Unfit("missing_header", f"{self.said()} is missing.")
        return found[0]

    def said(self) -> str:
        """The place in words, as a sentence begins with it."""
        if not self._said:
            first, *others = [_said(part.strip()) for part in re.split(r" [|&] ", self.text)]
            self._said = " or ".join([first, *(f"{each[0].lower()}{each[1:]}" for each in others)])
        return self._said


@lru_cache(SOURCES_KEPT)
def source(text: str) -> Source:
    """A source, kept for the next time."""
    return Source(text)


def _said(text: str) -> str:
    kind, _, name = text.partition(":")
    words = {
        "header": "The header",
        "query": "The query parameter",
        "form": "The form field",
        "json": "The JSON member",
    }
    return f"{words.get(kind, 'The part of the signature named')} {name}"


def _first_of(ways: list[All]) -> All:
    def read(request: HookRequest, parts: Parts) -> list[str]:
        for way in ways:
            found = way(request, parts)
            if found:
                return found
        return []

    return read


def _all_of(ways: list[All]) -> All:
    if len(ways) == 1:
        return ways[0]
    return lambda request, parts: [value for way in ways for value in way(request, parts)]


def _way(text: str, pointer: str) -> All:
    found = _SOURCE.fullmatch(text)
    if not found:
        detail = f"{text!r} is not a source, such as header:NAME, query:NAME, form:NAME, json:a.b or part:NAME."
        raise Refused(pointer, "source", detail)
    kind, name = found.groups()
    return _WAYS[kind](name)


def _header(name: str) -> All:
    lower = name.lower()
    if lower.endswith("*"):
        start = lower[:-1]
        return lambda request, _: [v for k, v in request.headers.items() if k.startswith(start)][:VALUES_MAX]

    def read(request: HookRequest, _: Parts) -> list[str]:
        value = request.headers.get(lower)
        return [] if value is None else [value]

    return read


def _query(name: str) -> All:
    return lambda request, _: [value for key, value in request.query() if key == name][:1]


def _form(name: str) -> All:
    field, inner, path = name.partition(">")
    if not inner:
        return lambda request, _: [value for key, value in request.form() if key == field][:1]
    steps = path.split(".")

    def read(request: HookRequest, _: Parts) -> list[str]:
        for key, value in request.form():
            if key == field:
                try:
                    return walked(jiter.from_json(value.encode(), catch_duplicate_keys=True), steps)
                except ValueError:
                    return []
        return []

    return read


def _json(path: str) -> All:
    steps = path.split(".")

    def read(request: HookRequest, _: Parts) -> list[str]:
        try:
            return walked(request.json(), steps)
        except ValueError:
            return []

    return read


def _part(key: str) -> All:
    index = index_of(key)
    if index is not None:
        return lambda _, parts: [parts[index]] if index < len(parts) else []
    start = key + "="
    return lambda _, parts: [part[len(start) :] for part in parts if part.startswith(start)][:1]


_WAYS: dict[str, Callable[[str], All]] = {
    "header": _header,
    "query": _query,
    "form": _form,
    "json": _json,
    "part": _part,
}


def walked(value: Any, steps: Sequence[str]) -> list[str]:
    """The texts at a path; `*` stands for each element; if one has no such member, its text is empty."""
    for at, step in enumerate(steps):
        if step == "*":
            items = value if type(value) is list else []
            return [(walked(item, steps[at + 1 :]) or [""])[0] for item in items[:ITEMS_MAX]]
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and (index := index_of(step)) is not None and index < len(value):
            value = value[index]
        else:
            return []
    text = as_text(value)
    return [] if text is None else [text]


def as_text(value: Any) -> str | None:
    """A JSON value as senders write it into what they sign; None for null, objects and lists."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) in (int, float) else None


def encoded(text: str) -> bytes:
    """A text of a request as bytes; never raises."""
    return text.encode("utf-8", "surrogatepass")


class Moment:
    """What a template is filled with in addition to the request: parts of the signature, the timestamp, the id
    and a secret."""

    __slots__ = ("id", "parts", "secret", "timestamp")

    def __init__(self, parts: Parts = (), timestamp: str = "", id: str = "", secret: bytes = b"") -> None:
        self.parts, self.timestamp, self.id, self.secret = parts, timestamp, id, secret


Fill = Callable[[HookRequest, Moment], bytes]

URL_PIECES = frozenset({"url", "url_base", "path", "query"})
BODY_PIECES = frozenset({"body", "body_ascii", "body_ascii_slash", "body_sha256"})


def _url(request: HookRequest) -> str:
    if not request.url:
        raise Unfit("wrong_url", "The sender signs the URL, but this hook's public URL is not known.")
    return request.url


def _without_origin(request: HookRequest) -> str:
    rest = _url(request).partition("://")[2]
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def _ascii(request: HookRequest) -> bytes:
    body = request.body
    if body.isascii():
        return body
    try:
        return _BEYOND_ASCII.sub(_escaped, body.decode()).encode()
    except UnicodeDecodeError:
        return body


_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _escaped(found: re.Match[str]) -> str:
    # JSON escapes exactly these characters, as UTF-16.
    return json.dumps(found[0])[1:-1]


_PIECES: dict[str, Fill] = {
    "body": lambda request, _: request.body,
    "body_ascii": lambda request, _: _ascii(request),
    "body_ascii_slash": lambda request, _: _ascii(request).replace(b"/", b"\\/"),
    "body_sha256": lambda request, _: digest("sha256", request.body).hex().encode(),
    "timestamp": lambda _, moment: encoded(moment.timestamp),
    "id": lambda _, moment: encoded(moment.id),
    "url": lambda request, _: encoded(_url(request)),
    "url_base": lambda request, _: encoded(_url(request).partition("?")[0]),
    "path": lambda request, _: encoded(_without_origin(request).partition("?")[0]),
    "query": lambda request, _: encoded(_without_origin(request).partition("?")[2]),
    "method": lambda request, _: encoded(request.method),
    "secret": lambda _, moment: moment.secret,
}


class Template:
    """A text with places to fill. Raises Refused for a place that nothing fills."""

    __slots__ = ("_fills", "names", "text")

    def __init__(self, text: str, pointer: str = "") -> None:
        self.text = text
        self.names = frozenset(_PIECE.findall(text))
        found = pieces(text, pointer)
        self._fills = [self._fill(piece, pointer, _ends(found, at)) for at, piece in enumerate(found)]

    def fill(self, request: HookRequest, moment: Moment) -> bytes:
        """What is signed of this request. Raises Unfit if something is missing."""
        return b"".join([fill if type(fill) is bytes else fill(request, moment) for fill in self._fills])  # type: ignore[operator]

    def _fill(self, piece: tuple[bool, str], pointer: str, ends: re.Pattern[str] | None) -> bytes | Fill:
        is_name, text = piece
        if not is_name:
            return text.encode()
        if text == "id" and ends is not None:
            return lambda _, moment: encoded(_apart(moment.id, ends, "The id"))
        if text in _PIECES:
            return _PIECES[text]
        if ":" not in text:
            detail = (
                f"{{{text}}} is not a placeholder of a template. The placeholders are {', '.join(sorted(_PIECES))}, "
                "and any source."
            )
            raise Refused(pointer, "template", detail)
        place = Source(text, pointer)
        if ends is not None:
            return lambda request, moment: encoded(_apart(place.needed(request, moment.parts), ends, place.said()))
        return lambda request, moment: encoded(place.needed(request, moment.parts))


def _ends(found: Sequence[tuple[bool, str]], at: int) -> re.Pattern[str] | None:
    """What a value at this place must not contain: the texts that separate it from its neighbours.

    Otherwise a part of the body could pass for a part of the id, or vice versa, and the signature would still fit.
    """
    after, before = found[at + 1 : at + 2], found[:at][-1:]
    parted = {piece[1][0] for piece in after if not piece[0]} | {piece[1][-1] for piece in before if not piece[0]}
    if found[at][1] == "id" and any(is_name for is_name, _ in after):
        return re.compile(r"[^A-Za-z0-9_-]")
    if found[at : at + 3 : 2] == [(True, "id"), (True, "timestamp")]:
        # Some ids have dots; if a later part were taken for the timestamp, the true one would be left in the id.
        dot = re.escape(after[0][1][0])
        return re.compile(rf"{dot}[0-9]{{9,15}}(?={dot}|\Z)")
    return re.compile("[" + re.escape("".join(sorted(parted))) + "]") if parted else None


def _apart(value: str, ends: re.Pattern[str], said: str) -> str:
    found = ends.search(value)
    if found:
        detail = f"{said} contains {found[0]!r}, so it cannot be distinguished from the text that is signed next to it."
        raise Unfit("malformed_header", detail)
    return value


def pieces(text: str, pointer: str = "") -> list[tuple[bool, str]]:
    """A template's texts (False) and names (True), in order. Raises Refused for a lone brace."""
    found, at = [], 0
    for match in _PIECE.finditer(text):
        found += [(False, text[at : match.start()]), (True, match.group(1))]
        at = match.end()
    found.append((False, text[at:]))
    if any(brace in piece for is_name, piece in found if not is_name for brace in "{}"):
        raise Refused(pointer, "template", "A brace in a template must open or close a placeholder.")
    return [piece for piece in found if piece[1] or piece[0]]
