"""Tallies in memory: each attempt is counted as it arrives, and a settlement stores the counts every few seconds.

Counting in the settlement's own transaction would be exact, but would cost a row per link and settlement: about as
much as the attempt itself, if each settlement has one attempt for each of many links. So a process that is killed
loses the counts of up to FLUSH_SECONDS, but no attempt; a clean stop loses nothing. Each batch has a number, so it is
stored only once. Accepted events are not counted here: the store derives them from the numbers of events, so a crash
loses none of them. The figures: docs/decisions/0064.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache

from tidings.deliver.actions.action import Result
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Settlement
from tidings.model.moment import HOUR, MINUTE, SECOND, Micros
from tidings.rules.deliver import tally
from tidings.rules.deliver.reasons import folded
from tidings.store.log.tallies import Reasons, TallyBatch

FLUSH_SECONDS = 5
LINKS_PER_SETTLEMENT = 100
"""The maximum number of links whose tallies one settlement stores, so that it takes only a few milliseconds."""
REASONS_MAX = 10
"""The maximum number of different reasons per link and hour. Failures with further reasons are counted together,
without a reason."""

Cells = dict[int, list[int]]
_folded = lru_cache(maxsize=1024)(folded)
_BOUNDS, _BUCKETS, _MS, _COLUMN_OF = tally.BOUNDS_MS, tally.BUCKETS, tally.MS_SUM, tally.COLUMN_OF
_DELIVERED, _SKIPPED = tally.DELIVERED, tally.SKIPPED


class Tallies:
    """Counts that are not stored yet. Belongs to the deliver thread."""

    def __init__(self, events: Callable[[], int]) -> None:
        """`events`: a number that changes whenever events were accepted."""
        self._events = events
        self._seen = -1
        self._minutes: dict[Micros, Cells] = {}
        self._cells: Cells = {}
        self._began = self._ends = 0
        self._reasons: Reasons = {}
        self._known: dict[int, set[tuple[str, int, str]]] = {}
        self._hour: Micros = 0
        self._flushed: Micros = 0
        self._number = 0

    @property
    def pending(self) -> bool:
        """Whether attempts were counted that are not handed to a settlement yet."""
        return bool(self._minutes)

    def arrived(self, link: int, result: Result, items: Sequence[Queued], now: Micros) -> None:
        """Count the attempts of one request: each of its deliveries has one."""
        if not self._began <= now < self._ends or not self._cells:
            self._turn(now)
        cell = self._cells.get(link)
        if cell is None:
            cell = self._cells[link] = tally.empty()
        count, column = len(items), _COLUMN_OF[result.outcome.name]
        cell[column] += count
        if column != _SKIPPED:
            ms = result.duration_ms
            cell[_MS] += ms * count
            cell[_BUCKETS + bisect_left(_BOUNDS, ms)] += count
            if column != _DELIVERED:
                self._why(link, result.outcome.name, result.status, result.reason, items, now)

    def _unsent(self, settlement: Settlement, now: Micros) -> None:
        """Count deliveries that ended without a request, which have no duration."""
        for link, delivery, outcome, reason, created in settlement.unsent:
            if not self._began <= now < self._ends or not self._cells:
                self._turn(now)
            cell = self._cells.setdefault(link, [])
            if not cell:
                cell.extend(tally.empty())
            column = tally.COLUMN_OF[outcome]
            cell[column] += 1
            if column != _SKIPPED:
                self._note(link, outcome, None, reason, 1, delivery, created, now)
        settlement.unsent.clear()

    def into(self, settlement: Settlement, now: Micros, *, at_once: bool) -> None:
        """Hand the counts to a settlement, if it is time; `at_once`: even if it is not."""
        if settlement.unsent:
            self._unsent(settlement, now)
        events = self._events()
        since = now - self._flushed
        is_due = since >= FLUSH_SECONDS * SECOND or since < 0 or at_once
        if not is_due or not (self._minutes or events != self._seen):
            return
        self._seen = events
        self._number = max(self._number + 1, now)
        rows: list[tuple[Micros, int, list[int]]] = []
        while self._minutes and len(rows) < LINKS_PER_SETTLEMENT:
            minute, cells = next(iter(self._minutes.items()))
            while cells and len(rows) < LINKS_PER_SETTLEMENT:
                rows.append((minute, *cells.popitem()))
            if not cells:
                del self._minutes[minute]
        reasons: Reasons = {}
        if not self._minutes:
            self._flushed = now
            self._cells = {}
            reasons, self._reasons = self._reasons, {}
        settlement.tallies.append(TallyBatch(self._number, now - now % MINUTE, rows, reasons))

    def _turn(self, now: Micros) -> None:
        """Another minute begins, or everything was handed over."""
        self._began = now - now % MINUTE
        self._ends = self._began + MINUTE
        self._cells = self._minutes.setdefault(self._began, {})
        hour = now - now % HOUR
        if hour != self._hour:
            self._hour = hour
            self._known.clear()

    def _why(
        self, link: int, outcome: str, status: int | None, reason: str, items: Sequence[Queued], now: Micros
    ) -> None:
        last = items[-1]
        self._note(link, outcome, status, reason, len(items), last.number, last.created, now)

    def _note(
        self,
        link: int,
        outcome: str,
        status: int | None,
        reason: str | None,
        count: int,
        delivery: int,
        created: Micros,
        now: Micros,
    ) -> None:
        why = (outcome, status or 0, _folded(reason, status) or "")
        known = self._known.setdefault(link, set())
        if why not in known:
            if len(known) >= REASONS_MAX:
                why = (outcome, 0, "")
            known.add(why)
        key = (link, self._hour, *why)
        before = self._reasons.get(key)
        if before is None:
            self._reasons[key] = (count, now, now, delivery, created)
        else:
            self._reasons[key] = (before[0] + count, before[1], now, delivery, created)
