"""One helper, as the sender sees it: the errands that it was given, and its answers.

Two threads share it. The thread that sends (`client.py`) gives errands, and alone knows who waits for their answers.
The event loop (`stream.py`) carries both. Each hands things to the other in a queue, and wakes it once for many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tidings.net.handle import Done, HttpRequest
from tidings.net.helping.messages import ERRAND_BYTES, Errand, ErrandAnswer
from tidings.net.helping.unsaid import Unsaid

WAITING_MAX = 5_000
"""The maximum number of errands that a helper has not answered yet."""


class Helper:
    """A helper with an open connection. What does not say otherwise belongs to the event loop."""

    def __init__(self, node: str, wake: Callable[[], None]) -> None:
        """`node`: its id. `wake`: ends the wait of the thread that sends."""
        self.node, self.parts = node, 0
        self.waiting: dict[int, tuple[float, HttpRequest, Done]] = {}
        """By the errand's number: until when the answer has to arrive, and what it answers. Belongs to the thread that
        sends."""
        self.answers: deque[ErrandAnswer] = deque()
        self.is_lost = False
        """Whether it will answer nothing more."""
        self.is_full = False
        """Whether it does not read fast enough."""
        self._unsaid = Unsaid(_size)
        self._number = 0
        self._wake = wake

    @property
    def takes_errands(self) -> bool:
        """Whether it can be given one; from the thread that sends."""
        return not (self.is_lost or self.is_full) and len(self.waiting) < WAITING_MAX

    def give(self, request: HttpRequest, until: float, done: Done) -> None:
        """Give it a request; from the thread that sends."""
        self._number += 1
        self.waiting[self._number] = until, request, done
        errand = Errand(
            self._number, request.url, request.headers, request.body, request.timeout_seconds, request.tenant
        )
        self._unsaid.add(errand)

    def lose(self) -> None:
        """Expect nothing more from it; from any thread."""
        self._unsaid.tell(self.lost)

    def lost(self) -> None:
        """The connection has ended."""
        self.is_lost = True
        self._unsaid.wake()
        self._wake()

    async def errands(self, seconds: float) -> list[Errand]:
        """The next errands for a message, as soon as there are any; none after this time, or if it is lost."""
        return await self._unsaid.message(seconds)

    def answered(self, answers: list[ErrandAnswer]) -> None:
        """Answers have arrived."""
        self.answers.extend(answers)
        self._wake()


def _size(errand: Errand) -> int:
    return ERRAND_BYTES + len(errand.body)
