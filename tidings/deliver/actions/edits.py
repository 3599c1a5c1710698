"""Edits of items in the writer's transactions: each stores its attempt with what it did.

So an edit happens once: after a crash, neither or both are stored, and a delivery that has a successful attempt is not
attempted again. What fails changes nothing, and its attempt is stored like any other. While the store accepts no
writes, an edit waits here; since nobody knows whether the last try was stored, it first looks for its own attempt.
Edits that arrive together share a transaction, as all jobs of the writer do, each with its own savepoint.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from tidings.deliver.settle import put_attempts
from tidings.model import outcome as outcomes
from tidings.model.delivery import Attempt
from tidings.model.edit import EditDone, ItemEdit
from tidings.model.errors import Unavailable
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.rules.deliver import lifecycle
from tidings.rules.edits import failure
from tidings.rules.guard import SKIPPED_BY_ONCE
from tidings.store.base import Db
from tidings.store.log.events import WithEvents
from tidings.store.writer import Writer

AGAIN_SECONDS = 1.0

Edit = Callable[[Db, ItemEdit], EditDone]
"""Carries out an edit in a write job. Raises Invalid, Conflict, NotFound or Unavailable."""


class Trial(msgspec.Struct, frozen=True):
    """One edit to try, and its attempt."""

    edit: ItemEdit
    delivery: int
    n: int
    at: Micros
    shown: str
    once: tuple[int, str] | None = None
    """The link's number, and the key for which it may succeed only once."""


class EditReply(msgspec.Struct, frozen=True):
    """The result of an edit."""

    outcome: Outcome
    reason: str
    answer: bytes = b""
    duration_ms: int = 0
    is_stored: bool = False


class Edits:
    """Hands edits to the writer and returns their results. Belongs to the deliver thread."""

    def __init__(self, writer: Writer, edit: Edit, inbox: Callable[[Callable[[], None]], None]) -> None:
        """`inbox`: makes the deliver thread call something; may be called from any thread."""
        self._writer, self._edit, self._inbox = writer, edit, inbox
        self._resting: deque[Callable[[], None]] = deque()
        self._rests_until = 0.0

    def submit(self, trial: Trial, done: Callable[[EditReply], None], *, again: bool = False) -> None:
        """Try an edit. `again`: it may already have been made without a result having arrived."""
        began = time.monotonic()

        def job(db: Db) -> Any:
            return self._tried(db, trial, began, again)

        def reply(result: Any, wrong: Exception | None) -> None:
            self._inbox(lambda: self._answered(trial, done, result, wrong))

        self._writer.submit(job, reply)

    def answer(self, reply: EditReply, done: Callable[[EditReply], None]) -> None:
        """Return a result that is known without trying the edit, as if it had been tried."""
        self._inbox(lambda: done(reply))

    def retry(self) -> None:
        """Try again what the store refused a while ago."""
        if self._resting and time.monotonic() >= self._rests_until:
            resting, self._resting = self._resting, deque()
            for again in resting:
                again()

    def _tried(self, db: Db, trial: Trial, began: float, again: bool) -> EditReply | WithEvents:
        """The write job: the edit, and its attempt."""
        if again and db.one("attempt_of", delivery=trial.delivery, n=trial.n) == (trial.at, outcomes.OK.name):
            return EditReply(outcomes.OK, "This edit was already made.", is_stored=True)
        if trial.once is not None and not db.run("link_once_put", link=trial.once[0], key=trial.once[1]):
            return EditReply(outcomes.SKIPPED, SKIPPED_BY_ONCE)
        done = self._edit(db, trial.edit)
        made = {"revision": done.revision, "event": None if done.event is None else done.event.id}
        reply = EditReply(
            outcomes.OK,
            done.sentence,
            msgspec.json.encode({"id": trial.edit.item, **made}),
            round((time.monotonic() - began) * 1000),
            is_stored=True,
        )
        put_attempts(db, [_attempt(trial, reply)])
        db.run("waiting_drop", delivery=trial.delivery)
        return reply if done.event is None else WithEvents(reply, (done.event,))

    def _answered(
        self, trial: Trial, done: Callable[[EditReply], None], result: EditReply | None, wrong: Exception | None
    ) -> None:
        if isinstance(wrong, Unavailable):
            self._rests_until = time.monotonic() + AGAIN_SECONDS
            self._resting.append(lambda: self.submit(trial, done, again=True))
            return
        if result is None:
            result = EditReply(*failure(wrong))
        done(result)


def _attempt(trial: Trial, reply: EditReply) -> Attempt:
    return Attempt(
        delivery=trial.delivery,
        n=trial.n,
        at=trial.at,
        outcome=reply.outcome.name,
        state=lifecycle.fate("success"),
        duration_ms=reply.duration_ms,
        request=trial.shown,
        response=reply.answer.decode(),
        reason=reply.reason,
    )
