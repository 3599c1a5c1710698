"""A tenant's share: how much of something limited one tenant may hold, so that there is always room for the others.

One rule for everything that is limited (requests in flight, memory, streams, readers, large bodies, look-ups): a tenant
may hold up to GREED times what is then still free. Alone it may hold three quarters; two that want all they can get
hold three sevenths each; however many overdo it, something is left for a tenant that holds nothing, and that tenant may
take all of it. Nobody needs to count who is active. A tenant above its share gets nothing more until it or others give
something back, so it slows itself only. The operator's own work (tenant None) counts as one more tenant. (Known from
switches as dynamic thresholds: Choudhury and Hahne, 1998.)
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import msgspec

GREED = 3
"""A tenant may hold up to this many times what is still free."""

T = TypeVar("T")


class ShareView(msgspec.Struct, frozen=True):
    """A share at one moment, in its own unit.

    `held_back`: the tenants that are at their share now and would get no more.
    """

    name: str
    used: int
    total: int
    refusals: int
    tenants: int
    held_back: tuple[tuple[str | None, int], ...]
    """Tenants and what they hold, the largest first."""
    refused: tuple[tuple[str | None, int], ...]
    """Tenants that wanted more than their share, and how often since the start."""


class Share:
    """Something limited, and what each tenant holds of it. For one thread, except `view`."""

    __slots__ = ("_held", "_refused", "name", "total", "used")

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.used = 0
        self._held: dict[str | None, int] = {}
        self._refused: dict[str | None, int] = {}

    def may_take(self, tenant: str | None, amount: int = 1) -> bool:
        """Whether the tenant may hold `amount` more now. Also true if nobody holds anything, whatever the amount."""
        free = self.total - self.used - amount
        held = self._held.get(tenant)
        if held is None:
            return free >= 0 or not self.used
        return held + amount <= GREED * free

    def take(self, tenant: str | None, amount: int = 1) -> bool:
        """Take it if the tenant may; else count a refusal."""
        # As `may_take` and `hold`, in one: it happens for each delivery.
        free, held = self.total - self.used - amount, self._held.get(tenant, 0)
        if held + amount > GREED * free if held else free < 0 and self.used:
            self.refuse(tenant)
            return False
        self.used += amount
        self._held[tenant] = held + amount
        return True

    def refuse(self, tenant: str | None) -> None:
        """Count that the tenant wanted more than its share, for those who look after the server."""
        self._refused[tenant] = self._refused.get(tenant, 0) + 1

    def hold(self, tenant: str | None, amount: int = 1) -> None:
        """Count what the tenant holds from now on, without asking whether it may."""
        self.used += amount
        self._held[tenant] = self._held.get(tenant, 0) + amount

    def give_back(self, tenant: str | None, amount: int = 1) -> None:
        """Return what was taken."""
        self.used -= amount
        left = self._held[tenant] - amount
        if left:
            self._held[tenant] = left
        else:
            del self._held[tenant]

    def held(self, tenant: str | None) -> int:
        """How much the tenant holds."""
        return self._held.get(tenant, 0)

    def view(self) -> ShareView:
        """What is held now; may be called from any thread."""
        holders = sorted(self._held.copy().items(), key=lambda pair: -pair[1])
        over = tuple(pair for pair in holders if not self.may_take(pair[0]))
        refused = tuple(self._refused.copy().items())
        total = sum(count for _, count in refused)
        return ShareView(self.name, self.used, self.total, total, len(holders), over, refused)


class Turns(Generic[T]):
    """The waiters for a share: tenants in turn, and each tenant's waiters in order of arrival."""

    __slots__ = ("_lines", "_share", "waiting")

    def __init__(self, share: Share) -> None:
        self._share = share
        self._lines: dict[str | None, deque[tuple[T, int]]] = {}
        self.waiting = 0

    def add(self, tenant: str | None, who: T, amount: int = 1) -> None:
        """Add a waiter at the end of the tenant's line."""
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = deque()
        line.append((who, amount))
        self.waiting += 1

    def next(self) -> T | None:
        """The waiter whose turn it is, with its share taken; None if no waiter may take any now."""
        for tenant, line in self._lines.items():
            who, amount = line[0]
            if self._share.may_take(tenant, amount):
                self._share.hold(tenant, amount)
                self._leave(tenant, line)
                return who
            if not self._share.held(tenant):
                # No tenant overtakes one that holds nothing: otherwise small amounts would keep a large one waiting
                # forever.
                return None
        return None

    def discard(self, tenant: str | None, who: T) -> bool:
        """Remove a waiter from the line. Returns whether it was still there; if not, it has already taken its share."""
        line = self._lines.get(tenant)
        if line is None:
            return False
        for place in line:
            if place[0] is who:
                line.remove(place)
                self.waiting -= 1
                if not line:
                    del self._lines[tenant]
                return True
        return False

    def _leave(self, tenant: str | None, line: deque[tuple[T, int]]) -> None:
        line.popleft()
        self.waiting -= 1
        # To the end, so that every other tenant has its turn before this one's next.
        del self._lines[tenant]
        if line:
            self._lines[tenant] = line
