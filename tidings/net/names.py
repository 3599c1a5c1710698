"""Host name look-ups: a bounded number at a time, divided among tenants, with a short-lived cache (the only user of
c-ares).

A look-up costs a few packets and no thread, so names whose servers never respond delay nobody else: they use up their
tenant's share of look-ups, and each is given up after 5 seconds. A result is used for as long as DNS says, within
limits; after that, while it is looked up again, and while no name server responds.

c-ares reads /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf (files and dns of it), and reads them again whenever
they change.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec
import pycares

from tidings.rules.share import Share, Turns

LOOKUP_SECONDS = 5.0
LOOKUPS_MAX = 256
"""The maximum number of look-ups in progress, for all tenants together."""
FRESH_SECONDS_MIN, FRESH_SECONDS_MAX = 5.0, 60.0
RENEWING_SECONDS = 10.0
"""How long an expired result is still used while its name is looked up again."""
STALE_SECONDS = 600.0
"""The maximum time for which a result is used while no name server responds."""
NAMES_KEPT = 10_000
TRY_SECONDS, TRIES = 0.5, 6
CHANNEL_SECONDS = 5.0

log = logging.getLogger("tidings.net")

Problem = Literal["unknown", "silent", "failed"]
"""`unknown`: the name does not exist or has no address; `silent`: no name server responded in time; `failed`: the name
servers gave no usable answer."""

Addresses = list[tuple[str, int]]
"""Addresses, each with the number of seconds for which it is valid."""
Source = Callable[[str, Callable[[Addresses, Problem | None], None]], None]
"""Starts a look-up, and calls back from any thread with the addresses or the problem."""


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """What is known about a name. `until` and `learned` are times of the monotonic clock."""

    addresses: tuple[str, ...]
    problem: Problem | None
    until: float
    learned: float
    alias: str
    """Another name for these addresses. As long as the alias does not change, connections to them are reused."""


Done = Callable[[Resolved], None]


class _Pending:
    """A look-up that is waiting for its turn or in progress, and its waiters."""

    __slots__ = ("begun", "done", "name", "tenant")

    def __init__(self, name: str, tenant: str | None) -> None:
        self.name, self.tenant = name, tenant
        self.begun: float | None = None
        self.done: list[Done] = []


class Names:
    """Every look-up of the server. All methods may be called from any thread, and call back from any thread."""

    def __init__(self, source: Source | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source or Cares()
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Resolved] = {}
        self._doubted: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._begun: deque[_Pending] = deque()
        self._numbers = itertools.count(1)
        self.share = Share("lookups", LOOKUPS_MAX)
        self._turns: Turns[_Pending] = Turns(self.share)

    def known(self, name: str, tenant: str | None) -> Resolved | None:
        """A usable result; None if the name must be looked up first. Starts a look-up that is due."""
        found = self._known.get(name)
        if found is None:
            return None
        late = self._clock() - found.until
        if late < 0:
            return found
        if found.problem is not None or late > RENEWING_SECONDS:
            return None
        if name not in self._pending:
            self.look_up(name, tenant, _nobody)
        return found

    def look_up(self, name: str, tenant: str | None, done: Done) -> None:
        """Look a name up on the account of `tenant`, unless that is already in progress; then call `done`."""
        with self._lock:
            pending = self._pending.get(name)
            if pending is None or (pending.begun is None and pending.tenant != tenant):
                # Nobody waits in another tenant's line; the tenant whose turn comes first does the look-up.
                waiting = [] if pending is None else pending.done
                pending = self._pending[name] = _Pending(name, tenant)
                pending.done = waiting
                self._turns.add(tenant, pending)
            pending.done.append(done)
        self.expire()
        self._begin()

    async def find(self, name: str, tenant: str | None, patience_seconds: float) -> Resolved | None:
        """The same for the event loop; None if there is no result in time."""
        found = self.known(name, tenant)
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Resolved] = loop.create_future()

        def tell(found: Resolved) -> None:
            if not future.done():
                future.set_result(found)

        def done(found: Resolved) -> None:
            # At a stop, the caller and its loop may be gone.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, found)

        self.look_up(name, tenant, done)
        try:
            return await asyncio.wait_for(future, patience_seconds)
        except TimeoutError:
            return None
        finally:
            self.forget(name, done)

    def forget(self, name: str, done: Done) -> None:
        """Remove a waiter."""
        with self._lock:
            pending = self._pending.get(name)
            if pending is not None:
                with contextlib.suppress(ValueError):
                    pending.done.remove(done)

    def doubt(self, name: str) -> None:
        """Its address fails: look it up again before the next use, and close its connections."""
        now = self._clock()
        with self._lock:
            found = self._known.get(name)
            if found is None or found.problem is not None or now - found.learned < FRESH_SECONDS_MIN:
                return
            self._doubted.add(name)
            self._known[name] = msgspec.structs.replace(found, until=now - RENEWING_SECONDS - 1)

    def expire(self) -> None:
        """Give up look-ups that have been in progress for too long."""
        now = self._clock()
        late: list[_Pending] = []
        with self._lock:
            while self._begun and (self._begun[0].begun or 0.0) + LOOKUP_SECONDS <= now:
                late.append(self._begun.popleft())
        for pending in late:
            self._end(pending, [], "silent")

    def close(self) -> None:
        """End the resolver's own thread."""
        if isinstance(self._source, Cares):
            self._source.close()

    def _begin(self) -> None:
        while True:
            with self._lock:
                pending = self._turns.next()
                if pending is None:
                    return
                known = self._pending.get(pending.name)
                if known is None or known.begun is not None or not known.done:
                    # Another tenant's turn came first, or nobody waits any more.
                    self.share.give_back(pending.tenant)
                    if known is pending:
                        del self._pending[pending.name]
                    continue
                pending.done = known.done
                self._pending[pending.name] = pending
                pending.begun = self._clock()
                self._begun.append(pending)
            self._source(pending.name, lambda addresses, problem, of=pending: self._end(of, addresses, problem))  # type: ignore[misc]

    def _end(self, pending: _Pending, addresses: Addresses, problem: Problem | None) -> None:
        with self._lock:
            if self._pending.get(pending.name) is not pending:
                return
            del self._pending[pending.name]
            with contextlib.suppress(ValueError):
                self._begun.remove(pending)
            self.share.give_back(pending.tenant)
            found = self._keep(pending.name, addresses, problem)
        for done in pending.done:
            done(found)
        self._begin()

    def _keep(self, name: str, addresses: Addresses, problem: Problem | None) -> Resolved:
        now, before = self._clock(), self._known.pop(name, None)
        doubted = name in self._doubted
        self._doubted.discard(name)
        if addresses:
            texts = tuple(dict.fromkeys(text for text, _ in addresses))
            holds = min(seconds for _, seconds in addresses)
            until = now + min(max(float(holds), FRESH_SECONDS_MIN), FRESH_SECONDS_MAX)
            same = before is not None and not doubted and set(before.addresses) == set(texts)
            alias = before.alias if same and before is not None else f"n{next(self._numbers)}.invalid"
            found = Resolved(texts, None, until, now, alias)
        elif problem != "unknown" and before is not None and before.addresses and now - before.learned < STALE_SECONDS:
            found = msgspec.structs.replace(before, until=now + FRESH_SECONDS_MIN)
            log.warning("no name server answers for %s; using its last known addresses", name)
        else:
            found = Resolved((), problem or "unknown", now + FRESH_SECONDS_MIN, now, "")
        self._known[name] = found
        if len(self._known) > NAMES_KEPT:
            del self._known[next(iter(self._known))]
        return found


class Cares:
    """c-ares. A channel keeps its results for up to an hour, so it is replaced every few seconds.

    `servers`: name servers to use instead of the machine's, each `ADDRESS` or `ADDRESS:PORT`.
    """

    def __init__(self, servers: list[str] | None = None) -> None:
        self._servers = servers
        self._lock = threading.Lock()
        self._channels: deque[tuple[float, pycares.Channel]] = deque()

    def __call__(self, name: str, answer: Callable[[Addresses, Problem | None], None]) -> None:
        def told(result: pycares.AddrInfoResult | None, error: int | None) -> None:
            if result is None or error:
                answer([], _problem(error))
                return
            answer([(_text(node.addr[0]), node.ttl) for node in result.nodes], None)

        try:
            self._channel().getaddrinfo(name, None, type=socket.SOCK_STREAM, callback=told)
        except (ValueError, UnicodeError):
            answer([], "unknown")
        except (pycares.AresError, RuntimeError) as wrong:
            log.error("names cannot be looked up: %s", wrong)
            answer([], "failed")

    def close(self) -> None:
        with self._lock:
            while self._channels:
                self._channels.popleft()[1].close()

    def _channel(self) -> pycares.Channel:
        now = time.monotonic()
        with self._lock:
            if not self._channels or now - self._channels[-1][0] >= CHANNEL_SECONDS:
                channel = pycares.Channel(timeout=TRY_SECONDS, tries=TRIES, servers=self._servers)
                self._channels.append((now, channel))
            while now - self._channels[0][0] > CHANNEL_SECONDS + LOOKUP_SECONDS + 1 and len(self._channels) > 1:
                # Its unanswered look-ups were given up.
                self._channels.popleft()[1].close()
            return self._channels[-1][1]


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address


def _problem(error: int | None) -> Problem:
    code = pycares.errno
    if error in (code.ARES_ENOTFOUND, code.ARES_ENODATA, code.ARES_EBADNAME, code.ARES_ENONAME):
        return "unknown"
    return "silent" if error == code.ARES_ETIMEOUT else "failed"


def _nobody(found: Resolved) -> None:
    """It is looked up for the next waiter."""
