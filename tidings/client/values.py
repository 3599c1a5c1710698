"""Values for which JSON has no type, in the API's form."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def as_text(value: Any) -> str:
    """A Decimal in the API's form. Raises TypeError for anything else."""
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    raise TypeError(f"{value!r} cannot be written as JSON")
