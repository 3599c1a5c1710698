"""Names of event types, and patterns that select them: `tasks.completed`, `tasks.*`, `*`.

A name is parts joined by dots; a part has letters, digits, `_` and `-`; case matters. In a pattern, `*` alone matches
every type except Tidings' own (`endpoint.*`); as the last part it matches one or more parts: `tasks.*` matches
`tasks.done` and `tasks.done.late`, but neither `tasks` nor `tasksX.done`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from tidings.model.event import OWN_TYPES
from tidings.rules.reading.refused import Refused

TYPE_CHARS_MAX = 128
TYPE_RULE = (
    "An event type must consist of words (letters, digits, _ and -) joined by dots, such as tasks.completed, with at "
    "most "
    f"{TYPE_CHARS_MAX} characters."
)
PATTERNS_MAX = 200
EVERY = "*"

_TYPE = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


def is_type(name: str) -> bool:
    """Whether the text is the name of an event type."""
    return len(name) <= TYPE_CHARS_MAX and _TYPE.fullmatch(name) is not None


def check_type(name: object, pointer: str = "") -> str:
    """The name, checked. Raises Refused."""
    if isinstance(name, str) and is_type(name):
        return name
    raise Refused(pointer, "event_type", TYPE_RULE)


def check_patterns(patterns: object, pointer: str = "") -> tuple[str, ...]:
    """A list of patterns, checked. Raises Refused."""
    if not isinstance(patterns, list | tuple) or not 1 <= len(patterns) <= PATTERNS_MAX:
        detail = (
            f'Choose event types with a list of 1 to {PATTERNS_MAX} patterns; ["*"] matches all types except '
            "endpoint.*."
        )
        raise Refused(pointer, "event_pattern", detail)
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str) or not _is_pattern(pattern):
            detail = "A pattern must be an event type (tasks.completed), a prefix (tasks.*), or * for all."
            raise Refused(f"{pointer}/{index}", "event_pattern", detail)
    return tuple(patterns)


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """One function that says whether any of the (checked) patterns matches a type."""
    return _matcher(tuple(patterns))


@lru_cache(maxsize=1024)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith(".*"))
    if EVERY in patterns:
        # Events about endpoints go only to those who ask for them by name, so that they surprise nobody else.
        return lambda name: not name.startswith(OWN_TYPES) or name in exact or name.startswith(beginnings)
    if not beginnings:
        return exact.__contains__
    if not exact:
        return lambda name: name.startswith(beginnings)
    return lambda name: name in exact or name.startswith(beginnings)


def split(patterns: Sequence[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """(Checked) patterns as the types that they name and the prefixes of types, such as `tasks.`, in order."""
    beginnings = {pattern[:-1] for pattern in patterns if pattern.endswith(".*")}
    return frozenset(pattern for pattern in patterns if not pattern.endswith("*")), tuple(sorted(beginnings))


def _is_pattern(pattern: str) -> bool:
    return pattern == EVERY or is_type(pattern.removesuffix(".*"))
