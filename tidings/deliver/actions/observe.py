"""The call of a link with `emit`: the response is compared with the mirror page by page, and differences become events.

A run is one attempt: it asks where to begin, sends a request, takes in the page, and continues until there is no next
page. Only one page is in memory at a time. Each further request passes the connection's gate, like the first one. If
the link is paused or edited in the meantime, the run ends there, and the next one continues from its cursor.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from tidings.deliver.actions.action import Carried, Prepared, Result, Tools
from tidings.deliver.actions.call import IN_DOUBT_MORE, Call, CallAction, CallReply
from tidings.deliver.actions.jobs import Job
from tidings.deliver.actions.observing import Begun, Observing, RunCounts, RunId, add
from tidings.deliver.actions.paging.sizes import (
    ANSWER_BYTES_MAX,
    OBSERVED_BYTES_PER_STEP,
    check_size,
    check_whole,
    end_of_part,
)
from tidings.deliver.contained import contained
from tidings.model import outcome as outcomes
from tidings.model.errors import Invalid
from tidings.model.event import HOPS_MAX, Event
from tidings.model.link import CallLink
from tidings.model.moment import Micros, to_text
from tidings.model.outcome import Outcome
from tidings.net.http import AnswerLimits, Reply
from tidings.rules.calls.answers import header_values
from tidings.rules.calls.request import CallRequest
from tidings.rules.deliver import judgement
from tidings.rules.edits import LoopEnds
from tidings.rules.mirror.difference import Observation, once_each
from tidings.rules.mirror.observer import Observer, ReadAnswer, scope_of
from tidings.rules.mirror.pages import FIRST_NAMES, PAGES_MAX, Pages
from tidings.rules.mirror.records import BadRecord
from tidings.rules.template import Scope, TemplateFailed
from tidings.store.base import Db

SECONDS_MAX = 120.0
WHOLE_PAGE = AnswerLimits(keep_bytes=ANSWER_BYTES_MAX, read_bytes=ANSWER_BYTES_MAX, seconds=SECONDS_MAX)
CEILING_SECONDS = 1_800.0
"""How long a poll waits after a response with 401 or 403."""
NOT_MODIFIED = 304
LOOK_SECONDS = 0.01
"""How long records are compared at a stretch before other deliveries get their turn."""

log = logging.getLogger("tidings.deliver")


class ObserveReply(msgspec.Struct, frozen=True):
    """How a run ended: with `said`, which is stored; with a response; or with an outcome of our own."""

    said: str | None = None
    call: CallReply | None = None
    outcome: Outcome = outcomes.OK
    reason: str = ""
    duration_ms: int = 0
    shown: str | None = None


class Observe(msgspec.Struct, frozen=True):
    """One run."""

    run: RunId
    instead: ObserveReply | None = None
    """The reply to use instead, if no request could be built."""


class ObserveAction:
    """Calls another system for one link, and emits what differs."""

    follows = False

    def __init__(self, link: CallLink, tools: Tools) -> None:
        assert link.what.emit is not None
        self.link, self.tools = link, tools
        call = self.call = CallAction(link, tools, FIRST_NAMES, WHOLE_PAGE)
        if link.timer is not None and link.what.in_doubt is None:
            # A poll only reads, whatever its method.
            call.repeats = True
        self.destination, self.fitting, self.line = call.destination, call.fitting, call.line
        self.observer = Observer(link.what.emit)
        self.pages = Pages(link.what, call.base) if link.what.pages else None

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The run. Raises ValueError."""
        self.call.check_connection()
        event = events[0]
        return Prepared(Observe(RunId(event, carried[0].number, carried[0].n + 1, now), self._instead(event)), "{}", 0)

    def _instead(self, event: Event) -> ObserveReply | None:
        """The outcome of the event if nothing is to be sent."""
        if event.hops >= HOPS_MAX:
            return ObserveReply(outcome=outcomes.LOOP, reason=str(LoopEnds(event.hops)))
        try:
            skipped = self.call.guarding.skipped(Scope(event, self.call.auth))
        except TemplateFailed as wrong:
            return ObserveReply(outcome=outcomes.TEMPLATE_FAILED, reason=str(wrong))
        if skipped is None:
            return None
        return ObserveReply(call=CallReply(Call(event, outcome=skipped[0], failed=skipped[1])))

    def send(self, request: Observe, done: Callable[[ObserveReply], None]) -> None:
        """Start the run."""
        instead = request.instead
        if instead is not None:
            self.tools.later(lambda: done(instead))
        else:
            Run(self, request.run, done).start()

    def judge(self, reply: ObserveReply, now: Micros) -> Result:
        """The result of the run."""
        if reply.said is not None:
            return Result(outcomes.OK, judgement.OK, reply.said, None, reply.duration_ms, is_stored=True)
        if reply.call is None:
            judged = judgement.OF_OBSERVING[reply.outcome]
            return Result(
                reply.outcome, judged, self.call.hide.text(reply.reason), None, reply.duration_ms, shown=reply.shown
            )
        result = self.call.judge(reply.call, now)
        if result.status in (401, 403) and self.link.timer is not None:
            wait = max(CEILING_SECONDS, result.wait_seconds or 0.0)
            result = msgspec.structs.replace(result, judged=judgement.NOT_LET_IN, wait_seconds=wait)
        return msgspec.structs.replace(result, shown=reply.shown)

    def follow(self, events: Sequence[Event], reply: ObserveReply, now: Micros) -> None:
        """Returns nothing: events are stored with the pages."""


class Run:
    """One run in progress. Belongs to the deliver thread; its write jobs run in the writer's."""

    def __init__(self, action: ObserveAction, run: RunId, done: Callable[[ObserveReply], None]) -> None:
        self._action, self._run, self._done = action, run, done
        self._writes = Observing(action.link, run, action.tools.kind)
        self._counts = RunCounts()
        self._cursor: Any = None
        self._shown: str | None = None
        self._began = time.monotonic()
        self._seen: set[bytes] = set()
        self._asks_again = self._is_large = self._is_over = False
        self._has_acted = False
        """Whether a request that must not be repeated has succeeded."""
        self._now = to_text(run.at)

    def start(self) -> None:
        """Ask where to begin."""
        self._write(self._writes.begin, self._begun_at)

    def _write(self, job: Job, done: Callable[[Any], None], *, heavy: bool = False) -> None:
        """Run a write job; `done` gets the result. If the job fails, so does the run."""

        def written(found: Any, wrong: Exception | None) -> None:
            if wrong is not None:
                raise wrong
            done(found)

        self._action.tools.runs.jobs.submit(job, self._contained(written), heavy=heavy)

    def _contained(self, step: Callable[..., None]) -> Callable[..., None]:
        """A step of this run. Whatever a response contains, it can end only this run."""
        return contained(step, self._broke)

    def _begun_at(self, begun: Begun) -> None:
        self._begun, self._cursor = begun, begun.row.cursor
        self._ask(self._action.call.filled(scope_of(self._run.event, self._given(1))))

    def _given(self, number: int) -> dict[str, Any]:
        given = {**(self._action.call.auth or {}), "now": self._now, "n": number}
        return given if self._begun.since is None else {**given, "since": self._begun.since}

    def _ask(self, request: CallRequest) -> None:
        action, self._request = self._action, request
        http, shown = action.call.request(request, action.tools.runs.now())
        self._shown = self._shown or shown
        try:
            action.call.send(Call(self._run.event, http), self._contained(self._answered))
        except ValueError as wrong:
            self._failed(outcomes.BAD_ANSWER, f"The request cannot be sent: {wrong}.")

    def _answered(self, answered: CallReply) -> None:
        reply = answered.reply
        if reply is None or answered.no_token:
            self._end_with(ObserveReply(call=answered))
            return
        is_gone, is_unchanged = self._is_gone(reply), self._is_unchanged(reply)
        is_empty = self._is_empty(reply)
        if not is_gone and not is_unchanged and not is_empty:
            outcome, _ = self._action.call.outcome_of(answered.call, reply)
            if outcome is not outcomes.OK:
                self._end_with(ObserveReply(call=answered))
                return
            self._has_acted = not self._action.call.repeats
        check_whole(reply)
        if is_empty:
            self._counts.pages += 1
            self._has_acted = not self._action.call.repeats
        if is_gone or is_unchanged or is_empty:
            gone = [Observation(self._gone_key(), None, is_deleted=True)] if is_gone else []
            self._end(self._no_answer(reply), gone)
            return
        answer = self._action.observer.read(header_values(reply.lines), reply.body)
        digest = hashlib.blake2b(reply.body, digest_size=16).digest()
        self._is_large = len(reply.body) > OBSERVED_BYTES_PER_STEP or self._action.observer.rule.data is not None
        self._look(answer, digest, self._action.observer.observations(self._run.event, answer), [])

    def _look(self, answer: ReadAnswer, digest: bytes, left: Iterator[Observation], found: list[Observation]) -> None:
        """Compare the records of a page for a short time; then other deliveries have their turn first."""
        end = time.monotonic() + LOOK_SECONDS
        for each in left:
            if self._is_large:
                check_size(each)
            found.append(each)
            if time.monotonic() > end:
                more = self._contained(lambda: self._look(answer, digest, left, found))
                self._action.tools.later(more)
                return
        self._took(answer, self._once_each(found), digest)

    def _once_each(self, observed: list[Observation]) -> list[Observation]:
        found = once_each(observed, first=self._action.observer.rule.is_all)
        self._counts.left_out += len(observed) - len(found)
        return found

    def _took(self, answer: ReadAnswer, observed: list[Observation], digest: bytes) -> None:
        """A page has arrived: take it in, and request the next one. Raises TemplateFailed or BadRecord."""
        counts, pages = self._counts, self._action.pages
        is_repeated = digest in self._seen
        if is_repeated and pages is not None and not self._asks_again:
            # A page may have been sent twice by mistake; if it is repeated once more, the run ends.
            self._asks_again = True
            self._next(self._request)
            return
        self._asks_again = False
        self._seen.add(digest)
        counts.pages += 1
        counts.records += len(answer.records)
        self._cursor = self._writes.cursor(self._begun, self._cursor, answer)
        following = None
        if pages is not None and not is_repeated:
            following = pages.following(self._run.event, self._given(counts.pages), answer, self._request)
        if following is not None and counts.pages >= PAGES_MAX:
            cursor = self._action.link.what.emit.cursor  # type: ignore[union-attr]
            if cursor is None or not cursor.is_ordered or self._begun.is_sweep:
                raise BadRecord(
                    f"There are more than {PAGES_MAX:,} pages. Request larger pages, or start from a later time."
                )
            following = None
        if following is None:
            self._end(answer, observed)
            return
        self._take_page(answer, observed, lambda found: self._goes_on(found, following))

    def _take_page(self, answer: ReadAnswer, observed: list[Observation], done: Callable[[Any], None]) -> None:
        number = self._counts.pages

        def take(rest: list[Observation]) -> None:
            self._write(lambda db, again: self._writes.page(db, self._begun, number, answer, rest), done)

        self._in_parts(observed, 0, take)

    def _in_parts(self, observed: list[Observation], at: int, rest: Callable[[list[Observation]], None]) -> None:
        """Take in a page from a given place, except for its last part, which is passed to `rest`."""
        end = end_of_part(observed, at, is_large=self._is_large)
        if end >= len(observed):
            rest(observed[at:] if at else observed)
            return

        def taken(found: Any) -> None:
            add(self._counts, found)
            self._in_parts(observed, end, rest)

        part = observed[at:end]
        self._write(lambda db, again: self._writes.part(db, self._begun, part), taken, heavy=True)

    def _goes_on(self, found: Any, following: CallRequest) -> None:
        add(self._counts, found)
        self._next(following)

    def _next(self, request: CallRequest) -> None:
        """Send a further request once the gate lets it pass, if the link still exists then."""

        runs, link = self._action.tools.runs, self._action.link

        def go() -> None:
            if runs.is_present(link):
                self._ask(request)
            else:
                self._failed(outcomes.INTERRUPTED, f"{outcomes.INTERRUPTED.meaning} {self._so_far()}")

        if runs.is_present(link):
            runs.through_gate(link.num, self._contained(go))
        else:
            go()

    def _so_far(self) -> str:
        return self._counts.sentence(is_silent=self._begun.is_silent, is_all=self._action.observer.rule.is_all)

    def _end(self, answer: ReadAnswer, observed: list[Observation]) -> None:
        """The last page was read. A full read first deletes what it did not see."""
        cursor = self._writes.last_cursor(self._cursor, answer)
        if not self._begun.is_sweep:
            self._in_parts(observed, 0, lambda rest: self._finish(cursor, rest))
            return

        def taken(found: Any) -> None:
            add(self._counts, found)
            self._sweep(cursor, "")

        self._take_page(answer, observed, taken)

    def _sweep(self, cursor: Any, after: str) -> None:
        """Delete, in steps, the records that the full read did not see."""

        def job(db: Db, again: bool) -> Any:
            return self._writes.missing(db, after, self._counts.records)

        def deleted(gone: Any) -> None:
            if isinstance(gone, BadRecord):
                raise gone
            count, last = gone
            self._counts.deleted += count
            if last is None:
                self._finish(cursor, [])
            else:
                self._sweep(cursor, last)

        self._write(job, deleted, heavy=True)

    def _broke(self, wrong: Exception) -> None:
        """A step of the run failed."""
        if self._is_over:
            raise wrong
        if isinstance(wrong, TemplateFailed):
            self._failed(outcomes.TEMPLATE_FAILED, str(wrong))
        elif isinstance(wrong, BadRecord | Invalid):
            self._failed(outcomes.BAD_ANSWER, str(wrong))
        else:
            log.error("a run of the link %s failed", self._action.link.name, exc_info=wrong)
            self._failed(outcomes.OBSERVE_FAILED, f"{outcomes.OBSERVE_FAILED.meaning} See the server's log.")

    def _finish(self, cursor: Any, observed: list[Observation]) -> None:
        took_ms = round((time.monotonic() - self._began) * 1000)
        counts, shown = self._counts, self._shown or "{}"

        def job(db: Db, again: bool) -> Any:
            if again and self._writes.was_ended(db):
                return self._so_far()
            return self._writes.end(db, self._begun, cursor, observed, msgspec.structs.replace(counts), shown, took_ms)

        self._write(job, lambda said: self._over(ObserveReply(said=said, duration_ms=took_ms)))

    def _failed(self, outcome: Outcome, reason: str) -> None:
        if self._has_acted:
            outcome, reason = outcomes.IN_DOUBT, f"{reason} {IN_DOUBT_MORE}"
        self._end_with(ObserveReply(outcome=outcome, reason=reason))

    def _end_with(self, reply: ObserveReply) -> None:
        took_ms = round((time.monotonic() - self._began) * 1000)
        self._over(msgspec.structs.replace(reply, duration_ms=took_ms, shown=self._shown))

    def _over(self, reply: ObserveReply) -> None:
        self._is_over = True
        self._done(reply)

    def _is_gone(self, reply: Reply) -> bool:
        return reply.answered and self._is_first() and reply.status in self._action.link.what.gone

    def _gone_key(self) -> str:
        key = self._action.line.named(self._run.event)
        if not key:
            raise BadRecord("The record is gone, but neither `order` nor the event's subject identifies it.")
        return key

    def _is_unchanged(self, reply: Reply) -> bool:
        cursor = self._action.observer.rule.cursor
        has_asked = cursor is not None and cursor.kind == "header" and self._begun.since is not None
        return reply.answered and self._is_first() and has_asked and reply.status == NOT_MODIFIED

    def _is_empty(self, reply: Reply) -> bool:
        """Whether there are no records, according to the link. On a further page, only a success can say so."""
        if not reply.answered or reply.status not in self._action.link.what.empty:
            return False
        return not reply.body.strip() if (reply.status or 0) < 300 else self._counts.pages == 0

    def _is_first(self) -> bool:
        """Whether a status may count as the whole response: not for a further page, nor in a full read."""
        return self._counts.pages == 0 and not self._begun.is_sweep

    def _no_answer(self, reply: Reply) -> ReadAnswer:
        return ReadAnswer(None, header_values(reply.lines), [])
