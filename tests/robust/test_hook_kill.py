"""kill -9 at random moments while hooks come in: every request that was answered is an event, exactly once."""

from __future__ import annotations

import hmac
import itertools
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.callers import Callers
from tidings.testing import ProcessServer

KILLS = 8
SENDERS = 6
SECRET = b"It's a Secret to Everybody"


@pytest.mark.slow
def test_hooks_through_kills_at_random_moments(tmp_path: Path, database: str | None) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    numbers = itertools.count(1)
    answered: list[int] = []
    with ProcessServer(tmp_path, database=database) as server:
        server.api.post("/v1/hooks", {"path": "github", "scheme": "github", "secrets": [SECRET.decode()]})

        def send(number: int) -> None:
            body = b'{"n":%d}' % number
            headers = {
                "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest(),
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": f"d-{number}",
            }
            answer = server.api.call("POST", "/in/github", body, headers)
            assert answer.status in (200, 503), answer
            if answer.status == 200:
                answered.append(number)

        def sender(_: int) -> None:
            while True:
                number = next(numbers)
                unsure.append(number)
                send(number)
                unsure.remove(number)

        unsure: list[int] = []
        for _ in range(KILLS):
            senders = Callers(SENDERS, sender)
            time.sleep(0.2 + chance.random())
            server.kill()
            senders.join()
            server.start()
            # Whoever got no answer sends again, as senders do; so does, now and then, one that got one.
            again = [*unsure, *chance.sample(answered, min(20, len(answered)))]
            unsure.clear()
            for number in again:
                send(number)
        events = Counter(event["data"]["n"] for event in server.api.pages("/v1/events", limit=1000))
        receipts = server.api.pages("/v1/receipts", limit=1000)
        print(f"{len(set(answered))} answered, {KILLS} kills")
    assert set(answered) <= set(events), "an answered request is no event"
    assert set(events.values()) == {1}, "a request is two events"
    assert len(receipts) == len(events), "receipt and event are one transaction"
