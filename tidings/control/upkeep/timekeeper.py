"""Follow the machine's clock and remember the time, so that the next start can notice that the clock was set back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable

from tidings.control.upkeep.background import Background
from tidings.model.errors import TidingsError
from tidings.model.moment import SECOND, SMALL_STEP, Clock, Micros, SystemClock
from tidings.store.base import Db
from tidings.store.writer import Writer

CHECK_SECONDS = 1.0
REMEMBER_SECONDS = 60
SEEN = "seen"
"""The name of the stored value with the time at which the store was last in use."""
OPENED_BY = "opened_by"
"""The name of the stored value that identifies the process that last opened an SQLite database."""

log = logging.getLogger("tidings.clock")


class Timekeeper:
    """The task that checks the clock every second."""

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        moved: Callable[[Db, Micros], None],
        note: Callable[[], None] = lambda: None,
        *,
        sends: bool = True,
    ) -> None:
        """`moved`: moves whatever else is due; a write job. `note` is called every second.

        `sends`: whether this node owns the due times; if not, its clock moves none.
        """
        self._note, self._sends = note, sends
        self._own = f"process {os.getpid()} on {os.uname().nodename}, {secrets.token_hex(4)}"
        self._writer, self._clock, self._moved = writer, clock, moved
        self._background = Background("timekeeper", self._work)

    def open(self, db: Db) -> None:
        """Called before anything is sent: if the clock is behind the store's last use, move all due times."""
        if not self._sends:
            return
        if db.dialect == "sqlite":
            db.run("store_fact_put", name=OPENED_BY, value=self._own)
        row = db.one("store_fact", name=SEEN)
        by = 0 if row is None else self._clock.now() - int(row[0])
        if by < -SMALL_STEP:
            db.run("waiting_move", by=by)
            db.run("link_state_move", by=by)
            self._moved(db, by)
            log.warning(
                "the clock is %.0f s behind the last use of this store; remaining waiting times stay the same",
                -by / SECOND,
            )
            self._remember(db)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check every second from now on."""
        self._background.start(loop)

    async def stop(self) -> None:
        """Remember the time for the next start."""
        if await self._background.stop() and self._sends:
            with contextlib.suppress(TidingsError):
                await self._writer.call(self._remember)

    async def _work(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            looks += 1
            self._note()
            if isinstance(self._clock, SystemClock):
                self._clock.check()
            if looks % REMEMBER_SECONDS == 0 and self._sends:
                with contextlib.suppress(TidingsError):
                    await self._writer.call(self._remember)

    def _remember(self, db: Db) -> None:
        row = db.one("store_fact", name=OPENED_BY) if db.dialect == "sqlite" else None
        if row is not None and row[0] != self._own:
            log.critical(
                "another Tidings server (%s) has opened this database while this one (%s) is running: the locks of its "
                "file system do not keep it away, so both will destroy it. Stop one of them now, and keep the data on "
                "a local disk or in PostgreSQL",
                row[0],
                self._own,
            )
        db.run("store_fact_put", name=SEEN, value=str(self._clock.now()))
