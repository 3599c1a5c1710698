"""Which of the workers at one port take calls there."""

from __future__ import annotations

from collections.abc import Collection

import msgspec


class Candidate(msgspec.Struct, frozen=True):
    """A worker that could take calls."""

    number: int
    sends: bool
    """Whether it is the one that sends, for all nodes on the database."""
    drains: bool
    """Whether it was asked to exit."""


def at_shared_port(ready: Collection[Candidate], *, all_drain: bool = False) -> set[int]:
    """The numbers of those that take calls at the shared port. `all_drain`: the whole server was asked to exit.

    The sender has enough to do, and sends more if others read the requests. A single draining worker would make a load
    balancer believe that this server is not ready. But some worker has to answer, if any can.
    """
    staying = [each for each in ready if all_drain or not each.drains] or ready
    found = [each for each in staying if not each.sends] or staying
    return {each.number for each in found}
