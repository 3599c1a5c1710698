"""What the deliver stage divides among tenants: requests in flight, their bytes, and waiting deliveries in memory.

A tenant whose endpoints never respond holds its share of these and no more: its lanes wait until some of its requests
come back, and everyone else's continue.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, zip_longest

from tidings.deliver.lane.lane import Lane
from tidings.rules.share import Share, ShareView

FLIGHTS_MAX = 4_000
FLIGHT_BYTES_MAX = 128 * 1024 * 1024
QUEUED_MAX = 16_000
_NONE = 0, 0


class Shares:
    """The three shares, and the lanes that wait for one. For the deliver thread."""

    def __init__(self) -> None:
        self.flights = Share("flights", FLIGHTS_MAX)
        self.flight_bytes = Share("flight_bytes", FLIGHT_BYTES_MAX)
        self.queued = Share("queued", QUEUED_MAX)
        self._parked: dict[str | None, dict[int, Lane]] = {}
        self._back: dict[str | None, tuple[int, int]] = {}
        """By tenant, the number of requests that have finished since the last round, and the number of their bytes."""

    def views(self) -> list[ShareView]:
        """All shares as they are now; may be called from any thread."""
        return [share.view() for share in (self.flights, self.flight_bytes, self.queued)]

    def may_start(self, lane: Lane) -> bool:
        """Whether the lane may send a request now. If not, the lane is kept until `begin_round` finds that it may."""
        tenant = lane.tenant
        if self.flights.may_take(tenant) and self.flight_bytes.may_take(tenant, 0):
            return True
        parked = self._parked.setdefault(tenant, {})
        if lane.num not in parked:
            parked[lane.num] = lane
            self.flights.refuse(tenant)
        return False

    def chosen(self, tenant: str | None, count: int) -> None:
        """This many requests are about to leave; `flight_bytes` holds their bytes from then on."""
        if count:
            self.flights.hold(tenant, count)

    def arrived(self, tenant: str | None, size: int) -> None:
        """A request of this many bytes has finished; `begin_round` gives its place back."""
        count, whole = self._back.get(tenant, _NONE)
        self._back[tenant] = count + 1, whole + size

    def begin_round(self, active: dict[int, Lane]) -> None:
        """Give back finished requests, and serve as many lanes of each tenant that may send again."""
        if not self._back:
            return
        places = 0
        for tenant, (count, size) in self._back.items():
            places += count
            self.flights.give_back(tenant, count)
            if size:
                self.flight_bytes.give_back(tenant, size)
        self._back.clear()
        for tenant in list(self._parked):
            if self.flights.may_take(tenant) and self.flight_bytes.may_take(tenant, 0):
                parked = self._parked[tenant]
                for link in list(islice(parked, places)):
                    active[link] = parked.pop(link)
                if not parked:
                    del self._parked[tenant]


class Outstanding:
    """Numbers taken from the head whose result is not stored yet, oldest first, each counted in its tenant's share."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._tenants: dict[int, str | None] = {}

    def take(self, number: int, tenant: str | None) -> bool:
        """Count one more, if the tenant may have it."""
        if not self._share.take(tenant):
            return False
        self._tenants[number] = tenant
        return True

    def pop(self, number: int) -> None:
        """A result is stored, or the delivery is left to the store again. Unknown numbers are ignored."""
        self.pop_all([number])

    def pop_all(self, numbers: Iterable[int]) -> None:
        """The same for many; in one tenant's share they are counted once."""
        tenants, back = self._tenants, dict[str | None, int]()
        for number in numbers:
            if number in tenants:
                tenant = tenants.pop(number)
                back[tenant] = back.get(tenant, 0) + 1
        for tenant, count in back.items():
            self._share.give_back(tenant, count)

    def oldest(self) -> int | None:
        """The first of them."""
        return next(iter(self._tenants), None)

    def __len__(self) -> int:
        return len(self._tenants)

    def __contains__(self, number: int) -> bool:
        return number in self._tenants


def in_turns(lanes: Iterable[Lane]) -> list[Lane]:
    """The lanes with their tenants in turn: one of each, then the next of each.

    Of lanes that share a gate, the one that has waited longest comes first, because a rate lets one pass at a time.
    """
    found = list(lanes)
    sharing = [lane for lane in found if lane.gate.shared]
    if sharing:
        waiting = iter(sorted(sharing, key=lambda lane: lane.moved))
        found = [next(waiting) if lane.gate.shared else lane for lane in found]
    if len(found) < 3:
        return found
    by_tenant: dict[str | None, list[Lane]] = {}
    for lane in found:
        by_tenant.setdefault(lane.tenant, []).append(lane)
    if len(by_tenant) == 1:
        return found
    return [lane for turn in zip_longest(*by_tenant.values()) for lane in turn if lane is not None]
