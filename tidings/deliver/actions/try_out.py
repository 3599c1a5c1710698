"""Trying a link that observes: it asks as its next run would, compares one page, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidings.deliver.actions.observe import ObserveAction, ObserveReply, Run
from tidings.deliver.actions.observing import RunCounts, RunId, add
from tidings.model import outcome as outcomes
from tidings.model.calls.trial import RECORDS_SHOWN, Observed
from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.rules.mirror.difference import Differences, Observation
from tidings.rules.mirror.observer import ReadAnswer
from tidings.store.base import Db


def try_out(action: ObserveAction, event: Event, now: Micros, done: Callable[[Observed], None]) -> None:
    """Read one page for this event; in the deliver thread."""
    run = _TrialRun(action, RunId(event, 0, 0, now), lambda reply: done(_failed(action, reply, now)))
    run.report = done
    run.start()


class _TrialRun(Run):
    """A run of one page, whose jobs only read."""

    report: Callable[[Observed], None]

    def start(self) -> None:
        """Ask where the next run would begin."""
        self._action.tools.runs.jobs.submit(lambda db, again: self._writes.look(db), self._begun_at)

    def _took(self, answer: ReadAnswer, observed: list[Observation], digest: bytes) -> None:
        pages, following = self._action.pages, None
        if pages is not None:
            following = pages.following(self._run.event, self._given(1), answer, self._request)
        self._compare(answer, observed, has_more=following is not None)

    def _end(self, answer: ReadAnswer, observed: list[Observation]) -> None:
        self._compare(answer, observed, has_more=False)

    def _compare(self, answer: ReadAnswer, observed: list[Observation], *, has_more: bool) -> None:
        def job(db: Db, again: bool) -> Differences:
            return self._writes.compare(db, observed)

        def compared(found: Any, wrong: Exception | None) -> None:
            if wrong is not None:
                self._broke(wrong)
                return
            counts = RunCounts()
            add(counts, found)
            self.report(
                Observed(
                    outcome=outcomes.OK,
                    reason="Nothing was moved.",
                    shown=self._shown,
                    records=len(answer.records),
                    first=tuple(answer.records[:RECORDS_SHOWN]),
                    created=counts.created,
                    updated=counts.updated,
                    deleted=counts.deleted,
                    changes=tuple((each.kind, each.key) for each in found.changes[:RECORDS_SHOWN]),
                    has_more=has_more,
                )
            )

        self._action.tools.runs.jobs.submit(job, compared)


def _failed(action: ObserveAction, reply: ObserveReply, now: Micros) -> Observed:
    result = action.judge(reply, now)
    return Observed(outcome=result.outcome, reason=result.reason, shown=result.shown)
