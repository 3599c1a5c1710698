"""kill -9 in the middle of imports: of a whole one all lines are stored or none, each item with its event."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.examples import examples
from tests.kills import chance_of_this_run, killed_in_the_middle
from tidings.testing import Api, ProcessServer
from tidings.testing.api import ApiReply

KILLS = examples(8)
LINES = 1_500
PATH = "/v1/items/parts"
PARTS = {"fields": {"number": {"type": "integer", "unique": True, "sortable": True}, "name": "string"}}
FILE = "number,name\n" + "".join(f"{number},Part {number}\n" for number in range(LINES))


def send(api: Api, tenant: str, **query: str) -> ApiReply:
    """Import the file for a tenant; the same request each time."""
    headers = {"Content-Type": "text/csv", "Idempotency-Key": tenant}
    return api.call("POST", f"{PATH}:import", FILE.encode(), headers, tenant=tenant, **query)


def stored(api: Api, tenant: str) -> list[int]:
    """The numbers of a tenant's items; each of them has one event, and nothing else has."""
    numbers = [item["number"] for item in api.pages(PATH, tenant=tenant, sort="number", fields="number", limit=1_000)]
    told = [event["data"]["number"] for event in api.pages("/v1/events", tenant=tenant, limit=1_000)]
    assert sorted(told) == numbers
    return numbers


def sent_and_killed(server: ProcessServer, tenant: str, after: float, **query: str) -> None:
    """Send it, kill the server `after` seconds later, and start it again."""
    with killed_in_the_middle(server, 1, lambda _: send(server.api, tenant, **query)):
        time.sleep(after)


@pytest.mark.slow
def test_kills_in_the_middle_of_imports(tmp_path: Path, database: str | None) -> None:
    chance = chance_of_this_run()
    with ProcessServer(tmp_path, database=database, max_whole_import_lines=0) as server:
        assert server.api.call("PUT", "/v1/collections/parts", PARTS).status == 201
        begun = time.monotonic()
        assert send(server.api, "whole").json["created"] == LINES
        took = time.monotonic() - begun
        before, in_part = [], []
        for kill in range(KILLS):
            # From at once to a little beyond the whole of it, where the answer may have been on its way.
            after = took * kill / (KILLS - 1) * (0.5 + chance.random())
            sent_and_killed(server, f"t{kill}", after)
            before.append(len(stored(server.api, f"t{kill}")))
            sent_and_killed(server, f"p{kill}", after, partial="true")
            in_part.append(len(stored(server.api, f"p{kill}")))
        print(f"{took:.1f} s; lines stored before each kill: {before}, in part: {in_part}")
        assert set(before) <= {0, LINES} and before[0] == 0
        for kill in range(KILLS):
            # Sent again, each ends as if nothing had happened.
            assert send(server.api, f"t{kill}").json["created"] == LINES
            assert send(server.api, f"p{kill}", partial="true").json["created"] == LINES
            assert stored(server.api, f"t{kill}") == stored(server.api, f"p{kill}") == list(range(LINES))
