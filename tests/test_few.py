"""A table of cases that is marked `few` keeps a few of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.few import EACH, OTHERS, spread, thinned


class Case:
    """What pytest collects, as far as it is asked."""

    def __init__(self, nodeid: str, **marks: Any) -> None:
        self.nodeid, self.marks = nodeid, marks

    def get_closest_marker(self, name: str) -> Any:
        return self.marks.get(name)

    def add_marker(self, mark: Any) -> None:
        self.marks[mark.name] = mark


def test_a_table_keeps_its_first_its_last_and_some_between() -> None:
    few, slow, postgres = pytest.mark.few(3), pytest.mark.slow, pytest.mark.postgres
    lite = [Case(f"a.py::test_x[sqlite-{n}]", few=few) for n in range(10)]
    real = [Case(f"a.py::test_x[postgres-{n}]", few=few, slow=slow, postgres=postgres) for n in range(10)]
    alone = [Case(f"a.py::test_a[{n}]", sqlite_only=True, **marks) for n, marks in enumerate(({}, real[0].marks))]
    other = [Case("a.py::test_y[1]"), Case("a.py::test_z[1]", few=few), *alone]
    runs, left_out = thinned([*lite, *real, *other], everything=True)  # type: ignore[list-item]
    assert [each.nodeid[-2] for each in runs if "x[postgres" in each.nodeid] == ["0", "4", "9"]
    assert len(runs) + len(left_out) == 24
    assert [each.nodeid for each in runs if "test_a" in each.nodeid] == ["a.py::test_a[0]"]
    assert [each.nodeid[-2] for each in lite if "slow" not in each.marks] == ["0", "4", "9"]
    assert not any("slow" in each.marks for each in other[:3])


def test_some_of_the_others_run_unless_everything_is_tried() -> None:
    cases: list[Any] = [Case(f"a.py::test_x[{n}]", few=pytest.mark.few(2)) for n in range(3 * OTHERS)]
    runs, left_out = thinned(cases, everything=False)
    assert runs == [*cases[::OTHERS], cases[-1]] and len(runs) + len(left_out) == len(cases)
    assert [each for each in cases if each in runs and "slow" not in each.marks] == [cases[0], cases[-1]]


def test_what_is_thorough_runs_with_everything_alone() -> None:
    cases: list[Any] = [Case("a.py::test_a[operator]"), Case("a.py::test_a[tenant]", thorough=pytest.mark.thorough)]
    assert thinned(cases, everything=True) == (cases, [])
    assert thinned(cases, everything=False) == (cases[:1], cases[1:])


def test_a_part_runs_on_postgresql_of_what_does_not_depend_on_the_store() -> None:
    marks: dict[str, Any] = {"slow": pytest.mark.slow, "postgres": pytest.mark.postgres}
    twins: list[Any] = [Case(f"tests/web/a.py::test_x[postgres-{n}]", **marks) for n in range(2 * EACH + 1)]
    others: list[Any] = [Case("tests/web/a.py::test_y", **marks), Case("tests/store/a.py::test_x[postgres]", **marks)]
    runs, left_out = thinned([*twins, *others], everything=False)
    assert runs == [*twins[::EACH], *others] and len(left_out) == 2 * (EACH - 1)
    assert thinned([*twins, *others], everything=True) == ([*twins, *others], [])


def test_a_count_is_never_exceeded() -> None:
    assert [spread(5, count) for count in (1, 2, 3, 9)] == [{0}, {0, 4}, {0, 2, 4}, {0, 1, 2, 3, 4}]
