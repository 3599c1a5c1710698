"""Scenario 3 between real systems: contacts are copied while everything that can happen to such a copy happens.

The server is killed, its clock is set, the systems refuse calls, repeat and mix pages and break off (mischief.py), and
somebody works in the CRM all the time.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.peers.mischief import Mischief, Peer
from tidings.testing import ProcessServer, until

CONTACTS = 60
ALIVE_SECONDS = 0.6
"""The longest time from the beginning of a run to the next kill."""
CLOCK_STEPS_SECONDS = (-5, -2, 0, 2, 5)
"""How far its clock is set before a kill; the next start has the right time again."""
SETTLED_SECONDS = 120
SOON_SECONDS = [0, *[0.5] * 19]


class Copied(NamedTuple):
    """What came of it."""

    contacts: int
    differences: int
    runs: int
    reads: int
    needed_reads: int
    writes: int
    needed_writes: int
    refused: int
    missing: int
    """How many contacts are not in the books as they are in the CRM."""
    calls_again: int
    """How many customers were written when everything was read again."""

    def __str__(self) -> str:
        read = f"{self.reads} pages were read where {self.needed_reads} were necessary ({self.runs} runs)"
        wrote = f"{self.writes} calls wrote what needed {self.needed_writes}"
        return (
            f"{self.contacts} contacts, {self.differences} differences: {read}, {wrote}; {self.refused} were refused."
            f" {self.missing} contacts differ at the end; to read all again made {self.calls_again} calls."
        )


class Work:
    """Somebody who works in the CRM: several changes at the same moment, some of them deletions."""

    def __init__(self, peer: Peer, chance: random.Random) -> None:
        self._peer, self._chance, self._count = peer, chance, 0

    def begin(self) -> None:
        """The first contacts."""
        self._peer.write({f"c{number}": f"Contact {number}" for number in range(CONTACTS)})

    def go_on(self, changes: int = 3) -> None:
        """A few changes at once."""
        written: dict[str, str | None] = {}
        for _ in range(changes):
            self._count += 1
            name = f"Name {self._count} <&\"']]>"
            written[f"c{self._chance.randrange(CONTACTS)}"] = None if self._chance.random() < 0.15 else name
        self._peer.write(written)


def copy(
    peer: Peer,
    folder: Path,
    kills: int,
    *,
    database: str | None = None,
    chance: random.Random,
    say: Callable[[str], None] = lambda said: None,
) -> Copied:
    """Play it with this many kills of the server at random moments, and compare."""
    work = Work(peer, chance)
    work.begin()
    with contextlib.ExitStack() as stack:
        crm = stack.enter_context(Mischief(peer, chance, meanwhile=lambda: work.go_on(1), is_read=True))
        books = stack.enter_context(Mischief(peer, chance, is_read=False))
        server = stack.enter_context(ProcessServer(folder, database=database, movable_clock=True))
        for name, side in (("crm", crm), ("books", books)):
            server.api.put(f"/v1/connections/{name}", {"base": side.base, "auth": peer.auth()})
        links = {name: {**link, "retry_delays_seconds": SOON_SECONDS} for name, link in peer.links().items()}
        server.api.post("/v1/links:apply", {"links": links})
        runs = 1
        for number in range(1, kills + 1):
            work.go_on()
            server.set_by(chance.choice(CLOCK_STEPS_SECONDS))
            time.sleep(chance.random() * ALIVE_SECONDS)
            server.kill()
            work.go_on()
            server.start()
            _run(server)
            runs += 1
            if number % 20 == 0:
                say(f"{peer.name}: {number} of {kills} kills, {crm.calls['all'] + books.calls['all']} calls so far")
        crm.behaves = books.behaves = True
        _settle(server)
        _run(server)
        runs += 1
        with contextlib.suppress(AssertionError):
            until(lambda: peer.customers() == peer.contacts(), "the books equal the CRM", SETTLED_SECONDS)
        _settle(server)
        there, wanted = peer.customers(), peer.contacts()
        missing = len(there.items() ^ wanted.items())
        differences = len(server.api.pages("/v1/events", type="crm.contact.*"))
        before, reads, needed = books.calls["all"], crm.calls["all"], crm.calls["needed"]
        server.api.post("/v1/links/crm-contacts:reset")
        _run(server)
        _settle(server)
        refused = crm.calls["refused"] + books.calls["refused"]
        again = books.calls["all"] - before
        return Copied(
            len(wanted), differences, runs, reads, runs + needed, before, books.calls["needed"], refused, missing, again
        )


def _run(server: ProcessServer) -> None:
    """An hour has passed."""
    until(lambda: server.api.call("POST", "/v1/links/crm-contacts:run").status == 202, "it runs", 30)


def _settle(server: ProcessServer) -> None:
    """Until nothing waits any more."""
    until(lambda: not server.api.pages("/v1/deliveries", state="waiting"), "nothing waits", SETTLED_SECONDS)
