"""What a poll takes for an answer: only a whole one, with records where they should be. Anything else moves nothing."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.calls.test_polls import JSON, Source, attempts, emitted, poll, ran
from tests.calls.world import Calls
from tidings.deliver.actions.observing import Observing
from tidings.testing import Reaction, until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b'{"items": []}'
BROKEN = {
    "nothing of 300 bytes": HEAD + b"Content-Length: 300\r\n\r\n",
    "one blank of 300 bytes": HEAD + b"Content-Length: 300\r\n\r\n ",
    "two blanks of 300 bytes": HEAD + b"Content-Length: 300\r\n\r\n\r\n",
    "an empty list of 5,000 bytes": HEAD + b"Content-Length: 5000\r\n\r\n" + EMPTY,
    "a chunk without an end": CHUNKED + b"d\r\n" + EMPTY + b"\r\n",
    "no chunk": CHUNKED,
    "a chunk that breaks off": CHUNKED + b"ff\r\n" + EMPTY,
}
WRONG = {
    "an empty 200": Reaction(status=200, headers=JSON),
    "blanks": Reaction(status=200, body=b" \r\n ", headers=JSON),
    "a 204": Reaction(status=204),
    "null": Reaction(status=200, body=b"null", headers=JSON),
    "null there": Reaction(status=200, body=b'{"items": null}', headers=JSON),
    "nothing there": Reaction(status=200, body=b'{"error": "try later"}', headers=JSON),
    "a list": Reaction(status=200, body=b"[]", headers=JSON),
    "a login page": Reaction(
        status=200, body=b"<html><body><items/></body></html>", headers={"Content-Type": "text/html"}
    ),
    "not text": Reaction(status=200, body=b"\x1f\x8b\x08\x00\xff\xfe\x00", headers=JSON),
    "a 304 that nobody asked for": Reaction(status=304),
}


@pytest.fixture
def source(calls: Calls) -> Source:
    calls.connection()
    source = Source(calls, 10)
    for key in "abc":
        source.put(key, "10:00:00", v=1)
    return source


@contextmanager
def raw_server(answers: list[bytes], *, stalls: bool) -> Iterator[str]:
    """A server that answers with these bytes, one after another, and then closes the connection, or does nothing."""
    ended = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answers.pop(0))
            if stalls and not answers:
                ended.wait(10)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()


def whole(body: Any) -> bytes:
    """A complete answer."""
    text = json.dumps(body).encode()
    return HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [False, True], ids=["closes", "stalls"])
@pytest.mark.sqlite_only
def test_an_answer_that_breaks_off_deletes_nothing(calls: Calls, stalls: bool) -> None:
    cases = list(BROKEN) if not stalls else ["an empty list of 5,000 bytes"]
    full = whole({"items": [{"id": key, "at": "2026-01-01T00:00:00Z"} for key in "abc"]})
    for number, case in enumerate(cases):
        answers, kind = [full, BROKEN[case]], f"item-{number}-{stalls}".lower()
        with raw_server(answers, stalls=stalls) as base:
            calls.api.put("/v1/connections/shop", {"base": base, "timeout_seconds": 1})
            poll(calls, f"pull-{number}", type=kind, sweep=True)
            ran(calls, 1, f"pull-{number}")
            calls.clock.advance(3600)
            (first,) = attempts(calls, 1, f"pull-{number}")
        assert first["outcome"] == "bad_answer", case
        assert "incomplete" in first["reason"], case
        assert len(emitted(calls, f"{kind}.*")) == 3, case
        calls.api.delete(f"/v1/links/pull-{number}")


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_wrong_answer_deletes_nothing_and_moves_no_cursor(calls: Calls, source: Source) -> None:
    poll(calls, sweep=True)
    poll(calls, "clock", type="other.item", cursor={"clock": True})
    for run, (case, wrong) in enumerate(WRONG.items(), 1):
        ran(calls, run)
        ran(calls, run, "clock")
        source.fails = [wrong, wrong]
        calls.clock.advance(3600)
        assert attempts(calls, 1)[0]["outcome"] in ("bad_answer", "redirect"), case
        assert attempts(calls, 1, "clock")[0]["outcome"] in ("bad_answer", "redirect"), case
        asked = {each.path for each in calls.peer.requests()[-2:]}
        calls.clock.advance(30)
        assert ran(calls, run + 1)[run].endswith("0 created, 0 updated, 0 deleted."), case
        ran(calls, run + 1, "clock")
        assert asked == {each.path for each in calls.peer.requests()[-2:]}, f"{case}: both ask from where they were"
    assert len(emitted(calls)) == 3


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_page_in_the_middle_that_breaks_off_ends_nothing(calls: Calls, source: Source) -> None:
    source.size = 1
    poll(calls, sweep=True)
    assert ran(calls, 1) == ["Read 3 records on 3 pages: 3 created, 0 updated, 0 deleted."]
    broken = Reaction(status=200, body=b"  ", headers=JSON, breaks_off=True)
    source.before[5] = lambda: source.fails.append(broken)
    calls.clock.advance(3600)
    assert attempts(calls, 1)[0]["reason"].startswith("The response is incomplete: The response body broke off")
    calls.clock.advance(30)
    assert ran(calls, 2)[1] == "Read 3 records on 3 pages: 0 created, 0 updated, 0 deleted."


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_status_of_gone_counts_only_if_its_answer_is_whole(calls: Calls, source: Source) -> None:
    gone = {"via": "shop", "get": "/orders/1", "gone": [404]}
    calls.link("fetch", "shop.pinged", gone, emit={"type": "shop.order", "key": "id"}, order="{{ data.id }}")
    calls.peer.answer(Reaction(status=200, body=b'{"id": 1}', headers=JSON))
    calls.peer.answer_by(None)
    calls.ended(calls.api.publish("shop.pinged", {"id": 1}), "fetch")
    calls.peer.answer(Reaction(status=404, body=b"not found", breaks_off=True), Reaction(status=404))
    pinged = calls.api.publish("shop.pinged", {"id": 1})
    assert calls.delivery(pinged, "fetch")["attempts"][0]["outcome"] == "bad_answer"
    calls.clock.advance(60)
    assert calls.ended(pinged, "fetch")["attempts"][1]["reason"].endswith("1 deleted.")


@pytest.mark.slow
def test_an_empty_list_is_no_reason_to_delete_everything(calls: Calls, source: Source) -> None:
    poll(calls, sweep=True)
    ran(calls, 1)
    source.records.clear()
    calls.clock.advance(3600)
    said = (
        "The full read found no records, but the mirror has 3. Nothing was deleted. If the records are really gone, "
        "set `most: 1` in the link's `sweep`."
    )
    until(lambda: attempts(calls, 1)[0]["reason"] == said, "it is refused")
    assert len(emitted(calls)) == 3
    poll(calls, sweep={"every": True, "most": 1})
    calls.clock.advance(60)
    assert ran(calls, 2)[1] == "Read 0 records on 1 page: 0 created, 0 updated, 3 deleted."


@pytest.mark.sqlite_only
def test_a_304_to_the_first_request_is_no_answer(calls: Calls, source: Source) -> None:
    tag = {"ETag": '"5"'}
    source.fails = [Reaction(status=304, headers=tag)]
    poll(calls, cursor={"header": "ETag"})
    assert attempts(calls, 1)[0]["status"] == 304
    calls.clock.advance(30)
    assert ran(calls, 1)[0].startswith("Read 3 records")


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_the_run_says_that_two_records_of_a_page_have_one_key(calls: Calls, source: Source) -> None:
    rows = [{"id": "a", "v": 1}, {"id": "b", "v": 1}, {"id": "a", "v": 2}, {"id": "a", "v": 3}]
    source.fails = [Reaction(status=200, body=json.dumps({"items": rows}).encode(), headers=JSON)] * 2
    poll(calls)
    left_out = "2 records were left out, because {} one on the page has the same key."
    said = f"Read 4 records on 1 page: 2 created, 0 updated, 0 deleted. {left_out.format('a later')}"
    assert ran(calls, 1) == [said]
    assert sorted(each[1:3] for each in emitted(calls)) == [("a", 3), ("b", 1)]
    poll(calls, "all", mode="all", type="seen")
    assert ran(calls, 1, "all") == [f"Read 4 records on 1 page; 2 were new. {left_out.format('an earlier')}"]
    assert sorted(each[1:3] for each in emitted(calls, "seen")) == [("a", 1), ("b", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["changes", "all"])
def test_a_large_page_is_taken_in_in_parts_and_a_failure_between_them_repeats_nothing(
    calls: Calls, source: Source, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    parts: list[int] = []
    take = Observing.part

    def part(self: Observing, db: Any, begun: Any, observed: Any) -> Any:
        parts.append(len(observed))
        if len(parts) == 2:
            raise RuntimeError("between two parts")
        return take(self, db, begun, observed)

    monkeypatch.setattr(Observing, "part", part)
    rows = [{"id": str(number), "v": 1} for number in range(2_500)]
    calls.peer.answer_by(lambda _: Reaction(status=200, body=json.dumps({"items": rows}).encode(), headers=JSON))
    poll(calls, mode=mode, type="shop.item")
    assert attempts(calls, 1)[0]["outcome"] == "observe_failed"
    assert len(emitted(calls, "shop.*")) == 1_000
    calls.clock.advance(30)
    assert ran(calls, 1)[0].startswith("Read 2,500 records on 1 page")
    assert parts == [1_000] * 4
    assert [each[1] for each in emitted(calls, "shop.*")] == [row["id"] for row in rows]
    tried = calls.api.post("/v1/links/pull:test", {})["observed"]
    assert (tried["records"], tried["created"], tried["changes"]) == (2_500, 0, [])


@pytest.mark.slow
@pytest.mark.parametrize("parts", [{}, {"sweep": True}, {"cursor": {"clock": True}}], ids=["record", "sweep", "clock"])
def test_a_page_that_is_sent_twice_by_mistake_hides_no_later_page(
    calls: Calls, source: Source, parts: dict[str, Any]
) -> None:
    """The run ended there, and its cursor or its full look took that for everything."""
    source.size, sent, mistakes = 2, list[Reaction](), ["after=2"]

    def answer(received: Any) -> Reaction:
        if mistakes and mistakes[0] in received.path:
            mistakes.pop()
            return sent[-1]
        sent.append(source.answer(received))
        return sent[-1]

    source.records.clear()
    for number, key in enumerate("abcdef"):
        source.put(key, f"10:00:0{number}", v=1)
    calls.peer.answer_by(answer)
    poll(calls, **parts)
    assert ran(calls, 1) == ["Read 6 records on 3 pages: 6 created, 0 updated, 0 deleted."]
    assert [each.path.rpartition("after=")[2] for each in calls.peer.requests()[1:]] == ["2", "2", "4"]
