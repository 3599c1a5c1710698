"""What is written together: jobs that wait for company, and how far apart groups are."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.store.test_heavy import Written
from tidings.deliver.pace import Pace
from tidings.store.writer import Writer
from tidings.store.writing.spacing import LINGER_SECONDS, LONGEST_SECONDS, NODES_MAX, SHARED_SECONDS, Spacing
from tidings.testing import until


def ignore(result: Any, wrong: Exception | None) -> None:
    pass


def test_a_job_that_nobody_waits_for_is_written_with_the_next_group_and_not_with_a_heavy_one(writer: Writer) -> None:
    written = Written(writer)
    writer.offer(written.job("offered"), ignore)
    written.heavy("heavy", None)
    writer.start()
    until(lambda: ["heavy"] in written.groups, "the heavy one is written")
    writer.offer(written.job("later"), ignore)
    written.light("light")
    groups = written.finish()
    assert ["heavy"] in groups and any({"light", "later"} <= set(group) for group in groups)
    assert sorted(name for group in groups for name in group) == ["heavy", "later", "light", "offered"]


def test_a_job_that_waits_for_company_is_refused_by_a_writer_that_has_stopped(writer: Writer) -> None:
    def fail() -> None:
        raise ValueError

    writer.on_commit(fail)
    writer.start()
    until(lambda: not writer.alive, "it has stopped")
    wrong: list[Exception | None] = []
    writer.offer(lambda db: None, lambda result, why: wrong.append(why))
    assert len(wrong) == 1 and wrong[0] is not None


def test_results_are_written_without_company_in_the_end_and_at_once_where_somebody_waits(writer: Writer) -> None:
    pace, done = Pace(seeks_company=True), threading.Event()
    writer.start()
    until(lambda: writer.groups, "it has written what a start does")
    before = writer.groups
    pace.way(writer, at_once=False)(lambda db: None, lambda result, wrong: done.set())
    assert pace.company(1.0, writer) <= 0.01 and writer.groups == before

    until(lambda: pace.company(1.0, writer) == 1.0, "it has waited long enough")
    assert done.wait(10) and pace.waits_until is None
    done.clear()
    pace.way(writer, at_once=True)(lambda db: None, lambda result, wrong: done.set())
    assert done.wait(10)
    assert Pace().way(writer, at_once=False) == writer.submit, "a node that works alone waits for nothing"


def spaced(nodes: int, *groups: int) -> bool:
    """Whether the next group would wait after groups of these sizes, if it began at once."""
    spacing = Spacing()
    spacing.share(nodes)
    for jobs in groups:
        spacing.committed(jobs)
    return spacing.is_crowd


def test_groups_of_several_jobs_are_further_apart_with_several_nodes_and_those_of_a_lone_caller_never() -> None:
    lone, two, crowd = [1] * 100, [2] * 100, [3] * 100
    assert not spaced(1, *lone) and not spaced(1, *two) and spaced(1, *crowd)
    assert not spaced(4, *lone) and spaced(4, *two) and spaced(4, *crowd)
    assert not spaced(4, *crowd, *lone), "the crowd is gone"
    assert not spaced(10 * NODES_MAX, *lone)


def apart(nodes: int, took: float) -> float:
    """How far apart groups are after many that took so many seconds, or a moment more."""
    spacing = Spacing()
    spacing.share(nodes)
    for _ in range(100):
        spacing.began_at = time.monotonic() - took
        spacing.committed(3)
    return spacing.apart


def test_groups_of_several_nodes_are_twice_as_far_apart_as_they_take_within_bounds() -> None:
    assert apart(1, 1.0) == LINGER_SECONDS, "one node waits for nobody's commits"
    assert apart(4, 0.003) > 2 * 0.0029 > 4 * SHARED_SECONDS
    assert apart(4, 1.0) == LONGEST_SECONDS, "a slow disk does not make callers wait longer still"
    new = Spacing()
    new.share(4)
    assert new.apart == 4 * SHARED_SECONDS
