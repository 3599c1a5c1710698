"""The filters of templates: `value | name(arguments)`. Each raises ValueError with what is wrong.

A filter gets the meter of the rendering first, and pays for its result before it makes it; its caller has paid for the
input. Filters of lists are in lists.py.

`date` writes a time as text: `{{ time | date('%Y-%m-%d', 'Europe/Berlin') }}`. `quote` puts a value in single quotes,
as the query language that it names reads it: `soql`, `sql` or `odata`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Any
from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode as query_of
from zoneinfo import ZoneInfo

import msgspec

from tidings.model import moment
from tidings.rules.templates import values
from tidings.rules.templates.meter import SLOT, STEP, RenderingMeter
from tidings.rules.templates.numbers import encode
from tidings.rules.templates.values import LONG, MISSING, described, is_true, sized, text

Filter = Callable[..., Any]

DIGESTS = ("sha256", "sha512", "sha1", "md5")
WIDTH_MAX = 1_000
"""The maximum of a width, a precision or an indentation, in characters."""
INDENT_MAX = 8
FORM_CHARS_MAX = 200
DIGITS_MAX = 400
_FLOAT_CHARS = 330
_PART = 4 * SLOT
"""The units that one more text costs."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS_FROM = 100_000_000_000
"""Numbers from this one on are milliseconds since 1970, smaller ones are seconds."""
_QUOTED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "soql": (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")),
    "sql": (("'", "''"),),
    "odata": (("'", "''"),),
}
_SPECIFIER = re.compile(r"%(?:\(([^()]*+)\))?+[-+ #0]*+([0-9]*+)(?:\.([0-9]*+))?+([diouxXeEfFgGcs%])|%")
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_IS_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PRECISE = Context(prec=60)
_ROUNDED = {"common": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}


def date(meter: RenderingMeter, value: Any, form: Any = "%Y-%m-%d", zone: Any = "UTC") -> str:
    """A time (RFC 3339, or seconds or milliseconds since 1970) as `strftime` writes it; a missing value remains
    missing."""
    if value is MISSING or value is None or value == "":
        return ""
    form, zone = text(form, meter), text(zone, meter)
    if len(form) > FORM_CHARS_MAX:
        raise ValueError(f"a date format can be at most {FORM_CHARS_MAX} characters long")
    try:
        found = ZoneInfo(zone)
    except (OSError, ValueError):
        raise ValueError(f"{zone[:50]!r} is not a time zone such as Europe/Berlin") from None
    return _time(value, meter).astimezone(found).strftime(form)


def quote(meter: RenderingMeter, value: Any, language: Any) -> str:
    """A value in single quotes, as a query language reads it."""
    if language not in _QUOTED:
        raise ValueError(f"quote requires one of {', '.join(_QUOTED)}")
    found = text(value, meter)
    if "\0" in found:
        raise ValueError("the value contains the character NUL, which no query can contain")
    meter.spend(2 * len(found))
    for character, escape in _QUOTED[language]:
        found = found.replace(character, escape)
    return f"'{found}'"


def b64(meter: RenderingMeter, value: Any) -> str:
    """The value's UTF-8 in base64."""
    return base64.b64encode(text(value, meter).encode()).decode()


def digest(meter: RenderingMeter, value: Any, algorithm: Any = "sha256") -> str:
    """A hash of the value's UTF-8, in hexadecimal."""
    if algorithm not in DIGESTS:
        raise ValueError(f"hash requires one of {', '.join(DIGESTS)}")
    found = text(value, meter)
    meter.spend(len(found))
    return hashlib.new(algorithm, found.encode(), usedforsecurity=False).hexdigest()


def tojson(meter: RenderingMeter, value: Any, indent: Any = 0) -> str:
    """The value as JSON text."""
    indent = int(indent) if type(indent) is bool else indent
    if type(indent) is not int or not 0 <= indent <= INDENT_MAX:
        raise ValueError(f"the indent of JSON must be a number from 0 to {INDENT_MAX}")
    value = None if value is MISSING else value
    before = meter.left
    depth = meter.weigh(value)
    if not indent:
        return encode(value).decode()
    meter.spend(((before - meter.left) // SLOT + 1) * depth * indent)
    return msgspec.json.format(encode(value), indent=indent).decode()


def format_(meter: RenderingMeter, form: Any, /, *several: Any, **named: Any) -> str:
    """Values in a printf format, such as `'%.2f' | format(data.amount / 100)`."""
    form = text(form, meter)
    given = {name: _printable(each, meter) for name, each in named.items()}
    listed = [_printable(each, meter) for each in several]
    longest = max((len(each) for each in (*listed, *given.values()) if type(each) is str), default=0)
    for specifier in _SPECIFIER.finditer(form):
        if not specifier[4]:
            raise ValueError(f"{form[specifier.start() :][:10]!r} is not a printf format such as %d, %.2f or %s")
        widths = [int(each) for each in (specifier[2], specifier[3]) if each and len(each) < 6]
        if len(widths) < bool(specifier[2]) + bool(specifier[3]) or any(each > WIDTH_MAX for each in widths):
            raise ValueError(f"the field widths of a format can be at most {WIDTH_MAX:,}")
        meter.spend(STEP + sum(widths) + (longest if specifier[4] == "s" else _FLOAT_CHARS))
    try:
        made = str(form % (given or tuple(listed)))
    except (TypeError, KeyError, OverflowError) as wrong:
        raise ValueError(f"the format {form[:50]!r} does not fit its values: {wrong}") from None
    if _NO_TEXT.search(made):
        raise ValueError(f"the format {form[:50]!r} makes a character that no text can contain")
    return made


def _printable(value: Any, meter: RenderingMeter) -> Any:
    return value if type(value) in (int, float) else text(value, meter)


def replace(meter: RenderingMeter, value: Any, old: Any, new: Any) -> str:
    """A text with each occurrence of `old` replaced."""
    found, before, after = text(value, meter), text(old, meter), text(new, meter)
    meter.spend(len(found) + found.count(before) * len(after))
    return found.replace(before, after)


def indent(meter: RenderingMeter, value: Any, width: Any = 4, first: Any = False, blank: Any = False) -> str:
    """A text with spaces before each line but the first."""
    if type(width) is not int or not 0 <= width <= WIDTH_MAX:
        raise ValueError(f"text can be indented by 0 to {WIDTH_MAX:,} characters")
    found = text(value, meter)
    meter.spend(len(found) + (found.count("\n") + 1) * width)
    space = " " * width
    lines = [space + line if is_true(blank) or line.strip() else line for line in found.split("\n")]
    return "\n".join(lines) if is_true(first) else "\n".join(lines)[width if found.split("\n", 1)[0].strip() else 0 :]


def truncate(meter: RenderingMeter, value: Any, length: Any = 255, killwords: Any = False, end: Any = "...") -> str:
    """At most `length` characters of a text, with `end` if it was longer."""
    found, tail = text(value, meter), text(end, meter)
    if type(length) is not int or length < len(tail):
        raise ValueError("the length of truncate must be a number that is not less than the length of its end")
    if len(found) <= length:
        return found
    cut = found[: length - len(tail)]
    return (cut if is_true(killwords) else cut.rsplit(" ", 1)[0]) + tail


def trim(meter: RenderingMeter, value: Any, chars: Any = None) -> str:
    """A text without the white space, or the given characters, around it."""
    return text(value, meter).strip(None if chars is None else text(chars, meter))


def urlencode(meter: RenderingMeter, value: Any) -> str:
    """A value percent-encoded; an object as the parameters of a query."""
    if type(value) is dict:
        meter.weigh(value)
        given = {name: text(each, meter) for name, each in value.items() if each is not None}
        return query_of(given, quote_via=percent_encoded)
    found = text(value, meter)
    meter.spend(3 * len(found))
    return percent_encoded(found)


def int_(meter: RenderingMeter, value: Any, default: Any = MISSING) -> Any:
    """A whole number: of a number without its fraction, or of a text."""
    return _as_number(int, value, default, meter)


def float_(meter: RenderingMeter, value: Any, default: Any = MISSING) -> Any:
    """A number with a fraction: of any number, or of a text."""
    return _as_number(float, value, default, meter)


def _as_number(kind: type, value: Any, default: Any, meter: RenderingMeter) -> Any:
    if type(value) in (int, float, bool):
        return sized(kind(value))
    written = "" if type(value) in (list, dict) else text(value, meter).strip()
    try:
        if len(written) > DIGITS_MAX or not _IS_NUMBER.fullmatch(written):
            raise ValueError
        return sized(kind(written) if kind is float or "." not in written else int(float(written)))
    except (ValueError, ArithmeticError):
        if default is not MISSING:
            return default
        raise ValueError(f"{described(value)} is not a number") from None


def abs_(meter: RenderingMeter, value: Any) -> Any:
    """A number without its sign."""
    return sized(abs(_number(value)))


def round_(meter: RenderingMeter, value: Any, precision: Any = 0, method: Any = "common") -> Any:
    """A number rounded to some digits, or by default to a whole number; half is rounded away from zero."""
    if type(precision) is not int or not -20 <= precision <= 20 or method not in _ROUNDED:
        raise ValueError("round requires -20 to 20 digits, and common, ceil or floor")
    number = _number(value)
    if abs(number) >= 1e20:
        return number
    digits = Decimal(1).scaleb(-precision)
    found = Decimal(repr(number)).quantize(digits, _ROUNDED[method], _PRECISE)
    return sized(int(found) if precision <= 0 else type(number)(found))


def _number(value: Any) -> Any:
    if type(value) in (int, float):
        return value
    raise ValueError(LONG if type(value) is msgspec.Raw else f"{described(value)} is not a number")


def default(meter: RenderingMeter, value: Any, other: Any = "", boolean: Any = False) -> Any:
    """Another value if this one is missing or, with `boolean`, counts as false."""
    return other if value is MISSING or (is_true(boolean) and not is_true(value)) else value


def split(meter: RenderingMeter, value: Any, separator: Any = None, most: Any = -1) -> list[str]:
    """The parts of a text between separators, or between white space."""
    found, by = text(value, meter), None if separator is None else text(separator, meter)
    if by == "" or type(most) is not int:
        raise ValueError("split requires a non-empty separator and a number")
    return _parts(meter, found, by, most)


def _parts(meter: RenderingMeter, found: str, by: str | None, most: int = -1) -> list[str]:
    affordable = meter.left // _PART
    parts = found.split(by, affordable if most < 0 else min(most, affordable))
    meter.spend(_PART * len(parts))
    return parts


def lines(meter: RenderingMeter, value: Any) -> list[str]:
    """The lines of a text."""
    found = _parts(meter, text(value, meter).replace("\r\n", "\n"), "\n")
    return found if found[-1] else found[:-1]


def _of_text(change: Callable[[str], Any]) -> Filter:
    def changed(meter: RenderingMeter, value: Any) -> Any:
        return change(text(value, meter))

    return changed


def _time(value: Any, meter: RenderingMeter) -> datetime:
    if type(value) in (int, float) and abs(value) < 1e15:
        return _EPOCH + timedelta(seconds=value / 1000 if abs(value) >= _MILLIS_FROM else value)
    written = text(value, meter)
    try:
        micros = moment.from_text(written if "T" in written or " " in written else f"{written}T00:00:00Z")
    except ValueError:
        raise ValueError(f"{written[:50]!r} is not a time such as 2026-01-31T09:00:00Z") from None
    return _EPOCH + timedelta(microseconds=micros)


OF_VALUES: Mapping[str, Filter] = {
    "abs": abs_,
    "b64": b64,
    "bool": lambda meter, value: is_true(value),
    "capitalize": _of_text(str.capitalize),
    "d": default,
    "date": date,
    "default": default,
    "float": float_,
    "format": format_,
    "hash": digest,
    "indent": indent,
    "int": int_,
    "json": lambda meter, value: tojson(meter, value),
    "lines": lines,
    "lower": _of_text(str.lower),
    "quote": quote,
    "replace": replace,
    "round": round_,
    "split": split,
    "string": lambda meter, value: values.text(value, meter),
    "title": _of_text(str.title),
    "tojson": tojson,
    "trim": trim,
    "truncate": truncate,
    "upper": _of_text(str.upper),
    "urlencode": urlencode,
    "wordcount": lambda meter, value: len(_parts(meter, text(value, meter), None)),
}
