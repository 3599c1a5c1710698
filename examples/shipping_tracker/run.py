"""Scenario 15, shipping tracker: data that changes all the time, clients that poll, and a call limit for each key.

Run `python examples/shipping_tracker/run.py`. The server is a real process whose clock is moved, so that a minute and a
day take no time. It ends with 1 where an answer is stale, where a limit does not hold, or where somebody else feels it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidings.client import Client
from tidings.client.calls import read
from tidings.client.exchange import ClientReply
from tidings.testing import ProcessServer

CONFIG = Path(__file__).parent / "tidings.yaml"
PARCEL = "PX-20481"
PER_MINUTE, PER_DAY = 5, 8
LIMITS = [{"calls": PER_MINUTE, "seconds": 60}, {"calls": PER_DAY, "seconds": 86_400}]

CARRIER = [{"collection": "parcels", "verbs": ["put", "edit"]}]
CUSTOMER = [{"collection": "parcels", "verbs": ["get"], "read": ["status", "place", "scans"]}]


class Scene:
    """The server and its clock, and what was wrong so far."""

    def __init__(self, server: ProcessServer, carrier: Client) -> None:
        self._server, self._carrier = server, carrier
        self._moved = 0.0
        self._scans = 0
        self.wrong: list[str] = []

    def pass_seconds(self, seconds: float) -> None:
        """Move the clock on."""
        self._moved += seconds
        print(f"\nIt is {self._server.advance(seconds)}.")

    def restart(self) -> None:
        """Stop the server and start it again, at the same time of its day."""
        self._server.restart()
        print(f"\nThe server was restarted. It is {self._server.advance(self._moved)}.")

    def scan(self) -> None:
        """The carrier scans the parcel; that takes none of the customers' calls."""
        self._scans += 1
        self._carrier.items("parcels").edit(PARCEL, {"status": "in transit", "scans": self._scans})

    def poll(self, who: str, key: str) -> ClientReply:
        """A scan, and then one customer looks. Fresh is what has this scan."""
        self.scan()
        with Client(self._server.url, key, retries=0) as customer:
            reply = customer.exchange(read(f"/v1/items/parcels/{PARCEL}"))
        shown = f"scans: {reply.value()['scans']}" if reply.status == 200 else f"Retry-After: {retry_after(reply):g}"
        print(f"  {who:<5} {reply.status}  {shown:<18} RateLimit: {reply.headers['ratelimit']}")
        if reply.status == 200 and reply.value()["scans"] != self._scans:
            self.wrong.append(f"{who} was shown an old scan")
        return reply

    def expect(self, status: int, who: str, key: str, times: int = 1) -> ClientReply:
        """Poll so often; each answer must have this status. The last answer."""
        for _ in range(times):
            reply = self.poll(who, key)
            if reply.status != status:
                self.wrong.append(f"{who} got {reply.status}, not {status}")
        return reply


def retry_after(reply: ClientReply) -> float:
    """The seconds that a 429 asks to wait for."""
    return reply.retry_after_seconds or 0.0


def seconds_to_morning(now: datetime) -> float:
    """Until ten in the morning, so that no window ends while we look at it."""
    morning = (now + timedelta(days=1)).replace(hour=10, minute=0, second=1, microsecond=0)
    return (morning - now).total_seconds()


def play(scene: Scene, anna: str, bert: str) -> None:
    """Two customers, of whom one asks too often."""
    scene.pass_seconds(seconds_to_morning(datetime.now(UTC)))
    scene.expect(200, "anna", anna, PER_MINUTE)
    over = scene.expect(429, "anna", anna)
    scene.expect(200, "bert", bert)
    if not 50 <= retry_after(over) <= 60:
        scene.wrong.append(f"the minute was not over in {retry_after(over):g} s")

    scene.pass_seconds(retry_after(over))
    scene.expect(200, "anna", anna, PER_DAY - PER_MINUTE)
    over = scene.expect(429, "anna", anna)
    scene.expect(200, "bert", bert)
    if not 13 * 3600 < retry_after(over) <= 14 * 3600:
        scene.wrong.append(f"the day was not over in {retry_after(over):g} s")

    scene.restart()
    over = scene.expect(429, "anna", anna)
    scene.expect(200, "bert", bert)

    scene.pass_seconds(retry_after(over))
    scene.expect(200, "anna", anna)


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer(config=CONFIG, movable_clock=True) as server, Client(server.url, server.api.key) as operator:
        carrier_key = operator.create_key("the carrier", [], permits=CARRIER)["key"]
        anna, bert = (
            operator.create_key(name, [], permits=CUSTOMER, limits=LIMITS)["key"] for name in ("anna", "bert")
        )
        with Client(server.url, carrier_key) as carrier:
            carrier.items("parcels").put(PARCEL, {"place": "Leipzig"})
            print(f"Each customer's key may make {PER_MINUTE} calls a minute, and {PER_DAY} a day.")
            scene = Scene(server, carrier)
            play(scene, anna, bert)
    print("\nEvery answer was fresh, and nobody felt the other." if not scene.wrong else f"\nWrong: {scene.wrong}")
    return 0 if not scene.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
