"""Read query parameters by the menu: each must be known, and is converted by its JSON Schema.

A list is given by repeating its parameter: `s__in=a&s__in=b`. Each is one value then, commas included. Given once, it
may hold several values, with commas between them that are not percent-encoded: `s__in=a,b`. An encoded comma belongs to
the value, unless no value of this list can hold one, as with numbers: there it separates too
(docs/decisions/0015-lists-in-queries.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import unquote_to_bytes

from tidings.model import moment
from tidings.model.errors import Invalid, Malformed, Place
from tidings.rules.reading import decimals, exact
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.web.operation import Operation, Parameter

TEXT_CHARS_MAX = 1000
"""The limit for a text whose schema has no `maxLength`."""
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_WITHOUT_COMMAS = ("date", "date-time", "decimal")
_DATE = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]")
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")


def read(text: str, operation: Operation) -> dict[str, Any]:
    """The parameters that were given, by name. Times are Micros, decimals `Decimal`, lists are lists.

    Raises Malformed if the text cannot be read, Invalid for unknown, repeated and wrong parameters.
    """
    known = operation.known
    given: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    wrong: list[Place] = []
    for name, value in pairs(text):
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        parameter = known.get(name)
        if parameter is None:
            offer = f"The parameters are: {', '.join(sorted(known))}." if known else "This operation takes none."
            wrong.append(_place(name[:100], "unknown_parameter", f"Unknown parameter {name[:100]!r}. {offer}"))
        elif len(values) > 1 and parameter.schema.get("type") != "array":
            wrong.append(_place(name, "repeated", f"The parameter {name!r} is given twice."))
        else:
            try:
                found[name] = convert(parameter, values)
            except ValueError as error:
                wrong.append(_place(name, "wrong_value", f"{name} must be {error}."))
    wrong.extend(
        _place(name, "missing", f"The parameter {name!r} is required.")
        for name, parameter in known.items()
        if parameter.required and name not in given
    )
    wrong.extend(_empty_spans(found, known, given))
    if wrong:
        raise Invalid("The query has wrong parameters.", errors=wrong)
    return found


def _empty_spans(found: dict[str, Any], known: Mapping[str, Parameter], given: dict[str, list[str]]) -> Iterator[Place]:
    """Report empty time ranges, because an empty response would look as if nothing existed."""
    for name, value in found.items():
        stem, _, operator = name.rpartition("__")
        if operator not in ("gte", "gt") or known[name].schema.get("format") not in ("date-time", "date"):
            continue
        for other in (f"{stem}__lt", f"{stem}__lte"):
            end = found.get(other)
            closed = operator == "gte" and other.endswith("lte")
            if end is not None and (value > end or (value == end and not closed)):
                first, last = _decoded(given[name][0])[:50], _decoded(given[other][0])[:50]
                yield _place(
                    other, "empty_range", f"The range between `{name}` ({first}) and `{other}` ({last}) is empty."
                )


def one(text: str, name: str) -> str:
    """The first value of a parameter, before the query is read; empty if it is missing."""
    if name not in text:
        return ""
    return next((value for its_name, value in pairs(text) if its_name == name), "")


def convert(parameter: Parameter, values: Sequence[str]) -> Any:
    """A parameter's value, by its schema. `values`: as written in the URL; several only for a list.

    Raises ValueError with the words that follow "must be", Malformed for what cannot be decoded.
    """
    schema = parameter.schema
    if schema.get("type") != "array":
        return _convert(schema, _decoded(values[0]))
    items, most = schema.get("items", {}), schema.get("maxItems", 100)
    texts = _list(items, values)
    if len(texts) > most:
        raise ValueError(f"a list of at most {most} values")
    return [_each(items, text) for text in texts]


def _list(items: dict[str, Any], values: Sequence[str]) -> list[str]:
    """The values of a list, decoded."""
    if len(values) > 1 or "," in values[0]:
        return [_decoded(value) for value in (values if len(values) > 1 else values[0].split(","))]
    whole = _decoded(values[0])
    return whole.split(",") if "," in whole and not _may_hold_comma(items, whole) else [whole]


def _each(items: dict[str, Any], text: str) -> Any:
    """One value of a list. Raises ValueError that says which one is wrong."""
    try:
        return _convert(items, text)
    except ValueError as wrong:
        shown = repr(text[:100])
        raise ValueError(f"{wrong}" if shown in str(wrong) else f"{wrong}, not {shown}") from None


def _may_hold_comma(items: dict[str, Any], whole: str) -> bool:
    """Whether a text with commas may be one value of a list of these."""
    if "enum" in items:
        return whole in items["enum"]
    if items.get("type") != "string" or items.get("format") in _WITHOUT_COMMAS:
        return False
    return "pattern" not in items or re.fullmatch(items["pattern"], whole) is not None


def _convert(schema: dict[str, Any], text: str) -> Any:
    kind = schema.get("type")
    if kind == "integer":
        low, high = schema.get("minimum", INTEGER_MIN), schema.get("maximum", INTEGER_MAX)
        if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"an integer{_between(low, high)}")
        return int(text)
    if kind == "number":
        if not _NUMBER.fullmatch(text):
            raise ValueError("a number such as 12.5")
        if not exact.is_kept(text):
            raise ValueError(f"a number that a double can hold exactly: {text[:50]} {exact.lost(text)}")
        return float(text)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"
    if "enum" in schema and text not in schema["enum"]:
        raise ValueError(f"one of {', '.join(schema['enum'])}, not {text[:100]!r}")
    if schema.get("format") == "date-time":
        return _time(text)
    if schema.get("format") == "decimal":
        return decimals.read(text)
    if schema.get("format") == "date":
        return _date(text)
    if len(text) > schema.get("maxLength", TEXT_CHARS_MAX):
        raise ValueError(f"at most {schema.get('maxLength', 1000)} characters long")
    if not text and schema.get("minLength", 0):
        raise ValueError("a non-empty string")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], text):
        said = schema.get("description", f"a string that matches {schema['pattern']}")
        raise ValueError(f"{said}, not {text[:100]!r}")
    return text


def _time(text: str) -> moment.Micros:
    try:
        return moment.from_text(text)
    except ValueError:
        hint = " (write the + of an offset as %2B)" if " " in text else ""
        raise ValueError(f"an RFC 3339 time such as 2026-11-21T01:02:03Z, in the years 1 to 9999{hint}") from None


def _date(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError("a date such as 2026-11-21")


def _between(low: int, high: int) -> str:
    if low > INTEGER_MIN and high == INTEGER_MAX:
        return f" of at least {low}"
    return f" between {low} and {high}"


def pairs(text: str) -> list[tuple[str, str]]:
    """Names, decoded, and values as written."""
    pairs = []
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_decoded(name), value))
    return pairs


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text and text.isascii() and "\0" not in text:
        return text
    try:
        plain = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Malformed("After percent-decoding, the query is not valid UTF-8.") from None
    if "\0" in plain:
        raise Malformed("The query contains the character NUL.")
    return plain


def _place(name: str, code: str, detail: str) -> Place:
    return Place(parameter=name, code=code, detail=detail)
