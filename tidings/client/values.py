"""Values that JSON has no words for, as the API has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def as_text(value: Any) -> str:
    """A Decimal as the API has decimals. Raises TypeError for anything else."""
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    raise TypeError(f"{value!r} cannot be written as JSON")
