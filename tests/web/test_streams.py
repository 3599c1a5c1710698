"""Streams and long polls: many may wait, not too many, and those who wait cost those who publish nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.web.test_events import Reader, memory_mb, processor_seconds, steady
from tests.web.wire import dial, get, read, send
from tidings.testing import Api, ProcessServer, TestServer, until

STREAMS = 500


@pytest.fixture
def small(tmp_path: Path) -> Iterator[TestServer]:
    with TestServer(tmp_path / "small", max_open_streams=4, max_open_streams_per_key=2) as server:
        yield server


def key_of(api: Api, tenant: str | None = None) -> Api:
    return api.with_key(api.post("/v1/keys", {"scopes": ["events:read"], "tenant": tenant})["key"])


@pytest.mark.slow
def test_open_calls_are_limited_per_key_and_in_total(small: TestServer) -> None:
    api = small.api
    one, two = Reader(small, "/v1/events/stream"), Reader(small, "/v1/events/stream")
    asked: list[tuple[str, dict[str, Any]]] = [("/v1/events/stream", {}), ("/v1/events", {"after": "end", "wait": 1})]
    for path, query in asked:
        refused = api.call("GET", path, **query)
        assert (refused.status, refused.json["code"]) == (429, "too_many_open") and refused.headers["retry-after"]
    # What is answered at once holds no place, and other keys have places of their own.
    assert api.call("GET", "/v1/events", after="end", wait=0).status == 200
    other = key_of(api)
    with dial(small.url) as sock:
        head = f"GET /v1/events?after=end&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {other.key}\r\n\r\n"
        sock.sendall(head.encode())
        assert small.server is not None
        calls = small.server.parts.open_calls
        until(lambda: calls.count == 3, "the poll waits")
        # Those without a tenant have their share now; the last place is kept for somebody else.
        refused = other.call("GET", "/v1/events/stream")
        assert (refused.status, refused.json["code"]) == (429, "too_many_open") and refused.headers["retry-after"]
        assert "share" in refused.json["detail"]
        last = dial(small.url)
        acme = key_of(api, "acme").key
        last.sendall(f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {acme}\r\n\r\n".encode())
        assert b"200 OK" in last.recv(4096)
        refused = key_of(api, "other").call("GET", "/v1/events/stream")
        assert (refused.status, refused.json["code"]) == (503, "too_many_open") and refused.headers["retry-after"]
        assert "tidings_open_streams 4.0" in api.call("GET", "/metrics").body.decode()
        last.close()
        until(lambda: calls.count == 3, "the last has left")
        assert "tidings_open_streams 3.0" in api.call("GET", "/metrics").body.decode()
        event = api.publish("a.b")
        assert read(sock).json["data"][0]["id"] == event
    # A place is free again as soon as a call has ended, however it did.
    one.close()
    until(lambda: calls.count == 1, "both have left")
    three = Reader(small, "/v1/events/stream")
    api.publish("a.b")
    for reader in (two, three):
        assert reader.frame() is not None
        reader.close()
    until(lambda: calls.count == 0, "all have left")


@pytest.mark.slow
def test_the_keys_of_one_tenant_never_take_every_place(tmp_path: Path) -> None:
    """Ten keys with a hundred streams each took all thousand places: exports, imports and polls of others were 503."""
    with TestServer(tmp_path / "small", max_open_streams=16, max_open_streams_per_key=4) as server, ExitStack() as end:
        greedy = [key_of(server.api, "greedy") for _ in range(8)]
        opened = [end.enter_context(stream(server, each)) for each in greedy for _ in range(4)]
        answers = [sock.recv(4096).split(b" ")[1] for sock in opened]
        assert answers.count(b"200") == 12 and answers.count(b"429") == 20
        quiet = key_of(server.api, "quiet")
        assert end.enter_context(stream(server, quiet)).recv(4096).startswith(b"HTTP/1.1 200")
        assert quiet.call("GET", "/v1/events", after="end", wait=1).status == 200
        text = server.api.call("GET", "/metrics").body.decode()
        assert 'tidings_share_used{of="streams"} 13.0' in text
        assert 'tidings_share_limit{of="streams"} 16.0' in text
        assert 'tidings_share_tenants_held_back{of="streams"} 1.0' in text
        assert 'tidings_share_refusals_total{of="streams"} 20.0' in text


def stream(server: TestServer, api: Api) -> socket.socket:
    sock = dial(server.url)
    sock.sendall(f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n\r\n".encode())
    return sock


def test_a_stream_of_chosen_fields(server: TestServer, api: Api) -> None:
    reader = Reader(server, "/v1/events/stream?type=chosen.*&fields=id,data.n")
    event = api.publish("chosen.a", {"n": 1, "text": "x"})
    frame = reader.frame()
    assert frame is not None and frame["data"] == f'{{"id":"{event}","data":{{"n":1}}}}'
    reader.close()
    assert api.call("GET", "/v1/events/stream", fields="colour").status == 422


def test_a_stream_ends_with_its_key(server: TestServer, api: Api) -> None:
    made = api.post("/v1/keys", {"scopes": ["events:read"]})
    with dial(server.url) as sock:
        sock.sendall(
            f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made['key']}\r\n\r\n".encode()
        )
        assert b"200 OK" in sock.recv(4096)
        api.delete(f"/v1/keys/{made['id']}")
        said = b""
        while not said.endswith(b"0\r\n\r\n"):
            piece = sock.recv(4096)
            assert piece, "the stream was cut, not ended"
            said += piece


@pytest.mark.slow
def test_everybody_gets_what_they_asked_for(server: TestServer, api: Api) -> None:
    """Each waits for other events, and more come than are remembered for those who wait."""
    readers = {
        (kind, tenant): Reader(server, f"/v1/events/stream?type=crowd.{kind}" + (f"&tenant={tenant}" if tenant else ""))
        for kind in ("a", "b")
        for tenant in ("", "t1", "t2")
    }
    sent: list[dict[str, Any]] = []
    for number in range(60):
        batch = []
        for each in range(100):
            event = {"type": f"crowd.{'abc'[each % 3]}", "data": {"n": number * 100 + each}}
            if each % 5:
                event["tenant"] = f"t{each % 5}"
            batch.append(event)
        sent += batch
        api.post("/v1/events:batch", {"events": batch})
    for (kind, tenant), reader in readers.items():
        wanted = [e["data"]["n"] for e in sent if e["type"] == f"crowd.{kind}" and tenant in ("", e.get("tenant"))]
        for n in wanted:
            frame = reader.frame()
            assert frame is not None and frame["data"].find(f'"data":{{"n": {n}}}') > 0, (kind, tenant, n, frame)
        reader.close()


@pytest.mark.slow
def test_a_reader_that_comes_back_late_misses_nothing(server: TestServer, api: Api) -> None:
    """A long poll from an old cursor, while somebody else has kept the newest events in sight."""
    cursor = api.get("/v1/events", after="end")["next_cursor"]
    watching = Reader(server, "/v1/events/stream?type=late.other")
    events = [api.publish("late.a", {"n": n}) for n in range(5)]
    api.publish("late.other")
    assert watching.frame() is not None
    found = api.get("/v1/events", after=cursor, wait=30, type="late.a")
    assert [each["id"] for each in found["data"]] == events
    assert api.get("/v1/events", after=found["next_cursor"], wait=1, type="late.a")["data"] == []
    watching.close()


@pytest.mark.slow
def test_idle_streams_leave_publishing_fast_and_cost_little_memory(tmp_path: Path) -> None:
    with (
        ProcessServer(tmp_path, max_open_streams=2 * STREAMS, max_open_streams_per_key=STREAMS) as server,
        ExitStack() as end,
    ):
        assert server.process is not None
        alone = min(_publish_cost(server) for _ in range(3))
        before = steady(server) or memory_mb(server.process.pid)
        for number in range(STREAMS):
            sock: socket.socket = end.enter_context(dial(server.url))
            sock.sendall(get(f"/v1/events/stream?type=idle.{number % 50}&subject=s{number}"))
            assert b"200 OK" in sock.recv(4096)
        beside = min(_publish_cost(server) for _ in range(3))
        grown = memory_mb(server.process.pid) - before
        print(f"200 events, one by one: {alone:.3f} s of processor alone,")
        print(f"{beside:.3f} s beside {STREAMS} idle streams, which cost {grown} MB")
        assert grown < 40 and beside < alone * 1.5 + 0.1
        # And they are still there: the last one gets what it waits for.
        event = server.api.publish(f"idle.{(STREAMS - 1) % 50}", subject=f"s{STREAMS - 1}")
        said = b""
        while event.encode() not in said:
            piece = sock.recv(65_536)
            assert piece, said
            said += piece
        assert send(server.url, get("/v1/events/stream")).status == 429


def _publish_cost(server: ProcessServer) -> float:
    """The processor time in seconds that the server takes for 200 events: unlike the clock, it knows no neighbours."""
    assert server.process is not None
    began = processor_seconds(server.process.pid)
    for number in range(200):
        server.api.publish("busy.a", {"n": number})
    return processor_seconds(server.process.pid) - began


def test_shares_are_shown_to_the_operator_only(server: TestServer, api: Api) -> None:
    shares = {share["of"]: share for share in api.get("/v1/shares")["data"]}
    assert {"streams", "bodies", "work", "readers"} <= shares.keys()
    assert all(share["used"] <= share["total"] for share in shares.values())
    made = api.post("/v1/keys", {"scopes": ["metrics:read"], "tenant": "acme"})
    assert api.with_key(made["key"]).call("GET", "/v1/shares").status == 403
