"""Read query parameters by the menu: each is known, given once, and converted by its JSON Schema."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any
from urllib.parse import unquote_to_bytes

from tidings.model import moment
from tidings.model.errors import Invalid, Malformed, Place
from tidings.web.menu import Operation, Parameter

TEXT_CHARS_MAX = 1000
"""Of a text whose schema says no `maxLength`."""
_INTEGER = re.compile(r"-?\d{1,18}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"-?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?")


def read(text: str, operation: Operation) -> dict[str, Any]:
    """The parameters that were given, by name. Times are Micros, lists (`__in`) are lists.

    Raises Malformed where the text cannot be read, Invalid for unknown, repeated and wrong parameters.
    """
    known = operation.known
    found: dict[str, Any] = {}
    wrong: list[Place] = []
    for name, value in _pairs(text):
        parameter = known.get(name)
        if parameter is None:
            offer = f"The parameters are: {', '.join(sorted(known))}." if known else "It takes none."
            wrong.append(_place(name[:100], "unknown_parameter", f"There is no parameter {name[:100]!r} here. {offer}"))
        elif name in found:
            wrong.append(_place(name, "repeated", f"The parameter {name!r} is given twice."))
        else:
            try:
                found[name] = convert(parameter, value)
            except ValueError as error:
                wrong.append(_place(name, "wrong_value", f"{name} must be {error}."))
    wrong.extend(
        _place(name, "missing", f"The parameter {name!r} is needed.")
        for name, parameter in known.items()
        if parameter.required and name not in found
    )
    if wrong:
        raise Invalid("The query has wrong parameters.", errors=wrong)
    return found


def convert(parameter: Parameter, text: str) -> Any:
    """One value by its schema. Raises ValueError with the words that follow "must be"."""
    return _convert(parameter.schema, text)


def _convert(schema: dict[str, Any], text: str) -> Any:
    kind = schema.get("type")
    if kind == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        if (
            not _INTEGER.fullmatch(text)
            or (low is not None and int(text) < low)
            or (high is not None and int(text) > high)
        ):
            raise ValueError(f"an integer{_between(low, high)}")
        return int(text)
    if kind == "number":
        if not _NUMBER.fullmatch(text) or math.isinf(float(text)):
            raise ValueError("a number such as 12.5")
        return float(text)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"
    if kind == "array":
        items = text.split(",")
        if len(items) > schema.get("maxItems", 100):
            raise ValueError(f"a list of at most {schema.get('maxItems', 100)} values")
        return [_convert(schema.get("items", {}), item) for item in items]
    if "enum" in schema and text not in schema["enum"]:
        raise ValueError(f"one of {', '.join(schema['enum'])}, not {text[:100]!r}")
    if schema.get("format") == "date-time":
        return _time(text)
    if schema.get("format") == "date":
        return _date(text)
    if len(text) > schema.get("maxLength", TEXT_CHARS_MAX):
        raise ValueError(f"at most {schema.get('maxLength', 1000)} characters long")
    if not text and schema.get("minLength", 0):
        raise ValueError("a text that is not empty")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], text):
        said = schema.get("description", f"a text that matches {schema['pattern']}")
        raise ValueError(f"{said}, not {text[:100]!r}")
    return text


def _time(text: str) -> moment.Micros:
    try:
        return moment.from_text(text)
    except ValueError:
        hint = " (write the + of a zone as %2B)" if " " in text else ""
        raise ValueError(f"an RFC 3339 time such as 2026-11-21T01:02:03Z, of the years 1 to 9999{hint}") from None


def _date(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError("a date such as 2026-11-21")


def _between(low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return f" between {low} and {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text and text.isascii() and "\0" not in text:
        return text
    try:
        plain = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Malformed("The query is not UTF-8 after percent-decoding.") from None
    if "\0" in plain:
        raise Malformed("The query contains the character NUL.")
    return plain


def _place(name: str, code: str, detail: str) -> Place:
    return Place(parameter=name, code=code, detail=detail)
