"""Numbers that a double can represent. A number is stored as it was sent, or refused.

A double keeps a number if it is written as the same number again: 0.1, 1e23 and 9007199254740992 are kept,
9007199254740993 (written as 9007199254740992) and 12345678901234567.89 are not. Every number of up to 15 digits is
kept.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

SURE_DIGITS = 15
"""A double keeps every number with this many digits, within its range."""
ADVICE = "use the type decimal or integer, or a string"
_SURE_WHOLE = 10**SURE_DIGITS


def is_kept(text: str) -> bool:
    """Whether a double keeps this (well-formed) JSON number."""
    double = float(text)
    written = repr(double)
    if written == text:
        return True
    if not math.isfinite(double):
        return False
    try:
        return Decimal(text) == Decimal(written)
    except InvalidOperation:
        # An exponent of more than eighteen digits.
        return False


def is_whole_kept(value: int) -> bool:
    """The same for a whole number."""
    return -_SURE_WHOLE <= value <= _SURE_WHOLE or is_kept(str(value))


def fits(kind: str, value: object) -> bool:
    """Whether a field of this type would keep a number unchanged."""
    if kind == "number" and type(value) is int:
        return is_whole_kept(value)
    if kind == "integer" and type(value) is float:
        try:
            whole(value)
        except ValueError:
            return False
    return True


def whole(value: float) -> int:
    """The whole number that a double represents, such as 5 for 5.0.

    Raises ValueError with the words after "must be" if its digits are not those of the whole number it stands for.
    """
    found = int(value)
    if abs(found) > _SURE_WHOLE and Decimal(repr(value)) != found:
        raise ValueError("an integer with all its digits, not a power of ten")
    return found


def lost(text: str) -> str:
    """The words for a number that a double cannot represent."""
    if not math.isfinite(float(text)):
        return f"is too large for a double; {ADVICE}"
    return f"does not fit into a double exactly: it would become {float(text)!r}; {ADVICE}"
