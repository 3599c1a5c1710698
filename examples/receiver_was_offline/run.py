"""Scenario 17, the receiver was offline: it is down for two days while events happen, and gets them all later.

Run `python examples/receiver_was_offline/run.py`. The server is a real process whose clock is moved, so that two days
take some seconds. What was missed comes in three ways: by retry, by a replay of a time range, by reading on from a
cursor. It ends with 1 where anything is missing.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from functools import partial
from typing import Any

from tidings.client import Client, verify
from tidings.testing import ProcessServer, Received, Receiver, until

HOUR = 3600
OUTAGE_HOURS, STEP_HOURS = 48, 6
RETRIES_HOURS_MAX = 48
MISSED = list(range(1, OUTAGE_HOURS // STEP_HOURS + 1))
"""What happens during the outage: one numbered event every six hours."""


class Scene:
    """The server, the receiver, and their common clock."""

    def __init__(self, server: ProcessServer, client: Client) -> None:
        self._server, self._client = server, client
        self._moved = self._moved_before = 0.0
        self.secrets: dict[str, str] = {}
        self.receiver = Receiver(self._check)

    def register(self, path: str, **options: Any) -> str:
        """Make a path of the receiver an endpoint; its id."""
        endpoint: str = self._client.create_endpoint(self.receiver.url(path), events=["tasks.*"], **options)["id"]
        self.secrets[path] = self._client.endpoint_secret(endpoint)["secret"]
        return endpoint

    def pass_hours(self, hours: float) -> str:
        """Move the clock on; the server's time of day."""
        self._moved_before, self._moved = self._moved, self._moved + hours * HOUR
        return self._server.advance(hours * HOUR)

    def arrived(self, path: str) -> list[int]:
        """The numbers that came to a path, each once, in rising order."""
        return sorted({request.json["data"]["n"] for request in self.receiver.requests(path)})

    def has_died(self, endpoint: str, count: int) -> bool:
        """Whether this many deliveries to an endpoint were given up."""
        return len(list(self._client.deliveries(endpoint=endpoint, state="dead"))) == count

    def has_settled(self, endpoint: str, now: str) -> bool:
        """Whether everything that is due at an endpoint has arrived."""
        waiting = self._client.deliveries(endpoint=endpoint, state="waiting")
        return not any(delivery["due"] is None or delivery["due"] <= now for delivery in waiting)

    def _check(self, request: Received) -> None:
        # The receiver's clock goes with the server's: a signature must be fresh by it. What is under way while both
        # are moved was signed before.
        clocks = [time.time() + moved for moved in (self._moved_before, self._moved)]
        now = min(clocks, key=lambda clock: abs(clock - request.timestamp))
        verify(request.headers, request.body, self.secrets[request.path], now=lambda: now)


def outage(scene: Scene, client: Client, once: str) -> None:
    """Two days without a receiver, and an event every six hours."""
    scene.receiver.down()
    print(f"The receiver is down. For {OUTAGE_HOURS} hours there is an event every {STEP_HOURS} hours.")
    for n in MISSED:
        client.publish("tasks.completed", {"n": n})
        until(partial(scene.has_died, once, n), f"event {n} was tried")
        scene.pass_hours(STEP_HOURS)
    scene.receiver.up()
    print("The receiver is up again.\n")


def by_cursor(client: Client, cursor: str) -> list[int]:
    """Read on from where one was: nothing has to be sent for that."""
    events, _ = next(client.follow(after=cursor, wait_seconds=0, type="tasks.completed"))
    return [event["data"]["n"] for event in events]


def by_replay(scene: Scene, client: Client, endpoint: str, since: str) -> list[int]:
    """Send the failed deliveries of a time range again."""
    wanted = {"endpoint_id": endpoint, "since": since, "which": "failed"}
    counted = client.create_replay({**wanted, "dry_run": True})
    print(f"A dry run counts {counted['total']} dead deliveries since {since}.")
    replay = client.create_replay(wanted)
    until(lambda: client.replay(replay["id"])["state"] == "done", "the replay is done")
    until(lambda: scene.arrived("/once") == [0, *MISSED], "the replay has arrived")
    return scene.arrived("/once")[1:]


def by_retry(scene: Scene, endpoint: str) -> list[int]:
    """Do nothing: the server tries again when its schedule says so."""
    for _ in range(RETRIES_HOURS_MAX):
        now = scene.pass_hours(1)
        until(partial(scene.has_settled, endpoint, now), "what is due has arrived", 30)
        if scene.arrived("/hooks") == [0, *MISSED]:
            break
    return scene.arrived("/hooks")[1:]


def show_late(client: Client, endpoint: str) -> int:
    """Print what was late, as the deliveries tell it; how many."""
    print("\nWhat was late at /hooks, from /v1/deliveries:")
    late = 0
    for delivery in client.deliveries(endpoint=endpoint, sort="created"):
        made, last = (datetime.fromisoformat(each) for each in (delivery["created"], delivery["last"]["at"]))
        hours = (last - made).total_seconds() / HOUR
        failed = [each["outcome"] for each in client.delivery(delivery["id"])["attempts"]][:-1]
        late += hours >= 1
        print(f"  {delivery['id']}  {delivery['state']}  {hours:5.1f} h late  failed before: {failed or 'never'}")
    return late


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer(movable_clock=True) as server, Client(server.url, server.api.key) as client:
        scene = Scene(server, client)
        with scene.receiver:
            hooks = scene.register("/hooks")
            once = scene.register("/once", retry_delays_seconds=[0])
            client.publish("tasks.completed", {"n": 0})
            until(lambda: len(list(client.deliveries(state="delivered"))) == 2, "the first event has arrived")
            _, cursor = next(client.follow(after="end", wait_seconds=0))
            since = scene.pass_hours(1)
            outage(scene, client, once)
            found = {"a cursor": by_cursor(client, cursor)}
            found["a replay"] = by_replay(scene, client, once, since)
            found["retries"] = by_retry(scene, hooks)
            for way, numbers in found.items():
                print(f"By {way}: {numbers}")
            late, refused = show_late(client, hooks), len(scene.receiver.refused)
            well = all(numbers == MISSED for numbers in found.values()) and late == len(MISSED) and not refused
    print(f"\n{len(MISSED)} events were missed; lost: {0 if well else 'SOME'}; late: {late}; refused: {refused}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
