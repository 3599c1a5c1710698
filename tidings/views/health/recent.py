"""The last minutes, from tallies: how fast everything is, whose fault failures are, and when all will be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tidings.model import moment
from tidings.model.moment import DAY, SECOND, Micros
from tidings.rules.deliver import tally
from tidings.store.log.standing import SIZE_MAX, Backlog
from tidings.store.log.tallies import ALL
from tidings.views.health.report import RecentRates
from tidings.views.health.words import age

LATEST: Micros = 100 * DAY
"""How far ahead the end of a backlog is predicted."""


class Recent(msgspec.Struct, frozen=True):
    """What happened since a few minutes ago. `sums`: tallies by link; `sizes`: of backlogs that are counted further."""

    since: Micros
    now: Micros
    sums: Mapping[int, Sequence[int]]
    sizes: Mapping[int, int]

    def rates(self) -> RecentRates:
        """The present rates."""
        total = self.sums.get(ALL) or tally.empty()
        seconds = max(1.0, (self.now - self.since) / SECOND)
        delivered = total[tally.DELIVERED]
        return RecentRates(
            since=moment.to_text(self.since),
            accepted=round(total[0] / seconds, 2),
            delivered=round(delivered / seconds, 2),
            failed=round((tally.attempts(total) - delivered) / seconds, 2),
            success_rate=tally.success_rate(total),
        )

    def backlog(self, link: int, backlog: Backlog) -> Backlog:
        """The same, counted further if it is known."""
        size = self.sizes.get(link, 0)
        if size <= backlog.count:
            return backlog
        return msgspec.structs.replace(backlog, count=size, is_more=size >= SIZE_MAX)

    def expected_end(self, link: int, backlog: Backlog) -> tuple[Micros, float] | None:
        """When everything that waits for a link will be sent, and at how many a second; None if unknown."""
        delivered = (self.sums.get(link) or tally.empty())[tally.DELIVERED]
        rate = delivered / max(1.0, (self.now - self.since) / SECOND)
        if backlog.is_more or not backlog.count or delivered < SENT_LEAST:
            return None
        left = int(backlog.count / rate * SECOND)
        return None if left > LATEST else (self.now + left, rate)

    def others_are_fine(self, failing: Sequence[int]) -> bool:
        """Whether links other than these accepted most of what was sent to them lately."""
        counts = [tally.empty(), *(self.sums[num] for num in failing if num in self.sums)]
        theirs = tally.added(counts)
        total = self.sums.get(ALL) or tally.empty()
        others = tally.attempts(total) - tally.attempts(theirs)
        return others > 0 and total[tally.DELIVERED] - theirs[tally.DELIVERED] >= FINE * others

    def end_in_words(self, at: Micros) -> str:
        """`by about 04:10 UTC`, or `in about 3 days`."""
        if at - self.now < DAY:
            return f"by about {moment.to_text(at)[11:16]} UTC"
        return f"in about {age(at - self.now)}"


SENT_LEAST = 10
"""The minimum number of successes for a prediction."""
FINE = 0.8
"""The fraction of the other links' attempts that must have succeeded."""
