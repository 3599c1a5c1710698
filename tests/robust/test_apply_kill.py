"""kill -9 in the middle of a declaration that is carried out: the collection is as it was, or as it was to become."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.examples import examples
from tests.kills import chance_of_this_run, killed_in_the_middle
from tidings.testing import Api, ProcessServer, until

KILLS = examples(8)
ITEMS = 2_000
BEFORE: dict[str, Any] = {"number": {"type": "integer", "filterable": True, "sortable": True}, "day": "date"}
AFTER: dict[str, Any] = {
    "number": {"type": "number", "filterable": True, "sortable": True},
    "day": {"type": "datetime", "filterable": True},
    "state": {"type": "string", "required": True, "default": "new", "searchable": True},
}
FILE = "number,day\n" + "".join(f"{number},2026-11-26\n" for number in range(ITEMS))


def apply(api: Api, name: str, fields: dict[str, Any]) -> None:
    assert api.call("POST", "/v1/collections:apply", {"collections": {name: {"fields": fields}}}).status == 200


def filled(api: Api, name: str) -> None:
    """Declare a collection as it is before, with its items."""
    apply(api, name, BEFORE)
    sent = api.call("POST", f"/v1/items/{name}:import?partial=true", FILE.encode(), {"Content-Type": "text/csv"})
    assert sent.json["created"] == ITEMS


def applied_and_killed(server: ProcessServer, name: str, after: float) -> None:
    """Have it carried out, kill the server `after` seconds later, and start it again."""
    with killed_in_the_middle(server, 1, lambda _: apply(server.api, name, AFTER)):
        time.sleep(after)


def is_changed(api: Api, name: str) -> bool:
    """Whether the declaration is the new one; every item is as it says, and found by what it says."""
    fields = api.get(f"/v1/collections/{name}")["fields"]
    items = api.pages(f"/v1/items/{name}", sort="number", limit=1_000)
    assert [item["number"] for item in items] == list(range(ITEMS))
    assert all(item.keys() - {"id", "tenant", "revision", "created", "updated"} == fields.keys() for item in items)
    day, state = ("2026-11-26T00:00:00.000Z", "new") if "state" in fields else ("2026-11-26", None)
    assert {(item["day"], item.get("state")) for item in items} == {(day, state)}
    if "state" in fields:
        assert api.get(f"/v1/items/{name}", q="new", count="true", limit=1)["count"] == ITEMS
    until(lambda: api.get(f"/v1/collections/{name}")["indexes"] == "ready", "the indexes are made", 60)
    return "state" in fields


@pytest.mark.slow
def test_kills_in_the_middle_of_declarations(tmp_path: Path, database: str | None) -> None:
    chance = chance_of_this_run()
    with ProcessServer(tmp_path, database=database) as server:
        filled(server.api, "whole")
        begun = time.monotonic()
        apply(server.api, "whole", AFTER)
        took = time.monotonic() - begun
        assert is_changed(server.api, "whole")
        ends = []
        for kill in range(KILLS):
            filled(server.api, f"parts{kill}")
            applied_and_killed(server, f"parts{kill}", took * (kill + chance.random()) / (KILLS - 1))
            ends.append(is_changed(server.api, f"parts{kill}"))
        print(f"{took:.1f} s; changed after each kill: {ends}")
        for kill in range(KILLS):
            apply(server.api, f"parts{kill}", AFTER)
            assert is_changed(server.api, f"parts{kill}")
