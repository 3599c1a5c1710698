"""Grouping reasons of attempts: sentences that differ only in numbers and ids are the same reason."""

from __future__ import annotations

import re
from collections.abc import Collection

NUMBER, ID = "#", "*"
FOLDED_CHARS_MAX = 300
_CHANGING = re.compile(
    # Our ids, UUIDs, long hexadecimal numbers; other numbers.
    r"(?P<id>\b[a-z]{2,5}_[0-9a-z]{20,}\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{16,}\b)"
    r"|[0-9]+(?:[.,:][0-9]+)*"
)

_PLACES = re.compile(r"#+|(?<![\w.*])\*(?![\w.*])")


def folded(reason: str | None, status: int | None) -> str | None:
    """The reason with `#` for numbers and `*` for ids. The HTTP status is unchanged; a long reason is cut."""
    if reason is None:
        return None

    def fold(match: re.Match[str]) -> str:
        if match["id"] is not None:
            return ID
        text = match[0]
        return text if status is not None and text == str(status) else NUMBER

    text = _CHANGING.sub(fold, reason[: 2 * FOLDED_CHARS_MAX])
    return text if len(text) <= FOLDED_CHARS_MAX else f"{text[:FOLDED_CHARS_MAX]}..."


def readable(reason: str | None) -> str | None:
    """A group's reason for people, with `…` for what differs: `… of … bytes arrived`."""
    return None if reason is None else _PLACES.sub("…", reason)


def of_all(reasons: Collection[str | None], status: int | None) -> str | None:
    """The reason of a group: unchanged if all are equal, folded if they differ only in numbers and ids."""
    first = next(iter(reasons), None)
    if first is None or len(first) > FOLDED_CHARS_MAX or len(set(reasons)) > 1:
        return folded(first, status)
    return first
