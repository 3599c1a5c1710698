"""How many examples Hypothesis makes up for a test: all of them in `make test`, a quarter in `make check`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

ALL, QUICK = 100, 25

# Machines are shared and slow at times: an example's duration says nothing about its rightness.
settings.register_profile("all", deadline=None, print_blob=True, max_examples=ALL)
settings.register_profile("quick", settings.get_profile("all"), max_examples=QUICK)


def examples(count: int) -> int:
    """Of a test that takes another number of them than most: how many in this run."""
    return max(1, count * settings().max_examples // ALL)


def slow(*values: Any) -> list[Any]:
    """Values of a table that only `make test` tries."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
