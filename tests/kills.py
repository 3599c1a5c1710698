"""kill -9 of a real server while callers are at work."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.callers import Callers
from tidings.testing import ProcessServer


def chance_of_this_run() -> random.Random:
    """Another one in each run; its seed is printed."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    return random.Random(seed)


@contextmanager
def killed_in_the_middle(server: ProcessServer, callers: int, call: Callable[[int], object]) -> Iterator[None]:
    """Callers are at work in the block. At its end the server is killed, and started again."""
    working = Callers(callers, call)
    yield
    server.kill()
    working.join()
    server.start()


def taken_in_once_through_kills(server: ProcessServer, send: Callable[[int], int], *, senders: int, kills: int) -> None:
    """Whatever was answered with 200 is one event and one receipt. `send` sends `{"n": number}`, returns a status."""
    chance, numbers = chance_of_this_run(), itertools.count(1)
    answered: list[int] = []
    unsure: list[int] = []

    def sent(number: int) -> None:
        status = send(number)
        assert status in (200, 503)
        if status == 200:
            answered.append(number)

    def sender(_: int) -> None:
        while True:
            number = next(numbers)
            unsure.append(number)
            sent(number)
            unsure.remove(number)

    for _ in range(kills):
        with killed_in_the_middle(server, senders, sender):
            time.sleep(0.1 + 0.2 * chance.random())
        # Whoever got no answer sends again, as people and senders do; so does, now and then, one that got one.
        again = [*unsure, *chance.sample(answered, min(20, len(answered)))]
        unsure.clear()
        for number in again:
            sent(number)
    events = Counter(int(event["data"]["n"]) for event in server.api.pages("/v1/events", limit=1000))
    receipts = server.api.pages("/v1/receipts", limit=1000)
    print(f"{len(set(answered))} answered, {kills} kills")
    assert answered and set(answered) <= set(events), "something answered is no event"
    assert set(events.values()) == {1}, "something sent is two events"
    assert len(receipts) == len(events), "receipt and event are one transaction"
