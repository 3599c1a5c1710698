"""Cursors tell nobody anything: they cannot be read, made up, or used by another tenant or for another list."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tidings.store.base import Db
from tidings.store.seal import PLAIN_UNTIL, Sealer
from tidings.testing import Api, TestServer, until
from tidings.web.wire.cursors import Cursors

KEY = Sealer(b"k" * 32)


def plain(position: int) -> str:
    """A place in the feed as it was shown once."""
    return base64.urlsafe_b64encode(f"1.{position}".encode()).decode().rstrip("=")


def tenant_key(api: Api, tenant: str) -> Api:
    with contextlib.suppress(Exception):
        api.post("/v1/tenants", {"id": tenant, "name": tenant})
    made = api.post("/v1/keys", {"name": tenant, "tenant": tenant, "scopes": ["events:read", "events:write"]})
    return api.with_key(made["key"])


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with TestServer(tmp_path) as server:
        yield server


def refused(api: Api, **query: Any) -> str:
    reply = api.call("GET", "/v1/events", **query)
    assert reply.status == 422 and reply.json["errors"][0]["code"] == "wrong_cursor", reply
    return str(reply.json["detail"])


def test_positions_in_the_feed_look_random_and_can_be_opened() -> None:
    cursors = Cursors(KEY, 0)
    for position in (0, 1, 2**47, (1 << 62) - 1):
        sealed = {cursors.seal_feed(position, "a") for _ in range(20)}
        assert len(sealed) == 20, "the same place is never told twice alike"
        assert {cursors.open_feed(each, "a") for each in sealed} == {position}
        assert {cursors.open_feed(each, "b") for each in sealed} == {None}
        assert {cursors.open_feed(each, None) for each in sealed} == {None}
        assert {Cursors(Sealer(b"x" * 32), 0).open_feed(each, "a") for each in sealed} == {None}
        assert {Cursors(KEY, 0).open_feed(each, "a") for each in sealed} == {position}, "a restart changes nothing"


@pytest.mark.parametrize("text", ["", "=", "a", "!", "ü", "A" * 22, "A" * 100, "a b", plain(1), plain(-1), "MS7_"])
def test_a_malformed_cursor_opens_nothing(text: str) -> None:
    cursors = Cursors(KEY, 0)
    assert cursors.open_feed(text, None) is None and cursors.open(text) is None


def test_a_changed_cursor_opens_nothing() -> None:
    cursors = Cursors(KEY, 0)
    for sealed, opens in (
        (cursors.seal_feed(5, None), lambda text: cursors.open_feed(text, None)),
        (cursors.seal([1, "a"], "q"), cursors.open),
    ):
        raw = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
        assert opens(sealed) is not None
        for at in range(len(raw)):
            raw[at] ^= 1
            assert opens(base64.urlsafe_b64encode(raw).decode().rstrip("=")) is None
            raw[at] ^= 1


@pytest.mark.slow
def test_a_tenant_reads_no_number_in_any_cursor(server: TestServer) -> None:
    mine, other = tenant_key(server.api, "a"), tenant_key(server.api, "b")
    scopes = ["events:read", "events:write", "endpoints:read", "endpoints:write", "deliveries:read"]
    mine = mine.with_key(
        server.api.post("/v1/keys", {"name": "all", "tenant": "a", "scopes": [*scopes, "keys:read"]})["key"]
    )
    seen: list[str] = []
    for n in range(3):
        mine.publish("step")
        mine.publish("step")
        for _ in range(n * 7):
            other.publish("step")
        seen.append(mine.get("/v1/events", limit=1)["next_cursor"])
        seen.append(mine.get("/v1/events", after="end")["next_cursor"])
        seen.append(mine.get("/v1/events", after="start", limit=1)["next_cursor"])
        endpoint = mine.post("/v1/endpoints", {"url": f"http://127.0.0.1:9/{n}"})["id"]
        mine.post(f"/v1/endpoints/{endpoint}:test")
        server.api.post("/v1/keys", {"name": f"k{n}", "tenant": "a", "scopes": ["events:read"]})
    until(lambda: len(mine.get("/v1/deliveries")["data"]) > 1, "they are delivered")
    for path in ("/v1/endpoints", "/v1/deliveries", "/v1/keys", "/v1/events?sort=created"):
        page = mine.call("GET", f"{path}{'&' if '?' in path else '?'}limit=1").json
        assert page["next_cursor"], path
        seen.append(page["next_cursor"])
    for cursor in seen:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        with pytest.raises((UnicodeDecodeError, ValueError)):
            json.loads(raw)
        assert not raw.startswith(b"1.")
    assert len({mine.get("/v1/events", after="end")["next_cursor"] for _ in range(5)}) == 5, "nor that nothing happened"


@pytest.mark.slow
def test_another_tenants_cursor_is_refused(server: TestServer) -> None:
    mine, other = tenant_key(server.api, "a"), tenant_key(server.api, "b")
    mine.publish("step")
    cursor = mine.get("/v1/events", after="start")["next_cursor"]
    assert mine.get("/v1/events", after=cursor)["data"] == []
    assert "belongs to another tenant" in refused(other, after=cursor)
    assert "belongs to another tenant" in refused(server.api, after=cursor)
    assert other.call("GET", "/v1/events/stream", after=cursor).status == 422


@pytest.mark.slow
def test_a_cursor_of_one_list_is_refused_in_another(server: TestServer) -> None:
    for n in range(3):
        server.api.publish("step", {"n": n})
    listed = server.api.get("/v1/events", limit=1)["next_cursor"]
    fed = server.api.get("/v1/events", after="start", limit=1)["next_cursor"]
    assert "as `after`" in refused(server.api, cursor=fed)
    assert "as `cursor`" in refused(server.api, after=listed)
    assert "as `cursor`" in server.api.call("GET", "/v1/events/stream", after=listed).json["detail"]
    other = tenant_key(server.api, "a")
    assert "not from this server" in refused(other, cursor=fed), "another tenant's is not told from one made up"
    assert server.api.call("GET", "/v1/deliveries", cursor=listed).status == 422
    assert "as `after`" in server.api.call("GET", "/v1/deliveries", cursor=fed).json["detail"]


@pytest.mark.slow
def test_cursors_hold_over_a_restart(server: TestServer) -> None:
    for n in range(4):
        server.api.publish("step", {"n": n})
    listed = server.api.get("/v1/events", limit=1)["next_cursor"]
    fed = server.api.get("/v1/events", after="start", limit=1)["next_cursor"]
    server.restart()
    assert len(server.api.get("/v1/events", limit=9, cursor=listed)["data"]) == 3
    assert [each["data"]["n"] for each in server.api.get("/v1/events", after=fed)["data"]] == [1, 2, 3]


@pytest.mark.slow
def test_cursors_from_before_an_upgrade_still_work(server: TestServer) -> None:
    for n in range(4):
        server.api.publish("step", {"n": n})
    refused(server.api, after=plain(2))
    assert server.server is not None

    def forget(db: Db) -> None:
        # As a version left it that did not seal: the first start of this one notes how far its places went.
        db.query("SELECT 1", {})
        db.execute("DELETE FROM store WHERE name = :name", {"name": f"{PLAIN_UNTIL}event"})

    server.server.writer.wait(forget)
    server.restart()
    assert [each["data"]["n"] for each in server.api.get("/v1/events", after=plain(2))["data"]] == [2, 3]
    for n in range(4):
        server.api.publish("step", {"n": n})
    mine = tenant_key(server.api, "a")
    assert mine.call("GET", "/v1/events", after=plain(4)).status == 200
    said = {refused(mine, after=plain(position)) for position in (5, 8, 9, 1 << 40)}
    assert len(said) == 1, "what came after the upgrade cannot be counted by guessing"


@pytest.mark.slow
def test_the_stream_resumes_by_its_sealed_ids(server: TestServer) -> None:
    import http.client

    mine = tenant_key(server.api, "a")
    for n in range(3):
        mine.publish("step", {"n": n})

    def first_id(last: str | None) -> tuple[str, str]:
        link = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=10)
        headers = {"Authorization": f"Bearer {mine.key}"} | ({"Last-Event-ID": last} if last else {})
        link.request("GET", "/v1/events/stream?after=start", headers=headers)
        answer = link.getresponse()
        ident = data = ""
        while not data:
            line = answer.readline().decode().rstrip("\n")
            ident = line[4:] if line.startswith("id: ") else ident
            data = line[6:] if line.startswith("data: ") else data
        link.close()
        return ident, data

    ident, data = first_id(None)
    assert json.loads(data)["data"] == {"n": 0} and not base64.urlsafe_b64decode(ident + "==").startswith(b"1.")
    assert json.loads(first_id(ident)[1])["data"] == {"n": 1}
