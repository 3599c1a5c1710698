"""Whole numbers on the command line: the digits 0 to 9, where Python's own `int` also takes ٣ and 1_000."""

from __future__ import annotations

import typer

from tidings.model.digits import is_digits


def whole(given: str | int) -> int:
    """A whole number from 0. Raises BadParameter."""
    text = str(given)
    if not is_digits(text) or len(text) > 18:
        raise typer.BadParameter(f"{text[:50]!r} is not a whole number such as 5.")
    return int(text)


def counting(given: str | int) -> int:
    """A whole number from 1. Raises BadParameter."""
    found = whole(given)
    if found < 1:
        raise typer.BadParameter("The number must be at least 1.")
    return found
