"""Decimals: exact numbers, strings in JSON (`"12.30"`), `Decimal` in stored form.

A field has at most `max_digits` digits, `scale` of them after the point, and shows all of these: with scale 2, 12.3 is
"12.30". If a store has no decimals (SQLite), `key` is a text that sorts and compares like the number.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tidings.model.collection import Field

DIGITS_MAX = 38
MAX_DIGITS, SCALE = 20, 2
"""The defaults, for fields that do not set these."""
ASKED_CHARS = 2 * DIGITS_MAX + 2
ASKED = rf"-?(0|[1-9][0-9]{{0,{DIGITS_MAX - 1}}})(\.[0-9]{{1,{DIGITS_MAX}}})?"
"""A pattern for what a decimal may be compared with: it may have more digits than the field."""
WORDS = 'a decimal such as "12.30"'

_ASKED = re.compile(ASKED)
_HALF = 50
"""Added to the power of ten in a key, so that it has two digits and no sign."""
_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_END = "~"
"""Ends a negative key: it sorts after all digits, as the shorter of two negative numbers does."""


def max_digits(field: Field) -> int:
    """The maximum number of digits of its values."""
    return MAX_DIGITS if field.max_digits is None else field.max_digits


def scale(field: Field) -> int:
    """How many digits of its values are after the decimal point."""
    return SCALE if field.scale is None else field.scale


def pattern(field: Field) -> str:
    """The regular expression of a field's values."""
    whole, part = max_digits(field) - scale(field), scale(field)
    before = "0" if whole == 0 else f"(0|[1-9][0-9]{{0,{whole - 1}}})"
    return f"^-?{before}" + (rf"(\.[0-9]{{1,{part}}})?$" if part else "$")


def chars_max(field: Field) -> int:
    """The longest text of a field's values: a sign, a zero and a point besides the digits."""
    return max_digits(field) + 3


def rule(field: Field) -> str:
    """What a field's value must be, in words that follow "must be"."""
    example = shown(Decimal(0 if max_digits(field) == scale(field) else 5), scale(field))
    limits = f"at most {max_digits(field)} digits, {scale(field)} of them after the point"
    return f'a decimal as a string, such as "{example}", with {limits}'


def example(field: Field) -> str:
    """A value that the field may have, unless its `min` and `max` leave none."""
    within = [bound for bound in (field.min, field.max) if bound is not None]
    return shown(read(str(within[0])) if within else Decimal(0), scale(field))


def read(text: str) -> Decimal:
    """A decimal from its text. Raises ValueError with the words after "must be"."""
    if not is_one(text):
        raise ValueError(WORDS)
    return of(text)


def is_one(text: str) -> bool:
    """Whether a text is a decimal."""
    return len(text) <= ASKED_CHARS and _ASKED.fullmatch(text) is not None


def of(value: float | str) -> Decimal:
    """The decimal of a number or of a decimal's text; for a double, the decimal that it is written as."""
    found = Decimal(repr(value) if isinstance(value, float) else value)
    # Zero has one sign.
    return found if found else found.copy_abs()


def shown(value: Decimal, scale: int) -> str:
    """A decimal in JSON form, with `scale` digits after the point, or more if it has more."""
    whole, _, part = f"{value:f}".partition(".")
    part = part.rstrip("0").ljust(scale, "0")
    return f"{whole}.{part}" if part else whole


def plain(value: Decimal) -> str:
    """A decimal with no more digits than it needs."""
    return shown(value, 0)


def key(value: Decimal) -> str:
    """A text that compares with other keys as the decimals compare."""
    sign, digits, _ = value.as_tuple()
    if not value:
        return "1"
    power, text = value.adjusted(), "".join(map(str, digits)).rstrip("0")
    if sign:
        return f"0{_HALF - 1 - power:02d}{text.translate(_COMPLEMENT)}{_END}"
    return f"2{_HALF + power:02d}{text}"


def from_key(text: str) -> Decimal:
    """The decimal of a key."""
    if text == "1":
        return Decimal(0)
    power, digits, sign = int(text[1:3]) - _HALF, text[3:], ""
    if text[0] == "0":
        power, digits, sign = -1 - power, digits[:-1].translate(_COMPLEMENT), "-"
    # Written out, so that no power of ten shows.
    digits = digits.ljust(power + 1, "0")
    return Decimal(f"{sign}{digits}E{power + 1 - len(digits)}")
