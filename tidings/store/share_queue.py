"""Waiting for a share on an event loop: a waiter gets it in its tenant's turn."""

from __future__ import annotations

import asyncio

from tidings.rules.share import Share, Turns


class ShareQueue:
    """Hands out a share to its waiters. Belongs to one event loop."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self._turns: Turns[asyncio.Future[None]] = Turns(share)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._turns.waiting

    def take_now(self, tenant: str | None, amount: int = 1) -> bool:
        """Take a part now, if the tenant may and nobody waits."""
        return not self._turns.waiting and self.share.take(tenant, amount)

    async def take(self, tenant: str | None, amount: int = 1) -> None:
        """Take a part, now or in turn; the caller must call `leave` afterwards."""
        if self.take_now(tenant, amount):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.add(tenant, turn, amount)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not self._turns.discard(tenant, turn):
                self.leave(tenant, amount)
            raise

    def leave(self, tenant: str | None, amount: int = 1) -> None:
        """Give the part back, so that others can have it."""
        self.share.give_back(tenant, amount)
        self._admit()

    def _admit(self) -> None:
        while self._turns.waiting and (turn := self._turns.next()) is not None:
            # A cancelled one returns its part itself.
            if not turn.done():
                turn.set_result(None)
