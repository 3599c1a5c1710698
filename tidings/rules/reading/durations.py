"""Durations as people write them: `90s`, `15m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

from tidings.rules.reading.refused import Refused

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_TEXT = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")


def seconds(value: object, pointer: str, low: int, high: int) -> int:
    """A duration in seconds, from `low` to `high`. Raises Refused."""
    found = _TEXT.fullmatch(value) if type(value) is str and value else None
    if found is None:
        detail = "A duration must be written with d, h, m and s, in this order, as in 90s, 15m, 1h30m or 2d."
        raise Refused(pointer, "duration", detail)
    total = sum(int(number or 0) * size for number, size in zip(found.groups(), _UNITS.values(), strict=True))
    if not low <= total <= high:
        raise Refused(pointer, "out_of_range", f"The duration must be from {text(low)} to {text(high)}.")
    return total


def text(total: int) -> str:
    """Whole seconds as a duration, in the canonical form."""
    parts = []
    for unit, size in _UNITS.items():
        number, total = divmod(total, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
