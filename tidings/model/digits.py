"""Digits as people and machines send them: 0 to 9 only. Python's own `int` and `isdigit` also take ٣, ² and 1_000."""

from __future__ import annotations


def is_digits(text: str) -> bool:
    """Whether a text is one or more of the digits 0 to 9, and nothing else."""
    return text.isascii() and text.isdigit()
