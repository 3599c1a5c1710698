"""Scenario 19, a time of day: at nine in Berlin, Monday to Friday, an item is created. Nobody calls anything.

Run `python examples/time_of_day/run.py`. It moves the server's clock through both changes of the clocks and restarts
the server at nine. It ends with 1 where a morning is missing, or comes twice.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tidings.config import read_config
from tidings.model.moment import SECOND, from_text
from tidings.testing import FakeClock, TestServer, until

FILE = Path(__file__).parent / "tidings.yaml"
BERLIN = ZoneInfo("Europe/Berlin")


def declare(server: TestServer) -> None:
    """Apply the file."""
    config = read_config(FILE)
    server.api.post("/v1/collections:apply", {"collections": config.collections, "links": config.links})


def mornings(server: TestServer, count: int) -> list[str]:
    """The mornings so far, in Berlin's time, once there are as many."""
    items = until(lambda: len(found := server.api.pages("/v1/items/standups")) >= count and found, f"morning {count}")
    found = sorted(datetime.fromisoformat(item["day"]).astimezone(BERLIN) for item in items or [])
    return [f"{at:%a %d %b %H:%M}, UTC{at:%z}"[:-2] for at in found]


def play(start: str, minutes: int) -> list[str]:
    """Let a few days pass in steps, with a restart at each nine o'clock; the mornings."""
    clock = FakeClock(from_text(start))
    with TestServer(clock=clock) as server:
        declare(server)
        count = 0
        for _ in range(0, 5 * 24 * 60, minutes):
            due = server.api.get("/v1/links/standup", counts="true")["next_due"]
            if due is not None and clock.now() < from_text(due) <= clock.now() + minutes * 60 * SECOND:
                server.stop()
                clock.advance(minutes * 60)
                server.start()
                count += 1
                mornings(server, count)
            else:
                clock.advance(minutes * 60)
        return mornings(server, count)


def main() -> int:
    """Play spring and autumn. The exit status."""
    spring = play("2026-03-26T12:00:00Z", 60)
    autumn = play("2026-10-22T12:00:00Z", 60)
    for name, found in (("spring", spring), ("autumn", autumn)):
        print(f"In {name}, with a restart at each nine o'clock:")
        print("".join(f"  {each}\n" for each in found), end="")
    well = spring == [
        "Fri 27 Mar 09:00, UTC+01",
        "Mon 30 Mar 09:00, UTC+02",
        "Tue 31 Mar 09:00, UTC+02",
    ] and autumn == ["Fri 23 Oct 09:00, UTC+02", "Mon 26 Oct 09:00, UTC+01", "Tue 27 Oct 09:00, UTC+01"]
    print("Each working day had one nine o'clock." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
