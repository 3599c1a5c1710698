"""Trying a link that observes: it asks as its next run would, compares one page, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidings.deliver.actions.observe import ObserveAction, ObserveReply, Run
from tidings.deliver.actions.observing import OBSERVED_PER_STEP, RunId, add
from tidings.model import outcome as outcomes
from tidings.model.calls.trial import RECORDS_SHOWN, Observed
from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.rules.mirror.difference import Observation
from tidings.rules.mirror.observer import ReadAnswer


def try_out(action: ObserveAction, event: Event, now: Micros, done: Callable[[Observed], None]) -> None:
    """Read one page for this event; in the deliver thread."""
    run = _TrialRun(action, RunId(event, 0, 0, now), lambda reply: done(_failed(action, reply, now)))
    run.report = done
    run.start()


_Shown = tuple[tuple[str, str], ...]


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

    def _compare(
        self, answer: ReadAnswer, observed: list[Observation], at: int = 0, shown: _Shown = (), *, has_more: bool
    ) -> None:
        """Compare a page from a place on, part by part. `shown`: the first changes of the parts before."""
        end = at + OBSERVED_PER_STEP
        part = observed[at:end]

        def compared(found: Any, wrong: Exception | None) -> None:
            if wrong is not None:
                self._broke(wrong)
                return
            add(self._counts, found)
            changes = (*shown, *((each.kind, each.key) for each in found.changes[:RECORDS_SHOWN]))[:RECORDS_SHOWN]
            if end < len(observed):
                self._compare(answer, observed, end, changes, has_more=has_more)
            else:
                self._report(answer, changes, has_more=has_more)

        jobs = self._action.tools.runs.jobs
        jobs.submit(lambda db, again: self._writes.compare(db, part), compared, heavy=len(observed) > end)

    def _report(self, answer: ReadAnswer, changes: _Shown, *, has_more: bool) -> None:
        counts = self._counts
        self.report(
            Observed(
                outcome=outcomes.OK,
                reason="The mirror and the cursor are unchanged.",
                shown=self._shown,
                records=len(answer.records),
                first=tuple(self._action.call.hide.value(each) for each in answer.records[:RECORDS_SHOWN]),
                created=counts.created,
                updated=counts.updated,
                deleted=counts.deleted,
                changes=changes,
                has_more=has_more,
            )
        )


def _failed(action: ObserveAction, reply: ObserveReply, now: Micros) -> Observed:
    result = action.judge(reply, now)
    return Observed(outcome=result.outcome, reason=result.reason, shown=result.shown)
