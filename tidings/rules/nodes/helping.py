"""Which requests to endpoints the node that sends leaves to others, its *helpers*, and to which of them.

The endpoints are divided into parts. The sender gives parts away while it is busy, and takes them back when it is not.
One node sends for a part, so connections to an endpoint are used again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from hashlib import blake2b

PARTS = 32
BUSY, IDLE = 0.6, 0.25
"""The sender is busy if sending takes more of a processor than BUSY, and idle below IDLE."""
COSTLY_SECONDS = 0.0004
"""A request that takes less processor time than this is not worth giving away, which takes some, too. Those on open
connections take a fourth of this, and those with a new TLS connection several times as much."""
FULL = 0.9
"""A process that takes more of a processor than this has no time left, as its threads share one interpreter."""
FULL_SECONDS = 10.0
"""For how long a helper without time to spare takes no errands, so that its parts do not come and go."""
MORE, LESS = 4, 1
"""How many parts it gives away at once, and takes back."""
SILENT_SECONDS = 3.0
"""A helper that was not heard from for this long has lost the requests that it was given: the sender repeats them.

The helper counts from the moment at which it sent what the sender has last heard, so it begins none of them later.
"""


def part_of(link: int) -> int:
    """The part that an endpoint belongs to; `link`: its number."""
    return link % PARTS


class Load:
    """How many parts are given away. Look at it at equal intervals."""

    __slots__ = ("_share", "given")

    def __init__(self, share: str) -> None:
        """`share`: when to give parts away: `auto` (if it is busy), `always` or `never`."""
        self._share = share
        self.given = PARTS if share == "always" else 0

    def look(self, sending: float, process: float, each_seconds: float) -> None:
        """How much of a processor sending took since the last look, and the whole process; 1 is all of one.

        `each_seconds`: the processor time for each request that the sender has sent itself.
        """
        if self._share != "auto":
            return
        if each_seconds > COSTLY_SECONDS and (sending > BUSY or (process > FULL and sending > IDLE)):
            self.given = min(PARTS, self.given + MORE)
        elif sending < IDLE:
            self.given = max(0, self.given - LESS)


class Spare:
    """Whether a helper has time to spare."""

    __slots__ = ("_full_until", "_looked_at", "_used")

    def __init__(self, now: float, used: float) -> None:
        """`used`: processor seconds of the process so far."""
        self._looked_at, self._used, self._full_until = now, used, now

    def look(self, now: float, used: float) -> bool:
        """Whether it has, judged at most once a second."""
        if now - self._looked_at >= 1.0:
            if (used - self._used) / (now - self._looked_at) > FULL:
                self._full_until = now + FULL_SECONDS
            self._looked_at, self._used = now, used
        return now >= self._full_until


def assigned(given: int, helpers: Collection[str]) -> dict[int, str]:
    """The helper for each part that is given away, by their ids: at most PARTS / helpers each, rounded up.

    A part keeps its helper if more parts are given away. If a helper comes or goes, few of the others' parts move.
    """
    ids = sorted(set(helpers))
    most = -(-PARTS // len(ids)) if ids else 0
    count, found = Counter[str](), dict[int, str]()
    for part in range(given if ids else 0):
        choice = next(each for each in _preferred(part, ids) if count[each] < most)
        count[choice] += 1
        found[part] = choice
    return found


def _preferred(part: int, ids: Collection[str]) -> list[str]:
    """All helpers, in this part's own order (rendezvous hashing)."""
    return sorted(ids, key=lambda each: blake2b(f"{part} {each}".encode(), digest_size=8).digest())
