"""Moments as answers write them."""

from __future__ import annotations

from tidings.model import moment


def time_text(at: moment.Micros | None) -> str | None:
    """A moment as answers write it."""
    return None if at is None else moment.to_text(at)
