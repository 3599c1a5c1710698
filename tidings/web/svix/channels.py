"""Channels: Svix's second axis next to event types, as the subject of an event and a filter of an endpoint.

A message on the channels `a` and `b` is an event with the subject `a b`; no channel has a space. An endpoint with
channels has a filter that asks for one of these words. So routing, replays, the portal and every explanation work with
channels without knowing about them (docs/decisions/0065).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tidings.model.event import SUBJECT_CHARS_MAX
from tidings.rules.reading.refused import Refused

_CHANNELS = re.compile(r"[a-zA-Z0-9\-_.]+(?: [a-zA-Z0-9\-_.]+)*")
OPERATORS = ("$startsWith", "$endsWith", "$contains")


def subject_of(channels: Sequence[str] | None) -> str | None:
    """The subject of a message on these channels. Raises Refused if they are too long in total."""
    if not channels:
        return None
    text = " ".join(dict.fromkeys(channels))
    if len(text) > SUBJECT_CHARS_MAX:
        detail = f"The channels of a message may have at most {SUBJECT_CHARS_MAX} characters in total."
        raise Refused("/channels", "too_long", detail)
    return text


def channels_of(subject: str | None) -> list[str] | None:
    """The channels of an event; None if it has none."""
    return subject.split(" ") if subject is not None and _CHANNELS.fullmatch(subject) else None


def filter_of(channels: Sequence[str] | None, own: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The filter of an endpoint with these channels, combined with its `own` filter; None if there is no filter."""
    if not channels:
        return own
    words = sorted(set(channels))
    asked: list[Any] = [{"subject": {"$in": words}}]
    for word in words:
        asked += [{"subject": {name: text}} for name, text in zip(OPERATORS, _within(word), strict=True)]
    wanted = {"$or": asked}
    return wanted if own is None else {"$and": [own, wanted]}


def split(pattern: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[str] | None]:
    """The own filter and the channels that `filter_of` combined."""
    if pattern is None:
        return None, None
    both = pattern.get("$and") if len(pattern) == 1 else None
    own, wanted = both if isinstance(both, list) and len(both) == 2 else (None, pattern)
    channels = _asked(wanted)
    if channels is not None and filter_of(channels, own) == pattern:
        return own, channels
    return pattern, None


def _within(word: str) -> tuple[str, str, str]:
    return f"{word} ", f" {word}", f" {word} "


def _asked(wanted: Any) -> list[str] | None:
    """The channels, if this begins like a filter of them."""
    try:
        words = wanted["$or"][0]["subject"]["$in"]
    except (KeyError, IndexError, TypeError):
        return None
    return words if isinstance(words, list) and all(isinstance(each, str) for each in words) else None
