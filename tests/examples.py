"""How much is tried: of Hypothesis's examples a quarter in `make test`, fewer in `make check`.

`EXAMPLES=all make test` tries all of them, as continuous integration does (.ci/run), and only it runs the tests and
cases that are marked `thorough`.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

ALL, SOME, QUICK = 100, 25, 10

# Machines are shared and slow at times: an example's duration says nothing about its rightness.
settings.register_profile("all", deadline=None, print_blob=True, max_examples=ALL)
settings.register_profile("some", settings.get_profile("all"), max_examples=SOME)
settings.register_profile("quick", settings.get_profile("all"), max_examples=QUICK)


def choose(*, only_fast_tests: bool) -> None:
    """Choose how many are tried in this run, before the tests are loaded."""
    chosen = os.environ.get("EXAMPLES", "quick" if only_fast_tests else "some")
    if chosen not in ("all", "some", "quick"):
        raise pytest.UsageError(f"EXAMPLES is {chosen!r}: it may be all, some or quick")
    settings.load_profile(chosen)


def examples(count: int) -> int:
    """Of a test that takes another number of them than most: how many in this run."""
    return max(1, count * settings().max_examples // ALL)


def are_all() -> bool:
    """Whether this run tries everything."""
    return settings().max_examples >= ALL


def thorough(*values: Any) -> list[Any]:
    """Values of a table that only `EXAMPLES=all make test` tries."""
    return [pytest.param(value, marks=pytest.mark.thorough) for value in values]


def slow(*values: Any) -> list[Any]:
    """Values of a table that only `make test` tries."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
