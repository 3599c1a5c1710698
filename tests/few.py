"""Of a large table of cases, few are tried by `make check`, and few on PostgreSQL: `@pytest.mark.few(3)`.

`make test` tries these and every fifth of all on SQLite; continuous integration tries all of them there.

The mark is for cases that differ in what is sent, answered or refused, and not in what the store does. If nothing in a
test or a file depends on the store, it is marked `sqlite_only`. What is marked `thorough` is slow, and close to
what others try: only `EXAMPLES=all make test` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

ASIDE = {"calls", "control", "delivery", "forms", "hooks", "items", "portal", "web"}
"""Folders with many tests, most of which ask what does not depend on the store. Unless everything is tried, one in
eight of those that run on SQLite runs on PostgreSQL too."""
EACH, OTHERS = 8, 5


def thinned(items: Iterable[pytest.Item], *, everything: bool) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests to run, and those to leave out: of a marked test, all but a few of its cases on PostgreSQL.

    On SQLite, the rest is marked slow. `everything`: whether those marked `thorough` are run.
    """
    tables: dict[tuple[str, bool], list[pytest.Item]] = {}
    aside = []
    left_out = set()
    found = list(items)
    for item in found:
        on_postgres = item.get_closest_marker("postgres") is not None
        marks = {"sqlite_only"} if on_postgres else set()
        marks |= set() if everything else {"thorough"}
        if any(item.get_closest_marker(mark) is not None for mark in marks):
            left_out.add(id(item))
        elif item.get_closest_marker("few") is not None and (on_postgres or item.get_closest_marker("slow") is None):
            tables.setdefault((item.nodeid.partition("[")[0], on_postgres), []).append(item)
        elif on_postgres and not everything and is_aside(item):
            aside.append(item)
    left_out |= {id(item) for index, item in enumerate(aside) if index % EACH}
    for (_, on_postgres), cases in tables.items():
        [count] = cases[0].get_closest_marker("few").args  # type: ignore[union-attr]
        chosen = spread(len(cases), count)
        for index, case in enumerate(cases):
            if index in chosen:
                continue
            if on_postgres or (index % OTHERS and not everything):
                left_out.add(id(case))
            else:
                case.add_marker(pytest.mark.slow)
    return [each for each in found if id(each) not in left_out], [each for each in found if id(each) in left_out]


def is_aside(item: pytest.Item) -> bool:
    """Whether a test of PostgreSQL is in one of those folders, and runs on SQLite too."""
    place, _, case = item.nodeid.partition("[")
    return "postgres" in case and bool(ASIDE & set(place.split("/")))


def spread(cases: int, count: int) -> set[int]:
    """Which cases are tried: the first, the last, and others evenly between them; only the first if it is one."""
    if count >= cases:
        return set(range(cases))
    return {round(index * (cases - 1) / max(1, count - 1)) for index in range(count)}
