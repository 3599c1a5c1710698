"""Values of events for templates: every number keeps its digits, even if it fits neither into 64 bits nor into a
double.

Such a number is `msgspec.Raw` here, so `encode` writes it as it was sent.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import jiter
import msgspec

from tidings.rules.reading import exact
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN

DIGITS_MAX = 4_300
EXACT = Context(prec=3 * DIGITS_MAX)
"""The context for calculating with such numbers without losing a digit."""
_ALIKE = bytes.maketrans(b"123456789.E", b"0000000000e")
"""Makes digits, dots and exponent signs look alike, so that the searches below need no regular expression."""
_LONG = b"0" * 16


def may_be_long(text: str) -> bool:
    """Whether a JSON text may have a number that no type of Python keeps: sixteen digits, or an exponent of three."""
    alike = text.encode("utf-8", "surrogatepass").translate(_ALIKE)
    return _LONG in alike or b"0e000" in alike or b"0e+000" in alike or b"0e-000" in alike


def read(text: str) -> Any:
    """A JSON text of an event; numbers that neither 64 bits nor a double keep are `msgspec.Raw`."""
    if not may_be_long(text):
        return msgspec.json.decode(text)
    return _whole(jiter.from_json(text.encode(), float_mode="lossless-float"))


def plain(value: Any) -> Any:
    """A structure in which equal numbers are written alike, as 1 for 1.0 or 1e0: for comparing, not for showing."""
    kind = type(value)
    if kind is dict:
        return {name: plain(each) for name, each in value.items()}
    if kind is list:
        return [plain(each) for each in value]
    if kind is not msgspec.Raw and not (kind is float and value.is_integer()):
        return value
    number = exactly(value)
    if number is None:
        return value
    if number.copy_abs() <= INTEGER_MAX and number == number.to_integral_value():
        return int(number)
    return msgspec.Raw(str(number.normalize(EXACT)).encode())


def exactly(value: Any) -> Decimal | None:
    """A number as a decimal; None if it has more than DIGITS_MAX digits, zeros included."""
    text = bytes(value).decode() if type(value) is msgspec.Raw else repr(value)
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    return number if len(text) <= DIGITS_MAX and abs(number.adjusted()) <= DIGITS_MAX else None


def encode(value: Any) -> bytes:
    """A filled structure as JSON."""
    return msgspec.json.encode(value)


def shown(value: Any) -> Any:
    """How values appear in text: missing ones and null are empty, lists and objects are JSON."""
    if value is None:
        return ""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is msgspec.Raw:
        return bytes(value).decode()
    return encode(value).decode() if type(value) in (dict, list) else value


def _whole(value: Any) -> Any:
    if type(value) is dict:
        return {name: _whole(each) for name, each in value.items()}
    if type(value) is list:
        return [_whole(each) for each in value]
    if type(value) is jiter.LosslessFloat:
        text = str(value)
        return float(text) if exact.is_kept(text) else msgspec.Raw(text.encode())
    if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        return msgspec.Raw(str(value).encode())
    return value
