"""Replays: durable jobs that send a time range of events again, to an endpoint or through an operator's link.

`failed` puts the link's dead deliveries of the range back into `waiting`, due now. `all` makes a new delivery for
every event of the range that the link wants today; an endpoint gets the same webhook-id again, and a link that edits
items makes its edit again. Each step and the progress row are one transaction, so a crash neither loses nor repeats
anything, and the next start continues.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from tidings.control.bulk.running import BulkWork
from tidings.control.deliveries import enabled, new_round
from tidings.control.slicing import rested
from tidings.control.upkeep.background import Background
from tidings.model import moment
from tidings.model.errors import Conflict, NotFound, TidingsError
from tidings.model.ids import new_id
from tidings.model.link import ALL_TENANTS, AnyLink
from tidings.model.moment import Clock, Micros
from tidings.model.replay import Replay, Which
from tidings.rules import filter
from tidings.rules.deliver import lifecycle
from tidings.rules.reading.refused import Refused
from tidings.rules.wants import Wants
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog
from tidings.store.log import deliveries, lists
from tidings.store.log import replays as stored
from tidings.store.log.lists import number_since
from tidings.store.writer import Writer

ROWS_PER_STEP = 500
ROWS_PER_COUNT = 5_000
EVENTS_COUNTED_MAX = 10_000
STEP_SECONDS = 0.020
"""How long a step may take to go through events or deliveries, because filters can be expensive."""
COUNT_SECONDS = 2.0
STORE_RETRY_SECONDS = 2.0

log = logging.getLogger("tidings.control")


class Replaying:
    """Starts, runs and cancels replays. One task runs them all, one step of each in turn."""

    def __init__(
        self,
        writer: Writer,
        catalog: Catalog,
        clock: Clock,
        deliver_notice: Callable[[int], None],
        ticks: Callable[[], float] = time.monotonic,
        bulk: BulkWork | None = None,
    ) -> None:
        self._writer, self._catalog, self.clock, self._notice = writer, catalog, clock, deliver_notice
        self._ticks, self._bulk = ticks, bulk
        self._news = asyncio.Event()
        self._background = Background("replays", self._work)
        self._choices: dict[str, tuple[int, Wants]] = {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Continue what the last stop interrupted, and run what is started from now on."""
        self._news.set()
        self._background.start(loop)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        await self._background.stop()

    def prepare(self, db: Db, link: AnyLink, which: Which, since: Micros, until: Micros | None) -> Replay:
        """A replay that is not stored yet, with its range and `total`, the number of facts to go through.

        A fact belongs to the range by the time when it was stored here; `since` is included, `until` is not. Raises
        Refused.
        """
        now = self.clock.now()
        until = now if until is None else until
        if since >= until:
            detail = f"until ({moment.to_text(until)}) must be later than since ({moment.to_text(since)})."
            raise Refused("/until", "empty_range", detail)
        first_since = "first_delivery_since" if which == "failed" else "first_event_since"
        after = number_since(db, first_since, since) - 1
        # Events that are not routed yet are sent in the ordinary way.
        last = journal.position(db, "delivery") if which == "failed" else lists.routed(db, _whose(link))
        finish = min(number_since(db, first_since, until) - 1, last)
        if which == "failed":
            row = db.one("replay_count_deliveries", link=link.num, after=after, finish=finish)
        elif (numbers := _numbers(db, after, finish)) > EVENTS_COUNTED_MAX:
            row = (numbers,)
        else:
            row = db.one("replay_count_events", after=after, finish=finish)
        return Replay(
            id=new_id("rpl", now),
            tenant=link.tenant,
            link=link.num,
            which=which,
            since=since,
            until=until,
            position=after,
            finish=finish,
            total=0 if row is None else int(row[0]),
            created=now,
            updated=now,
        )

    def count(self, db: Db, replay: Replay, link: AnyLink) -> int:
        """How many deliveries it would send.

        Goes through every fact of the range; raises Refused if that takes too long.
        """
        wants, found, after = Wants.of(link).compiled(), 0, replay.position
        end = self._ticks() + COUNT_SECONDS
        while True:
            rows = _facts(db, replay, after, ROWS_PER_COUNT)
            if not rows:
                return found
            for row in rows:
                found += _chosen(db, replay, row, wants)
                if self._ticks() >= end:
                    detail = (
                        "Counting the events of this range takes too long. Choose a shorter range, or start the replay "
                        "without counting them."
                    )
                    raise Refused("/since", "range_too_large", detail)
            after = rows[-1][0]

    def add(self, db: Db, replay: Replay) -> Replay:
        """Store a prepared replay, inside a write job. Raises Conflict if its endpoint or link is not enabled."""
        if replay.filter is None:
            enabled(self._catalog.link(db, replay.link))
        stored.put(db, replay)
        return replay

    def wake(self) -> None:
        """There is a new replay; on the event loop."""
        self._news.set()

    def cancel(self, db: Db, replay_id: str) -> Replay:
        """Stop it, inside a write job; deliveries already sent are not undone. Raises Conflict if it has ended."""
        replay = stored.read(db, replay_id)
        if replay is None:
            raise NotFound(f"There is no replay {replay_id[:100]}.")
        if replay.state != "running":
            raise Conflict(f"The replay is already {replay.state}.")
        return self._end(db, replay, "cancelled")

    async def _work(self) -> None:
        while True:
            self._news.clear()
            try:
                ids = await self._writer.call(stored.running)
                for replay_id, is_bulk in ids:
                    await self._turn(replay_id, is_bulk)
            except TidingsError as wrong:
                log.warning("replays pause for a moment: %s", wrong.detail)
                await asyncio.sleep(STORE_RETRY_SECONDS)
                continue
            if not ids:
                await self._news.wait()

    async def _turn(self, replay_id: str, is_bulk: bool) -> None:
        try:
            if is_bulk and self._bulk is not None:
                await self._bulk.turn(replay_id)
                return
            await rested(self._writer, lambda db: self._step(db, replay_id), then=self._told)
        except TidingsError:
            raise
        except Exception:
            # A broken one must not be retried forever, nor stop the others.
            log.exception("the replay %s failed and was cancelled", replay_id)
            await self._writer.call(lambda db: self.cancel(db, replay_id))

    def _told(self, link: int | None) -> None:
        if link is not None:
            self._notice(link)

    def _step(self, db: Db, replay_id: str) -> int | None:
        """One step, inside a write job. Returns the link that has something to send."""
        replay = stored.read(db, replay_id)
        if replay is None or replay.state != "running":
            return None
        link = self._catalog.link(db, replay.link)
        if link is None or link.deleted is not None:
            self._end(db, replay, "cancelled")
            return None
        end = self._ticks() + STEP_SECONDS
        rows = _facts(db, replay, replay.position, ROWS_PER_STEP)
        wants = self._wants(replay, link)
        done = len(rows) < ROWS_PER_STEP
        chosen = []
        for at, row in enumerate(rows):
            if _chosen(db, replay, row, wants):
                chosen.append(row)
            if self._ticks() >= end and at + 1 < len(rows):
                rows, done = rows[: at + 1], False
                break
        if chosen:
            self._send(db, replay, chosen)
        progress = msgspec.structs.replace(
            replay,
            position=rows[-1][0] if rows else replay.finish,
            looked_at=replay.total if done else replay.looked_at + len(rows),
            sent=replay.sent + len(chosen),
            updated=self.clock.now(),
        )
        if done:
            self._end(db, progress, "done")
        else:
            stored.put(db, progress)
        return replay.link if chosen else None

    def _send(self, db: Db, replay: Replay, rows: list[Row]) -> None:
        now = self.clock.now()
        if replay.which == "failed":
            rounds = [new_round(row[0], replay.link, row[1], row[2], row[4], now) for row in rows]
            db.run("waiting_put_all", rows=msgspec.json.encode(rounds).decode())
            return
        deliveries.append(db, [(row[0], replay.link) for row in rows], now)

    def _wants(self, replay: Replay, link: AnyLink) -> Wants:
        """The link's current selection, compiled once per revision."""
        known = self._choices.get(replay.id)
        if known is None or known[0] != link.revision:
            known = self._choices[replay.id] = (link.revision, Wants.of(link).compiled())
        return known[1]

    def _end(self, db: Db, replay: Replay, state: Any) -> Replay:
        ended = msgspec.structs.replace(replay, state=state, updated=self.clock.now())
        stored.put(db, ended)
        self._choices.pop(replay.id, None)
        return ended


def _numbers(db: Db, after: int, finish: int) -> int:
    """How many events there are after `after` up to `finish`, at most: old ones may have been dropped."""
    first = db.one("first_event_since", **{"from": after + 1})
    return 0 if first is None else journal.events_between(db, max(after, first[0] - 1), finish)


def _facts(db: Db, replay: Replay, after: int, count: int) -> list[Row]:
    """The next facts of a replay: deliveries for `failed`, events for `all`; their number is the first column."""
    if replay.which == "failed":
        return db.all("replay_deliveries", link=replay.link, after=after, finish=replay.finish, count=count)
    return db.all("replay_events", after=after, finish=replay.finish, count=count)


def _chosen(db: Db, replay: Replay, row: Row, wants: Wants) -> bool:
    if replay.which == "failed":
        _, _, created, state, _, waits = row
        permitted = lifecycle.after(lifecycle.state(state, waits is not None, False), "replay") is not None
        return permitted and replay.since <= created < replay.until
    return replay.since <= row[5] < replay.until and _is_wanted(db, row, wants)


def _is_wanted(db: Db, row: Row, wants: Wants) -> bool:
    """Whether an event, a row of `replay_events`, is sent again, even if it is older than the endpoint."""
    seq, tenant, kind, subject, target, _ = row
    # A test is meant only for its own moment.
    if target is not None or wants.refuses_type(tenant, kind) or wants.refuses_subject(kind, subject):
        return False
    if wants.fits is None:
        return True
    stored = db.one("event_for_filter", seq=seq)
    if stored is None:
        return False
    reason = wants.filtered(filter.document(*stored))
    return reason is None or reason.is_sent


def _whose(link: AnyLink) -> str | None:
    """The tenant whose events it may get, as the route stage writes it; None for every tenant's."""
    return None if link.tenant == ALL_TENANTS else link.tenant or ""
