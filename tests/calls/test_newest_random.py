"""Random failures, pauses and restarts: links of one connection never send something older after something newer."""

from __future__ import annotations

import random

import pytest

from tests.calls.world import Calls
from tests.examples import thorough
from tidings.testing import Received, until

SUBJECTS = [f"c-{n}" for n in range(4)]
EVENTS = 120


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, *thorough(2, 3)])
def test_the_newest_is_always_sent_last(calls: Calls, seed: int) -> None:
    chance = random.Random(seed)
    calls.connection("crm", max_in_flight=3)
    body = {"n": "{{ data.n }}"}
    retries = {"order": "subject", "retry_delays_seconds": [0, 1, 1, 1, 2, 2, 2, 5, 5, 5]}
    calls.link("on", "contact.updated", {"via": "crm", "put": "/customers/{{ subject }}", "json": body}, **retries)
    calls.link("off", "contact.deleted", {"via": "crm", "patch": "/customers/{{ subject }}", "json": body}, **retries)
    accepted: dict[str, list[int]] = {subject: [] for subject in SUBJECTS}

    def answer(received: Received, statuses: tuple[int, ...] = (200, 200, 200, 500, 503)) -> int:
        status = chance.choice(statuses)
        if status == 200:
            accepted[received.path.rpartition("/")[2]].append(received.json["n"])
        return status

    calls.peer.answer_by(answer)
    last: dict[str, int] = {}
    events = []
    for n in range(EVENTS):
        subject = chance.choice(SUBJECTS)
        kind = chance.choice(["updated", "updated", "deleted"])
        events.append((calls.api.publish(f"contact.{kind}", {"n": n}, subject=subject), kind))
        last[subject] = n
        link = chance.choice(["on", "off"])
        match chance.randrange(30):
            case 0:
                calls.api.post(f"/v1/links/{link}:pause")
            case 1:
                calls.api.post(f"/v1/links/{link}:resume")
            case 2 | 3:
                calls.clock.advance(chance.randrange(4))
            case 4:
                calls.server.restart()
            case _:
                pass
    calls.peer.answer_by(lambda received: answer(received, (200,)))
    for link in ("on", "off"):
        calls.api.post(f"/v1/links/{link}:resume")

    def is_done() -> bool:
        calls.clock.advance(2)
        return not calls.api.pages("/v1/deliveries", state="waiting")

    until(is_done, "everything has ended", seconds=30)
    for subject, numbers in accepted.items():
        # A restart may repeat what was in flight, but nothing older.
        assert numbers == sorted(numbers), subject
        assert numbers[-1:] == [last[subject]]
    assert not calls.api.pages("/v1/deliveries", state="dead")
