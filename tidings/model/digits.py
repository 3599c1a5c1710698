"""Digits as people and machines send them: 0 to 9 only. Python's own `int` and `isdigit` also take ٣, ² and 1_000."""

from __future__ import annotations

INDEX_DIGITS_MAX = 15
"""The maximum number of digits of an index. Python itself refuses to convert thousands of digits."""


def is_digits(text: str) -> bool:
    """Whether a text is one or more of the digits 0 to 9, and nothing else."""
    return text.isascii() and text.isdigit()


def index_of(text: str) -> int | None:
    """The index in a list that a text gives; None if it is not an index, or is beyond every list."""
    return int(text) if is_digits(text) and len(text) <= INDEX_DIGITS_MAX else None
