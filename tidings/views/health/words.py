"""How reports on health say durations and numbers."""

from __future__ import annotations

from tidings.model.moment import DAY, HOUR, MINUTE, SECOND, Micros

_UNITS = ((DAY, 2, "days"), (HOUR, 2, "h"), (MINUTE, 2, "min"))


def age(duration: Micros) -> str:
    """`40 s`, `57 min`, `30 h`, `3 days`: the largest unit of which there are two or more."""
    for unit, least, name in _UNITS:
        if duration >= least * unit:
            return f"{duration // unit:,} {name}"
    return f"{max(0, duration) // SECOND} s"


def many(count: int, kind: str) -> str:
    """`1 endpoint`, `1,204 links`."""
    return f"{count:,} {kind}{'' if count == 1 else 's'}"


def at_least(count: int, is_more: bool) -> str:
    """`1,204`, or `1,000+` if there are more."""
    return f"{count:,}{'+' if is_more else ''}"
