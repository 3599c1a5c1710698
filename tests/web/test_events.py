"""Reading events: lists, one with its reasons, the catch-up feed and the stream."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from tests.web.wire import KEY_LINE, dial
from tidings.testing import Api, ProcessServer, Receiver, TestServer, until


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["subject"] for event in events]


@pytest.fixture(scope="module", autouse=True)
def _events(server: TestServer) -> None:
    for number in range(30):
        server.api.publish(
            f"kind.{number % 3}",
            {"n": number},
            subject=f"s{number}",
            time=f"2026-03-{number + 1:02d}T00:00:00Z",
            tenant="acme" if number % 2 else "zen",
        )


@pytest.mark.slow
def test_newest_first_and_page_by_page(api: Api) -> None:
    every = [f"s{number}" for number in range(30)]
    first = api.get("/v1/events", limit=7, type__in="kind.0,kind.1,kind.2")
    assert names(first["data"]) == every[:-8:-1]
    assert names(api.pages("/v1/events", limit=7, type__in="kind.0,kind.1,kind.2")) == every[::-1]
    assert names(api.pages("/v1/events", limit=7, type__in="kind.0,kind.1,kind.2", sort="created")) == every
    assert names(api.pages("/v1/events", limit=10, type__in="kind.0,kind.1,kind.2", sort="created")) == every


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"type": "kind.1"}, range(1, 30, 3)),
        ({"type__in": "kind.1,kind.2"}, [n for n in range(30) if n % 3]),
        ({"subject": "s7"}, [7]),
        ({"tenant": "acme"}, range(1, 30, 2)),
        ({"tenant": "acme", "type": "kind.0"}, [n for n in range(1, 30, 2) if n % 3 == 0]),
        ({"time__gte": "2026-03-10T00:00:00Z", "time__lt": "2026-03-12T00:00:00Z"}, [9, 10]),
        ({"time__gte": "2026-03-28T00:00:00Z", "tenant": "zen", "time__lt": "2026-04-01T00:00:00Z"}, [28]),
        ({"time__lt": "2026-03-03T00:00:00Z", "type": "kind.0"}, [0]),
        ({"type": "kind.9"}, []),
        ({"type": "kind.*", "tenant": "acme"}, range(1, 30, 2)),
        ({"type__in": "kind.1,kin.*"}, range(1, 30, 3)),
        ({"type__in": "kind.*,kind.1", "subject": "s7"}, [7]),
        ({"type": "kin.*"}, []),
        ({"tenant": "none"}, []),
    ],
)
def test_filters(api: Api, query: dict[str, str], wanted: Any) -> None:
    subjects = [f"s{number}" for number in wanted]
    assert names(api.pages("/v1/events", limit=3, **query)) == subjects[::-1]
    assert names(api.pages("/v1/events", limit=3, sort="created", **query)) == subjects
    assert names(api.get("/v1/events", after="start", limit=1000, **query)["data"]) == subjects


def test_an_invalid_type_is_refused_and_not_an_empty_list(api: Api) -> None:
    wrong: list[dict[str, Any]] = [
        {"type": "*.done"},
        {"type": "kind.*.*"},
        {"type__in": "kind.1,*"},
        {"type": "kind 1"},
    ]
    for query in wrong:
        for method, path in (("GET", "/v1/events"), ("GET", "/v1/events/stream"), ("POST", "/v1/events/stream:ticket")):
            refused = api.call(method, path, **query)
            assert refused.status == 422 and "such as tasks.*" in refused.json["errors"][0]["detail"]


def test_a_key_of_a_tenant_reads_its_own_alone(api: Api) -> None:
    made = api.post("/v1/keys", {"scopes": ["events:read"], "tenant": "acme"})["key"]
    theirs = api.with_key(made)
    assert {event["tenant"] for event in theirs.pages("/v1/events", limit=1000)} == {"acme"}
    assert {event["tenant"] for event in theirs.get("/v1/events", after="start")["data"]} == {"acme"}
    assert theirs.call("GET", "/v1/events", tenant="zen").status == 404
    foreign = api.get("/v1/events", tenant="zen", limit=1)["data"][0]["id"]
    assert theirs.call("GET", f"/v1/events/{foreign}").status == 404
    assert theirs.call("GET", f"/v1/events/{foreign}", tenant="zen").status == 404


@pytest.mark.slow
def test_an_event_says_where_it_went_and_why_not_elsewhere(api: Api) -> None:
    with Receiver() as receiver:
        taken = api.register(receiver.url("/a"), events=["why.*"], tenant="why")[0]
        chose = api.register(receiver.url("/b"), events=["other.*"], tenant="why")[0]
        asked = api.register(receiver.url("/c"), filter={"data": {"n": [{"$gt": 5}]}}, tenant="why")[0]
        paused = api.register(receiver.url("/d"), tenant="why")[0]
        api.post(f"/v1/endpoints/{paused}:pause")
        foreign = api.register(receiver.url("/e"), tenant="foreign")[0]
        event = api.publish("why.not", {"n": 1}, tenant="why")

        def look() -> Any:
            found = api.get(f"/v1/events/{event}")
            states = {each["endpoint"]: each["state"] for each in found["deliveries"]}
            return found if states.get(taken) == "delivered" else None

        found = until(look, "the event is delivered")
        by_endpoint = {each["endpoint"]: each for each in found["deliveries"]}
        assert set(by_endpoint) == {taken, paused}
        assert by_endpoint[taken]["attempts"] == 1 and by_endpoint[paused]["state"] == "waiting"
        assert by_endpoint[taken]["id"].startswith("dlv_")
        reasons = {each["endpoint"]: each["reason"] for each in found["not_matched"]}
        assert set(reasons) == {chose, asked} and foreign not in reasons
        assert "other.*" in reasons[chose] and "/data/n" in reasons[asked]
        later = api.register(receiver.url("/f"), tenant="why")[0]
        again = {each["endpoint"]: each["reason"] for each in api.get(f"/v1/events/{event}")["not_matched"]}
        assert again[later] == "The event is older than the endpoint or link."
        for endpoint in (taken, chose, asked, paused, foreign, later):
            api.delete(f"/v1/endpoints/{endpoint}")


@pytest.mark.slow
def test_an_event_says_that_it_was_sent_without_a_filter_that_was_cut_off(api: Api) -> None:
    with Receiver() as receiver:
        slow = api.register(receiver.url("/a"), filter={"data": {"a": {"$in": ["y"]}}}, tenant="cut")[0]
        other = api.register(receiver.url("/b"), filter={"data": {"b": 1}}, tenant="cut")[0]
        event = api.publish("cut.off", {"a": [["x"]] * 9_000}, tenant="cut")

        def look() -> Any:
            found = api.get(f"/v1/events/{event}")
            return found if found["deliveries"] else None

        found = until(look, "the event is routed")
        (delivery,) = found["deliveries"]
        assert delivery["endpoint"] == slow
        assert delivery["note"].startswith("The filter takes more than 30,000 steps on this event")
        assert [each["endpoint"] for each in found["not_matched"]] == [other]
        for endpoint in (slow, other):
            api.delete(f"/v1/endpoints/{endpoint}")


# --- the feed ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_feed_continues_where_it_was(api: Api) -> None:
    cursor = api.get("/v1/events", after="end")["next_cursor"]
    assert api.get("/v1/events", after=cursor)["data"] == []
    ids = [api.publish("feed.one", {"n": number}) for number in range(5)]
    found = []
    while True:
        page = api.get("/v1/events", after=cursor, limit=2)
        if not page["data"]:
            break
        found += [event["id"] for event in page["data"]]
        cursor = page["next_cursor"]
    assert found == ids


def test_a_long_poll_is_answered_as_soon_as_something_is_there(api: Api) -> None:
    cursor = api.get("/v1/events", after="end")["next_cursor"]
    answers: list[Any] = []
    waiter = threading.Thread(
        target=lambda: answers.append(api.get("/v1/events", after=cursor, wait=30, type="poll.*"))
    )
    waiter.start()
    api.publish("polls.other")
    assert not answers
    event = api.publish("poll.wanted")
    waiter.join(10)
    assert [found["id"] for found in answers[0]["data"]] == [event]


def test_a_long_poll_ends_with_its_time(api: Api) -> None:
    cursor = api.get("/v1/events", after="end")["next_cursor"]
    assert api.get("/v1/events", after=cursor, wait=1)["data"] == []


@pytest.mark.slow
def test_a_cursor_before_what_is_kept_is_410(tmp_path: Any) -> None:
    with TestServer(tmp_path / "old") as server:
        cursor = server.api.get("/v1/events", after="end")["next_cursor"]
        server.api.publish("a.b")
        assert server.server is not None
        server.server.writer.wait(lambda db: db.run("cursor_move", name="pruned", journal=db.journal, position=1))
        reply = server.api.call("GET", "/v1/events", after=cursor)
        assert reply.status == 410 and reply.json["code"] == "gone"
        assert server.api.call("GET", "/v1/events/stream", after=cursor).status == 410
        assert server.api.call("GET", "/v1/events", after="start").status == 200


# --- the stream -------------------------------------------------------------------------------------------------------


class Reader:
    """Reads a stream: frames as dicts of their fields."""

    def __init__(self, server: TestServer | ProcessServer, path: str, more: bytes = b"", key: bytes = KEY_LINE) -> None:
        self._sock = dial(server.url)
        self._sock.sendall(f"GET {path} HTTP/1.1\r\nHost: tidings\r\n".encode() + key + more + b"\r\n")
        self._file = self._sock.makefile("rb")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self._file.readline()
        self._text = b""

    def frame(self) -> dict[str, str] | None:
        """The next frame; None at the end of the stream."""
        while b"\n\n" not in self._text:
            size = int(self._file.readline() or b"0", 16)
            if size == 0:
                return None
            self._text += self._file.read(size)
            self._file.readline()
        frame, _, self._text = self._text.partition(b"\n\n")
        fields: dict[str, str] = {}
        for line in frame.decode().split("\n"):
            name, _, value = line.partition(": ")
            fields[name] = fields[name] + "\n" + value if name in fields else value
        return fields if "data" in fields else self.frame()

    def close(self) -> None:
        self._file.close()
        self._sock.close()


@pytest.mark.slow
def test_the_stream_follows_and_resumes(server: TestServer, api: Api) -> None:
    reader = Reader(server, "/v1/events/stream?type__in=stream.a,stream.b")
    assert b"text/event-stream" in reader.head and b"no-store" in reader.head
    api.publish("stream.a", {"n": 1})
    api.publish("stream.other", {"n": 2})
    first = reader.frame()
    assert first is not None
    assert first["event"] == "stream.a" and json.loads(first["data"])["data"] == {"n": 1}
    reader.close()
    api.call("POST", "/v1/events", b'{"type":"stream.b","data":{\n"n":\r\n3}}')
    resumed = Reader(
        server, "/v1/events/stream?type__in=stream.a,stream.b", b"Last-Event-ID: " + first["id"].encode() + b"\r\n"
    )
    second = resumed.frame()
    assert second is not None and second["event"] == "stream.b"
    assert json.loads(second["data"])["data"] == {"n": 3}
    resumed.close()


@pytest.mark.slow
def test_streams_end_when_their_key_or_the_server_does(tmp_path: Any) -> None:
    with TestServer(tmp_path / "ends") as server:
        reader = Reader(server, "/v1/events/stream")
        server.api.publish("a.b")
        assert reader.frame() is not None
        server.stop()
        assert reader.frame() is None
        reader.close()
        server.start()


@pytest.mark.slow
def test_a_slow_reader_misses_nothing(tmp_path: Any) -> None:
    with TestServer(tmp_path / "slow", max_body_bytes=1_048_576) as server:
        count, text = 100, "x" * 200_000
        reader = Reader(server, "/v1/events/stream?after=start")
        for number in range(count):
            server.api.publish("big.one", {"n": number, "text": text})
        seen: list[int] = []
        while len(seen) < count:
            frame = reader.frame()
            assert frame is not None
            seen.append(json.loads(frame["data"])["data"]["n"])
        assert seen == list(range(count))
        reader.close()
        # A page of large events holds fewer than asked for, and all pages hold them all.
        page = server.api.get("/v1/events", limit=1000)
        assert len(page["data"]) < count and page["next_cursor"]
        assert [event["data"]["n"] for event in server.api.pages("/v1/events", limit=1000)] == seen[::-1]
        assert [event["data"]["n"] for event in server.api.pages("/v1/events", limit=1000, sort="created")] == seen


@pytest.mark.slow
def test_readers_that_read_nothing_cost_little_memory(tmp_path: Any) -> None:
    """100 MB wait for each of five; what the server holds for them is bounded."""
    with ProcessServer(tmp_path) as server:
        assert server.process is not None
        for _ in range(200):
            server.api.publish("big.one", {"text": "x" * 500_000})
        before = memory_mb(server.process.pid)
        readers = [Reader(server, "/v1/events/stream?after=start") for _ in range(5)]
        settled = until(lambda: steady(server), "the memory is steady", 30)
        assert settled - before < 100, (before, settled)
        for reader in readers:
            reader.close()


def memory_mb(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) // 1024


def processor_seconds(pid: int) -> float:
    """The processor time that a process has taken so far, its own code and the kernel's."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def steady(server: ProcessServer) -> int:
    """The server's memory, once it did not grow over some looks at its health; else 0."""
    assert server.process is not None
    seen = []
    for _ in range(200):
        server.api.get("/healthz")
        seen.append(memory_mb(server.process.pid))
    return seen[-1] if max(seen) - seen[0] < 3 else 0
