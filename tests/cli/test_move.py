"""`tidings move`: from SQLite to PostgreSQL with the same ids, cursors and secrets, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.client.webhook import verify
from tidings.control.upkeep import moving
from tidings.testing import Receiver, TestServer, until

COLLECTIONS = {
    "things": {
        "fields": {
            "text": {"type": "string", "searchable": True, "filterable": True},
            "whole": {"type": "integer", "sortable": True, "unique": True},
            "broken": {"type": "number", "filterable": True},
            "price": {"type": "decimal", "scale": 2, "sortable": True},
            "done": {"type": "boolean", "filterable": True},
            "due": {"type": "datetime", "sortable": True},
            "day": {"type": "date"},
            "kind": {"type": "enum", "values": ["low", "high"]},
            "more": {"type": "object"},
            "list": {"type": "array"},
        }
    },
    "parts": {"fields": {"of": {"type": "reference", "to": "things"}}},
}
THING = {
    "text": "Größe \\ of 'water'\tpipes",
    "whole": 9_007_199_254_740_993,
    "broken": 0.1,
    "price": "12.30",
    "done": True,
    "due": "2026-03-01T10:00:00.000001Z",
    "day": "2026-03-01",
    "kind": "high",
    "more": {"a": [1, None, "x"]},
    "list": [1, 2],
}


def filled(server: TestServer, receiver: Receiver) -> str:
    """Some of everything; the endpoint's secret."""
    api = server.api
    api.post("/v1/collections:apply", {"collections": COLLECTIONS})
    for number in range(450):
        api.put(
            f"/v1/items/things/t{number}", THING | {"whole": 9_007_199_254_740_993 - number, "done": number % 2 == 0}
        )
    api.put("/v1/items/things/empty", {})
    api.put("/v1/items/parts/p1", {"of": "t7"})
    api.delete("/v1/items/things/t449")
    api.post("/v1/tenants", {"id": "acme", "name": "Acme"})
    api.post("/v1/keys", {"name": "app", "scopes": ["events:write"], "tenant": "acme"})
    api.post("/v1/hooks", {"path": "in", "scheme": "github", "secrets": ["a-secret"]})
    _, secret = api.register(receiver.url(), events=["step"], retry_delays_seconds=[0, 3600])
    receiver.answer(500)
    api.publish("step", {"n": 1})
    api.publish("step", {"n": 2}, tenant="acme")
    receiver.wait_for(1)
    return secret


def shown(server: TestServer) -> dict[str, Any]:
    """What a caller sees of it."""
    lists = ("events", "items/things", "items/parts", "endpoints", "tenants", "keys", "hooks", "collections")
    found: dict[str, Any] = {name: server.api.pages(f"/v1/{name}", limit=100) for name in lists}
    found["search"] = server.api.get("/v1/items/things", q="wat pipes", limit=3)["data"]
    found["sorted"] = server.api.get("/v1/items/things", sort="-price,whole", done="true", limit=5)["data"]
    return found


def test_everything_is_there_afterwards_and_what_waits_is_sent(tmp_path: Path, run: Run, postgres_url: str) -> None:
    data = tmp_path / "data"
    with Receiver() as receiver:
        with TestServer(data) as server:
            secret = filled(server, receiver)
            before, cursor = shown(server), server.api.get("/v1/events", limit=3)["next_cursor"]
        said = run("move", "--data", str(data), "--to", postgres_url, "--json")
        assert said.exit_code == 0, said.output
        told = json.loads(said.stdout)
        assert told["items"] == {"things": 450, "parts": 1} and Path(told["kept"]).is_file()
        receiver.answer(200)
        with TestServer(data, database=postgres_url) as server:
            after = shown(server)
            assert after == before
            assert server.api.get("/v1/events", cursor=cursor, limit=3)["data"]
            [delivery] = [row["id"] for row in server.api.get("/v1/deliveries", state="waiting")["data"]]
            server.api.post(f"/v1/deliveries/{delivery}:retry")
            sent = receiver.wait_for(2)[1]
            assert verify(sent.headers, sent.body, secret)
            made = server.api.call("PUT", "/v1/items/things/new", {"whole": 1})
            assert made.status == 201
            # The number of the deleted item is not given again: the newest is last.
            newest = server.api.get("/v1/items/things", sort="-created", limit=1)["data"][0]
            assert newest["id"] == "new"


def test_it_is_refused_beside_a_server_and_into_a_filled_database(tmp_path: Path, run: Run, postgres_url: str) -> None:
    data = tmp_path / "data"
    with TestServer(data) as server:
        server.api.publish("step")
        refused = run("move", "--data", str(data), "--to", postgres_url)
        assert refused.exit_code == 1 and "Nothing was moved" in refused.stderr
    with TestServer(tmp_path / "other", database=postgres_url) as there:
        there.api.publish("step")
        refused = run("move", "--data", str(data), "--to", postgres_url)
        assert refused.exit_code == 1 and "another Tidings server" in refused.stderr
    refused = run("move", "--data", str(data), "--to", postgres_url)
    assert refused.exit_code == 1 and "the target is not empty" in refused.stderr
    with TestServer(data) as server:
        assert len(server.api.pages("/v1/events")) == 1


def test_a_move_that_breaks_leaves_both_as_they_were(
    tmp_path: Path, run: Run, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with Receiver() as receiver, TestServer(data) as server:
        filled(server, receiver)
        before = shown(server)

    def breaks(*given: Any) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(moving, "_continue_numbers", breaks)
        assert run("move", "--data", str(data), "--to", postgres_url).exit_code == 1
    with TestServer(data) as server:
        assert shown(server) == before
    assert run("move", "--data", str(data), "--to", postgres_url).exit_code == 0


def test_the_old_file_is_not_served_by_mistake(tmp_path: Path, run: Run, postgres_url: str) -> None:
    data = tmp_path / "data"
    with TestServer(data) as server:
        server.api.publish("step")
    said = run("move", "--data", str(data), "--to", postgres_url)
    assert said.exit_code == 0 and f"--database '{postgres_url}'" in said.stdout.replace("\n", "")
    with pytest.raises(Exception, match="was used before, but its database is empty or missing"):
        TestServer(data).start()
    until(lambda: list(data.glob("tidings.db.moved-*")), "the old file is kept")
