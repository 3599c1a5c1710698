"""Read a request's body into its operation's struct, and report every error with its location."""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from tidings.model.errors import BadMedia, Invalid, Malformed, Place
from tidings.rules.reading import jsontext
from tidings.rules.reading.refused import escaped
from tidings.web.operation import BodySchema

ERRORS_MAX = 50
"""The maximum number of errors that are reported."""
_MEDIA_KNOWN_MAX = 256

T = TypeVar("T", bound=msgspec.Struct)
_media_known: dict[tuple[str, bool], bool] = {}
_AT = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_FRACTION = re.compile("Expected `int[^`]*`, got `float`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+|\.\.\.)\]")
_NOT_CHOSEN = re.compile("Invalid enum value (.*)", re.DOTALL)
_PATTERN = re.compile(r"Expected `str` matching regex '(.*)'", re.DOTALL)
_PATTERNS = {r"^[a-zA-Z0-9\\-_.]+$": "Expected only letters without accents, digits, and the characters - _ and ."}
"""Patterns, as msgspec writes them, and what they mean in words."""
_KINDS = re.compile("`([a-z]+(?: \\| [a-z]+)*)`")
_WORDS = {"str": "a string", "int": "an integer", "float": "a number", "bool": "true or false"} | {
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def check_media(content_type: str | None, *, merge_patch: bool = False) -> None:
    """Raise BadMedia if a body is not JSON in UTF-8. A missing Content-Type is taken as JSON."""
    if content_type is None:
        return
    known = _media_known.get((content_type, merge_patch))
    if known is None:
        if len(_media_known) >= _MEDIA_KNOWN_MAX:
            _media_known.clear()
        known = _media_known[content_type, merge_patch] = _is_json(content_type, merge_patch)
    if not known:
        raise BadMedia(f"Content-Type is {content_type[:100]!r}. Send application/json, in UTF-8.")


def check_encoding(encoding: str | None) -> None:
    """Raise BadMedia for a compressed body: it is not decompressed here."""
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise BadMedia(f"Content-Encoding is {encoding[:100]!r}. Send the body uncompressed, without this header.")


def check_file(content_type: str | None, medias: Sequence[str]) -> None:
    """Raise BadMedia unless a file has one of these media types, in UTF-8."""
    media, *parameters = [part.strip().lower() for part in (content_type or "").split(";")]
    if media not in medias or not _is_utf8(parameters):
        raise BadMedia(f"Content-Type is {(content_type or '')[:100]!r}. Send {' or '.join(medias)}, in UTF-8.")


def read_body(raw: bytes, kind: type[msgspec.Struct] | BodySchema) -> tuple[msgspec.Struct | None, Any]:
    """What `read` returns; for a BodySchema, which its operation checks itself, only the plain values."""
    if not isinstance(kind, BodySchema):
        return read(raw, kind)
    try:
        return None, plain(raw)
    except jsontext.NotExact as wrong:
        if kind.places is None:
            raise
        told = frozenset((place.pointer or "/").split("/")[1] for place in wrong.errors)
        raise Invalid(wrong.detail, errors=[*wrong.errors, *kind.places(wrong.value, told)][:ERRORS_MAX]) from None


def plain(raw: bytes) -> Any:
    """A body as plain values. Raises Malformed if it is not JSON, and Invalid for a number that would be changed."""
    if not raw:
        raise Malformed("The body is empty; this operation requires a JSON object.")
    return jsontext.read_exact(raw)


Beside = Callable[[Any, frozenset[str]], list[Place]]
"""Finds further errors in plain values, given the pointers of the known ones."""


def read(raw: bytes, kind: type[T], beside: Beside = lambda value, told: []) -> tuple[T, Any]:
    """The struct, and the body as plain values. Raises Malformed if it is not JSON, Invalid for wrong values.

    `beside`: finds the errors other than numbers that would be changed, so that one response names them all.
    """
    try:
        # If the member that matters is kept as text, none of its numbers can be changed.
        value = jsontext.read(raw) if raw and _is_verbatim(kind) else plain(raw)
    except jsontext.NotExact as wrong:
        others: list[Place] = []
        _walk(wrong.value, kind, "", others)
        told = frozenset(place.pointer or "" for place in wrong.errors)
        others += beside(wrong.value, told)
        errors = [*wrong.errors, *(place for place in others if place.pointer not in told)]
        raise Invalid(wrong.detail, errors=errors[:ERRORS_MAX]) from None
    try:
        return _decoder(kind).decode(raw), value
    except msgspec.ValidationError as wrong:
        raise Invalid("The body has wrong values.", errors=_explained(value, kind, str(wrong))) from None
    except msgspec.DecodeError as wrong:
        raise Malformed(f"The body is not JSON: {wrong}.") from None


@cache
def _is_verbatim(kind: Any) -> bool:
    """Whether a struct, or those that it lists, keeps a member as the received text."""
    struct, items, _ = _shape(kind)
    if struct is None:
        return kind is msgspec.Raw or (items is not None and _is_verbatim(items))
    return any(_is_verbatim(field.type) for field in msgspec.structs.fields(struct))


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def _is_json(content_type: str, merge_patch: bool) -> bool:
    media, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if media != "application/json" and not (merge_patch and media == "application/merge-patch+json"):
        return False
    return _is_utf8(parameters)


def _is_utf8(parameters: Sequence[str]) -> bool:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return False
    return True


# --- every wrong place, worked out only after something was wrong ---------------------------------------------------


def _explained(value: Any, kind: Any, first: str) -> list[Place]:
    places: list[Place] = []
    _walk(value, kind, "", places)
    return places[:ERRORS_MAX] or [place("", first)]


def _walk(value: Any, kind: Any, pointer: str, places: list[Place]) -> None:
    """Collect the wrong places of a value: member by member of structs, and each value of lists and of maps."""
    struct, items, values = _shape(kind)
    told = len(places)
    if struct is not None and isinstance(value, dict):
        _walk_struct(value, struct, pointer, places)
        return
    if items is not None and isinstance(value, list):
        for index, item in enumerate(value):
            if len(places) >= ERRORS_MAX:
                return
            _walk(item, items, f"{pointer}/{index}", places)
        if len(places) > told:
            return
    if values is not None and isinstance(value, dict):
        for name, each in value.items():
            if len(places) >= ERRORS_MAX:
                return
            _walk(each, values, f"{pointer}/{escaped(name)}", places)
        if len(places) > told:
            return
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as wrong:
        places.append(place(pointer, str(wrong), kind))


def _walk_struct(value: dict[str, Any], struct: type[msgspec.Struct], pointer: str, places: list[Place]) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in value.keys() - fields.keys() if struct.__struct_config__.forbid_unknown_fields else ():
        known = ", ".join(sorted(fields))
        detail = f"There is no field {name[:100]!r}. The fields are: {known}."
        places.append(Place(pointer=f"{pointer}/{escaped(name)}", code="unknown_field", detail=detail))
    for name, field in fields.items():
        if name in value:
            if field.type is not msgspec.Raw:
                _walk(value[name], field.type, f"{pointer}/{escaped(name)}", places)
        elif field.required:
            places.append(
                Place(pointer=f"{pointer}/{escaped(name)}", code="missing", detail=f"The field {name!r} is required.")
            )


def _shape(kind: Any) -> tuple[type[msgspec.Struct] | None, Any, Any]:
    """The struct that a type is (or may be), or the type of a list's items, or of a map's values."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in args if arg not in (type(None), msgspec.UnsetType)]
        return _shape(inner[0]) if len(inner) == 1 else (None, None, None)
    if origin is typing.Annotated:
        return _shape(args[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, None, None
    if origin in (list, tuple) and args:
        return None, args[0], None
    if origin is dict:
        return None, None, args[1]
    return None, None, None


def _choices(kind: Any) -> list[str]:
    """The values of the Literals and enumerations in a type, as JSON."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [msgspec.json.encode(member).decode() for member in kind]
    args = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return [msgspec.json.encode(value).decode() for value in args]
    return [value for each in args for value in _choices(each)]


def _in_words(kinds: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds[1].split(" | "))


def _pattern_in_words(found: re.Match[str]) -> str:
    return _PATTERNS.get(found[1], f"Expected a string that matches {found[1]}")


def place(pointer: str, message: str, kind: Any = None) -> Place:
    """msgspec's words (`Expected `int`, got `str` - at `$.a[1]``) as a place of ours."""
    match = _AT.search(message)
    if match:
        message = message[: match.start()]
        for name, index in _STEP.findall(match[1]):
            if index == "...":
                break
            pointer += f"/{escaped(name) if name else index}"
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
    if unknown:
        detail = f"There is no field {unknown[1][:100]!r}."
        return Place(pointer=f"{pointer}/{escaped(unknown[1])}", code="unknown_field", detail=detail)
    missing = re.fullmatch(r"Object missing required field `(.*)`", message)
    if missing:
        detail = f"The field {missing[1]!r} is required."
        return Place(pointer=f"{pointer}/{escaped(missing[1])}", code="missing", detail=detail)
    # To JSON Schema 5.0 is a whole number; here it is not, so this has its own code.
    code = "not_whole" if _FRACTION.match(message) else "wrong_value"
    message = _PATTERN.sub(_pattern_in_words, message)
    message = _NOT_CHOSEN.sub(r"\1 is not allowed here", message)
    allowed = f" Allowed: {', '.join(choices)}." if (choices := _choices(kind)) else ""
    return Place(pointer=pointer, code=code, detail=_KINDS.sub(_in_words, message).rstrip(".") + f".{allowed}")
