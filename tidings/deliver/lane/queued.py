"""One delivery in memory."""

from __future__ import annotations

import msgspec

from tidings.deliver.settle import Settlement
from tidings.model.delivery import Attempt, Waiting
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.rules.deliver import lifecycle
from tidings.rules.deliver.lifecycle import Cause


class Queued(msgspec.Struct, gc=False):
    """One delivery in memory. `stored`: it has a row in `waiting`."""

    number: int
    event: int
    created: Micros
    n: int = 0
    earlier: int = 0
    first: Micros = 0
    stored: bool = False
    subject: str | None = None
    known: bool = False
    """Whether the delivery's subject was looked up (only for ordered links)."""
    freed: bool = False
    """Whether it was released and queued, although its row still says that it is held. Its line waits for it."""
    cancelled: bool = False

    @classmethod
    def of(cls, row: Waiting) -> Queued:
        """The item for a row in `waiting`."""
        return cls(row.delivery, row.event, row.created, row.n, row.earlier, row.first, True, row.subject, True)

    def end_unsent(
        self, link: int, now: Micros, outcome: Outcome, cause: Cause, settlement: Settlement, why: str = ""
    ) -> None:
        """Record that it ended without a request. `why`: a reason that is more specific than the outcome."""
        attempt = Attempt(
            delivery=self.number,
            n=self.n + 1,
            at=now,
            outcome=outcome.name,
            state=lifecycle.fate(cause),
            reason=why or outcome.meaning,
            ended_link=link,
        )
        settlement.ended_unsent(link, self.created, attempt)
        if self.stored:
            settlement.end(self.number)
