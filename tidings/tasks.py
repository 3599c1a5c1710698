"""The work of a server besides requests: it starts once requests are accepted, and stops before the writer closes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tidings.control.declare.declaring import Declaring
from tidings.control.endpoints.cancelling import Cancelling
from tidings.control.indexes import Indexes
from tidings.control.replaying import Replaying
from tidings.control.timers.stage import LinkTimers
from tidings.control.upkeep.retention import Retention
from tidings.control.upkeep.timekeeper import Timekeeper


@dataclass(frozen=True, slots=True)
class Tasks:
    """The background tasks. They continue at the next start."""

    cancelling: Cancelling
    replaying: Replaying
    timekeeper: Timekeeper
    timers: LinkTimers
    retention: Retention
    indexes: Indexes
    declaring: Declaring

    def start(self, loop: asyncio.AbstractEventLoop, *, sends: bool) -> None:
        """Start them, or resume them. `sends`: false if this node has joined others and another one sends."""
        # Each machine has its own clock, and each node reports for itself whether the indexes exist.
        self.timekeeper.start(loop)
        self.indexes.start(loop, builds=sends)
        if sends:
            # The rest must run on one node only: it changes what the sender has in memory, or would be done twice.
            self.cancelling.start()
            self.replaying.start(loop)
            self.timers.start(loop)
            self.retention.start(loop)
            self.declaring.start(loop)

    async def stop(self) -> None:
        """Stop them."""
        await self.cancelling.stop()
        await self.replaying.stop()
        await self.retention.stop()
        await self.timers.stop()
        await self.timekeeper.stop()
        await self.indexes.stop()
        await self.declaring.stop()
