"""Times on the command line: RFC 3339, or an age."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from tidings.model import moment
from tidings.model.moment import SECOND, Micros

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Since = Annotated[
    str | None,
    typer.Option(help="The start: a time such as 2026-11-21T01:02:03Z, or an age such as 2h.", metavar="TIME"),
]
Until = Annotated[str | None, typer.Option(help="The end (exclusive), in the same form as --since.", metavar="TIME")]


def between(since: str | None, until: str | None, now: Micros) -> tuple[str | None, str | None]:
    """Both ends of a span in the form of the API. Raises ValueError if the span is empty."""
    first, last = when(since, now), when(until, now)
    if first is not None and last is not None and first >= last:
        raise ValueError(f"--since ({first}) must be earlier than --until ({last}).")
    return first, last


def when(text: str | None, now: Micros) -> str | None:
    """The time in the form of the API. `30s`, `5m`, `2h` and `7d` are before `now`. Raises ValueError."""
    if text is None:
        return None
    match = _AGO.fullmatch(text)
    if match is not None:
        return moment.to_text(now - int(match[1]) * _SECONDS[match[2]] * SECOND)
    try:
        return moment.to_text(moment.from_text(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; write a time such as 2026-11-21T01:02:03Z, or an age such as 2h"
        ) from None
