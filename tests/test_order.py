"""The order in which the suite runs: no process ends alone with a test that takes a minute."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.order import longest_first


def named(*files: str, fixtures: tuple[str, ...] = ()) -> list[Any]:
    return [SimpleNamespace(path=Path("tests") / file, fixturenames=fixtures) for file in files]


@pytest.mark.parametrize("workers", [1, 3, 4, 16])
def test_each_process_begins_with_its_share_of_the_longest_tests(workers: int) -> None:
    long = [*["openapi/test_b.py"] * 5, *["test_install.py"] * 3]
    items = named(*["items/test_a.py"] * 40, *long, *["items/test_c.py"] * 16)
    order = longest_first(items, workers)
    assert sorted(map(id, order)) == sorted(map(id, items))
    parts = [order[len(order) * at // workers : len(order) * (at + 1) // workers] for at in range(workers)]
    for part in parts:
        are_long = ["items" not in item.path.parts for item in part]
        assert are_long == sorted(are_long, reverse=True)
        units = sum("openapi" in item.path.parts for item in part) + any("install" in item.path.stem for item in part)
        assert abs(units - 6 / workers) < 1
    assert sum(any("install" in item.path.stem for item in part) for part in parts) == 1, "they share a wheel"


def test_few_tests_keep_their_order() -> None:
    items = named("openapi/test_b.py", "openapi/test_c.py", "items/test_a.py")
    assert len(longest_first(items, 4)) == 3 and longest_first(items, 1) == items


def test_one_process_runs_what_needs_a_browser() -> None:
    pages = named("docs/test_a.py", "portal/test_b.py", fixtures=("whole_browser",))
    pages += named("docs/test_c.py", "forms/test_d.py", fixtures=("browser",))
    items = [*named(*["items/test_a.py"] * 9, *["openapi/test_b.py"] * 9), *pages]
    order = longest_first(items, 3)
    assert order[:4] == pages and sorted(map(id, order)) == sorted(map(id, items))
