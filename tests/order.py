"""The order in which tests run, so that no process ends alone with one that takes a minute."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import pytest

LONG = {"openapi", "peers", "robust", "test_accessible", "test_howto", "test_install"}
LONG |= {"test_drafts", "test_forwarding", "test_wrong_proxies", "test_writers"}
LONG |= {"test_joined_faults", "test_standby", "test_under_load", "test_upgrade", "test_workers"}
"""Folders and files of tests that take seconds to minutes each. Those of nodes mostly wait, while others work."""
TOGETHER = {"test_accessible", "test_generators", "test_install"}
"""Of these, files whose tests share what takes long to make: one process runs them all."""
BROWSERS = {"browser", "whole_browser"}
"""Fixtures that are a browser."""


@cache
def is_long(path: Path) -> bool:
    """Whether the tests of a file take long."""
    return bool(LONG & {*path.parts, path.stem})


def unit(item: pytest.Item) -> object:
    """What the tests have in common that one process runs; None for what any process may run, when there is time.

    A browser takes seconds of processor time to start, and draws with all processors that there are: one process runs
    all tests that need one.
    """
    if BROWSERS & set(item.fixturenames):  # type: ignore[attr-defined]
        return "browser"
    if is_long(item.path):
        return item.path if item.path.stem in TOGETHER else id(item)
    return None


def longest_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in the order in which they are handed out to this number of processes.

    Each process gets an equal part of the list; one that is done takes over the end of another's part. So each part
    begins with its share of the tests that take long, and those of one file stay together.
    """
    units: dict[object, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(unit(item), []).append(item)
    short = iter(units.pop(None, []))
    # Those of many tests first, so that each process has one of them at most.
    long = sorted(units.values(), key=len, reverse=True)
    found = []
    for worker in range(workers):
        begins = list(itertools.chain(*long[worker::workers]))
        size = len(items) * (worker + 1) // workers - len(items) * worker // workers
        found += [*begins, *itertools.islice(short, max(0, size - len(begins)))]
    return [*found, *short]
