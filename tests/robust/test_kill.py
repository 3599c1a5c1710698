"""kill -9 at random moments: what was acknowledged arrives everywhere, in order where that was asked for.

Endpoints of every temper at once: quick, failing, slow, ordered by subject, and one that is paused and resumed.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.examples import examples
from tests.kills import chance_of_this_run, killed_in_the_middle
from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

KILLS = examples(10)
CALLERS = 4
SUBJECTS = 3
IN_FLIGHT_MAX = 16
RETRIES = [0, 0.2, 0.2, 0.5, 0.5, 1, 1, 2, 2, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
PATHS = ("/quick", "/failing", "/slow", "/subject", "/all", "/paused")


def registered(server: ProcessServer, receiver: Receiver) -> dict[str, str]:
    """The endpoints by path."""
    options: dict[str, dict[str, Any]] = {
        "/failing": {"retry_delays_seconds": RETRIES},
        "/slow": {"max_in_flight": 4},
        "/subject": {"order": "subject", "retry_delays_seconds": RETRIES},
        "/all": {"order": "all", "retry_delays_seconds": RETRIES},
    }
    each = {"max_in_flight": IN_FLIGHT_MAX}
    return {path: server.api.register(receiver.url(path), **{**each, **options.get(path, {})})[0] for path in PATHS}


def first_arrivals(received: Iterable[Received]) -> dict[str, list[int]]:
    """By subject, the numbers in the order in which each came first."""
    seen: set[str] = set()
    found: dict[str, list[int]] = defaultdict(list)
    for each in received:
        if each.id not in seen:
            seen.add(each.id)
            found[each.json["subject"]].append(each.json["data"]["n"])
    return found


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path: Path, database: str | None) -> None:
    chance = chance_of_this_run()
    with Receiver() as receiver, ProcessServer(tmp_path, database=database) as server:
        for path in ("/failing", "/subject", "/all"):
            # Now and then one fails; the script is taken up again after each kill.
            receiver.answer(*chance.choices([204, 500], [9, 1], k=400), 204, path=path)
        receiver.answer(Reaction(delay_seconds=0.05), path="/slow")
        endpoints = registered(server, receiver)
        numbers: dict[str, int] = defaultdict(int)
        acknowledged: list[str] = []

        def publish(caller: int) -> None:
            for turn in range(100_000):
                subject = f"c{caller}-{turn % SUBJECTS}"
                # A number is never used again: whether the last one was stored is not known after a kill.
                number = numbers[subject]
                numbers[subject] += 1
                acknowledged.append(server.api.publish("step", {"n": number}, subject=subject))

        for kill in range(KILLS):
            paused = kill % 2 == 0
            server.api.post(f"/v1/endpoints/{endpoints['/paused']}:{'pause' if paused else 'resume'}")
            with killed_in_the_middle(server, CALLERS, publish):
                time.sleep(0.1 + 0.3 * chance.random())
        server.api.post(f"/v1/endpoints/{endpoints['/paused']}:resume")
        settle(server, receiver, acknowledged)
        print(f"{len(acknowledged)} acknowledged, {KILLS} kills")
        for path in PATHS:
            repeats = Counter(each.id for each in receiver.requests(path))
            surplus = sum(repeats.values()) - len(repeats) - receiver_failures(server, endpoints[path])
            print(f"{path}: {surplus} repeats")
            # In flight at a kill, or answered and not settled yet: at most two rounds of the slots.
            assert 0 <= surplus <= KILLS * 2 * IN_FLIGHT_MAX
        in_order(receiver)


def settle(server: ProcessServer, receiver: Receiver, acknowledged: list[str]) -> None:
    """Wait until everything acknowledged has come to every path, and nothing waits any more."""
    for path in PATHS:
        until(
            lambda: {each.id for each in receiver.requests(path)} >= set(acknowledged),
            f"everything arrives at {path}",
            120,
        )
    until(lambda: not server.api.get("/v1/deliveries", state="waiting")["data"], "nothing waits any more", 120)
    assert not server.api.get("/v1/deliveries", state="dead")["data"]


def receiver_failures(server: ProcessServer, endpoint: str) -> int:
    """How many stored attempts were answered with a failure: each is followed by another try, which is not a repeat."""
    return sum(each["attempts"] - 1 for each in server.api.pages("/v1/deliveries", endpoint=endpoint, limit=1000))


def in_order(receiver: Receiver) -> None:
    """Ordered by subject means so for each subject; a strict line keeps every subject too."""
    for path in ("/subject", "/all"):
        for subject, came in first_arrivals(receiver.requests(path)).items():
            assert came == sorted(came), f"{path}: the order of {subject} is broken: {came}"
