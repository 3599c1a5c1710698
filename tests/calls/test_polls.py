"""Links that poll: what differs becomes events, whatever order, overlap, failures and kills there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.calls.world import Calls
from tidings.model.moment import from_text
from tidings.testing import FakeClock, Reaction, until

JSON = {"Content-Type": "application/json"}


class Source:
    """Records of another system, which the peer serves in pages: changed since a time, in any size of pages."""

    def __init__(self, calls: Calls, size: int = 2) -> None:
        self.calls, self.size = calls, size
        self.records: dict[str, dict[str, Any]] = {}
        self.fails: list[Reaction] = []
        self.before: dict[int, Callable[[], None]] = {}
        """What happens before the answer to a request, by its number."""
        self.count = 0
        calls.peer.answer_by(self.answer)

    def put(self, key: str, at: str, **values: Any) -> None:
        """Create or change a record."""
        self.records[key] = {"id": key, "at": f"2026-11-29T{at}Z", **values}

    def answer(self, received: Any) -> Reaction:
        """One page, or what comes instead of it."""
        self.count += 1
        self.before.pop(self.count, lambda: None)()
        return self.fails.pop(0) if self.fails else self.page(urlsplit(received.path).query)

    def page(self, parameters: str) -> Reaction:
        """The page that these parameters ask for."""
        query = {name: values[-1] for name, values in parse_qs(parameters).items()}
        since, after = query.get("since", ""), int(query.get("after", "0"))
        found = [each for each in self.records.values() if each["at"] >= since[:19]]
        found.sort(key=lambda each: str(each["at"]))
        page = found[after : after + self.size]
        more = after + self.size < len(found)
        body = {"items": page, "next": f"/api/items?since={since}&after={after + self.size}" if more else None}
        return Reaction(status=200, body=json.dumps(body).encode(), headers=JSON)


def poll(calls: Calls, name: str = "pull", when: Any = None, **emit: Any) -> dict[str, Any]:
    """Declare a link that polls the source."""
    call = {"via": "shop", "get": "/items", "query": {"since": "{{ since }}"}, "pages": {"next": "{{ body.next }}"}}
    declared = {
        "when": when or {"every": "1h"},
        "call": call,
        "emit": {"type": "shop.item", "each": "items", "key": "id", "cursor": {"record": "at"}, **emit},
    }
    found: dict[str, Any] = calls.api.put(f"/v1/links/{name}", declared)
    return found


def emitted(calls: Calls, type: str = "shop.item.*") -> list[tuple[Any, ...]]:
    """What was emitted so far, in order."""
    found = []
    for each in reversed(calls.api.pages("/v1/events", type=type)):
        found.append((each["type"].rpartition(".")[2], each["subject"], each["data"].get("v"), each["changed"]))
    return found


def ran(calls: Calls, count: int, name: str = "pull") -> list[str]:
    """What the attempts say, once so many runs have ended."""

    def look() -> list[str] | None:
        done = [each for each in calls.api.pages("/v1/deliveries", link=name) if each["state"] != "waiting"]
        if len(done) < count:
            return None
        return [calls.api.get(f"/v1/deliveries/{each['id']}")["attempts"][-1]["reason"] for each in reversed(done)]

    found = until(look, f"{count} runs of {name} have ended")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def new_clock() -> Callable[[], FakeClock]:
    return lambda: FakeClock(from_text("2026-11-29T12:00:00Z"))


@pytest.fixture
def source(calls: Calls) -> Source:
    calls.connection()
    return Source(calls)


@pytest.mark.slow
def test_a_poll_emits_what_differs_page_by_page(calls: Calls, source: Source) -> None:
    for number, key in enumerate("abcde"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls)
    assert ran(calls, 1) == ["Read 5 records on 3 pages: 5 created, 0 updated, 0 deleted."]
    assert emitted(calls) == [("created", key, 1, None) for key in "abcde"]
    (first, *_rest) = calls.peer.requests()
    assert first.path == "/api/items?since=1970-01-01T00%3A00%3A00.000Z"
    source.put("b", "11:00:00", v=2)
    source.put("f", "11:00:01", v=1)
    calls.clock.advance(3600)
    assert ran(calls, 2)[1] == "Read 6 records on 3 pages: 1 created, 1 updated, 0 deleted."
    assert emitted(calls)[5:] == [("updated", "b", 2, ["at", "v"]), ("created", "f", 1, None)]
    events = calls.api.pages("/v1/events", type="shop.item.updated")
    (due, *_more) = list(calls.api.pages("/v1/events", type="timer.due"))
    assert (events[0]["cause"], events[0]["hops"], events[0]["previous"]["v"]) == (due["id"], 1, 1)
    calls.clock.advance(3600)
    assert ran(calls, 3)[2].endswith("0 created, 0 updated, 0 deleted.")


def attempts(calls: Calls, count: int, name: str = "pull") -> list[dict[str, Any]]:
    """The attempts of the run that waits for another one, once there are so many."""

    def look() -> list[dict[str, Any]] | None:
        for each in calls.api.pages("/v1/deliveries", link=name, state="waiting"):
            found: list[dict[str, Any]] = calls.api.get(f"/v1/deliveries/{each['id']}")["attempts"]
            return found if len(found) >= count else None
        return None

    found = until(look, f"{count} attempts of {name}")
    assert found is not None
    return found


@pytest.mark.slow
def test_a_failure_in_the_middle_repeats_nothing_and_loses_nothing(calls: Calls, source: Source) -> None:
    for number, key in enumerate("abcdef"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls)
    ran(calls, 1)
    for key in "abcdef":
        source.put(key, "11:00:00", v=2)
    source.fails = [source.page("since=2026-11-29T09%3A58"), Reaction(status=503, headers={"Retry-After": "60"})]
    calls.clock.advance(3600)
    first = attempts(calls, 1)[0]
    assert (first["outcome"], first["status"], first["call"]["method"]) == ("bad_status", 503, "GET")
    assert len(emitted(calls)) == 8, "the first page counts"
    calls.clock.advance(61)
    assert ran(calls, 2)[1] == "Read 6 records on 3 pages: 0 created, 4 updated, 0 deleted."
    assert [each[:3] for each in emitted(calls)[6:]] == [("updated", key, 2) for key in "abcdef"]


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_wait_for_half_an_hour(calls: Calls, source: Source, status: int) -> None:
    source.put("a", "10:00:00")
    source.fails = [Reaction(status=status)]
    poll(calls)
    attempts(calls, 1)
    calls.clock.advance(1_200)
    assert len(attempts(calls, 1)) == 1
    calls.clock.advance(700)
    assert ran(calls, 1) == ["Read 1 record on 1 page: 1 created, 0 updated, 0 deleted."]


@pytest.mark.slow
def test_tombstones_are_deletions(calls: Calls, source: Source) -> None:
    source.put("a", "10:00:00", v=1, gone=False)
    source.put("never-seen", "10:00:00", v=1, gone=True)
    poll(calls, deleted="{{ record.gone }}", ignore=["at"])
    ran(calls, 1)
    source.put("a", "11:00:00", v=1, gone=True)
    calls.clock.advance(3600)
    ran(calls, 2)
    assert [each[:2] for each in emitted(calls)] == [("created", "a"), ("deleted", "a")]
    (gone,) = calls.api.pages("/v1/events", type="shop.item.deleted")
    assert gone["data"] == {"id": "a", "at": "2026-11-29T10:00:00Z", "v": 1, "gone": False}


@pytest.mark.slow
def test_a_full_look_finds_what_is_missing_and_a_failed_one_deletes_nothing(calls: Calls, source: Source) -> None:
    for number in range(40):
        source.put(f"k{number:02}", "10:00:00", v=1)
    source.size = 10
    poll(calls, sweep="1d")
    assert ran(calls, 1)[0].startswith("Read 40 records on 4 pages: 40 created")
    del source.records["k03"], source.records["k17"]
    calls.clock.advance(3600)
    assert ran(calls, 2)[1].endswith("0 deleted."), "an hour later it only asks for what is new"
    source.fails = [source.page("since=1970"), Reaction(status=500)]
    calls.clock.advance(23 * 3600)
    until(lambda: not source.fails, "the full read fails in the middle")
    attempts(calls, 1)
    assert len(emitted(calls)) == 40
    calls.clock.advance(30)
    assert ran(calls, 3)[2] == "Read 38 records on 4 pages: 0 created, 0 updated, 2 deleted."
    assert [each[:2] for each in emitted(calls)[40:]] == [("deleted", "k03"), ("deleted", "k17")]
    for number in range(25):
        source.records.pop(f"k{number:02}", None)
    calls.clock.advance(24 * 3600)
    said = "more than a full read may delete"
    until(lambda: any(said in (each["reason"] or "") for each in attempts(calls, 1)), "it is refused")
    assert len(emitted(calls)) == 42
    poll(calls, sweep={"every": "1d", "most": 1})
    calls.clock.advance(60)
    assert ran(calls, 4)[3].endswith("23 deleted.")


@pytest.mark.slow
def test_from_now_fills_the_mirror_silently(calls: Calls, source: Source) -> None:
    for number, key in enumerate("abc"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls, cursor={"record": "at", "from": "now"})
    said = "Read 3 records on 2 pages: 3 created, 0 updated, 0 deleted, without events, because this was the first run."
    assert ran(calls, 1) == [said]
    assert emitted(calls) == []
    source.put("a", "11:00:00", v=2)
    source.put("d", "11:00:00", v=1)
    calls.clock.advance(3600)
    ran(calls, 2)
    assert [each[:2] for each in emitted(calls)] == [("updated", "a"), ("created", "d")]


@pytest.mark.slow
def test_an_edit_and_a_new_declaration_repeat_nothing(calls: Calls, source: Source) -> None:
    for number, key in enumerate("abc"):
        source.put(key, f"10:00:0{number}", v=1, extra=0)
    poll(calls)
    ran(calls, 1)
    poll(calls, only=["v"])
    for key in "abc":
        source.put(key, "11:00:00", v=1, extra=1)
    calls.clock.advance(3600)
    assert ran(calls, 2)[1].endswith("0 created, 0 updated, 0 deleted.")
    calls.api.delete("/v1/links/pull")
    before = len(calls.peer.requests())
    poll(calls, only=["v"])
    calls.peer.wait_for(before + 1)
    asked = calls.peer.requests()[before].path
    assert asked.startswith("/api/items?since=2026-11-29T10%3A58"), "it begins where it was"
    poll(calls, "other", only=["v"])
    assert ran(calls, 1, "other")[0].endswith("0 created, 0 updated, 0 deleted."), "the mirror is that of the type"
    assert len(emitted(calls)) == 3


@pytest.mark.slow
def test_a_pause_in_the_middle_of_a_run_ends_it_and_it_continues(calls: Calls, source: Source) -> None:
    for number in range(10):
        source.put(f"k{number}", f"10:00:0{number}", v=1)
    source.before[3] = lambda: calls.api.post("/v1/links/pull:pause")
    poll(calls, cursor={"record": "at", "order": "asc", "overlap": "0s"})
    (first,) = attempts(calls, 1)
    assert first["outcome"] == "interrupted"
    assert "Read 6 records on 3 pages: 6 created, 0 updated, 0 deleted." in first["reason"]
    calls.api.post("/v1/links/pull:resume")
    ran(calls, 1)
    assert [each[:2] for each in emitted(calls)] == [("created", f"k{number}") for number in range(10)]
    assert "since=2026-11-29T10%3A00%3A05" in calls.peer.requests()[3].path, "it continues where the cursor is"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "neither JSON nor XML"),
        (b"not json", "neither JSON nor XML"),
        (b'{"items": [{"id": 1}', "neither JSON nor XML"),
        (b'{"error": "x"}', "nothing at items"),
        (
            b'{"items": [{"id": "a"}, {"no": 1}]}',
            "record 2 of the response, `id`, must be a string or a number; it is missing.",
        ),
        (b'{"items": [{"id": {"a": 1}}]}', "it is an object"),
        (b"[" * 100_000 + b"]" * 100_000, "neither JSON nor XML"),
        (b'{"items": [{"id": "a"}], "next": "https://elsewhere.example/"}', "not on the first page's host"),
        (b'{"items": [{"id": "a"}], "next": "//elsewhere.example/x"}', "not on the first page's host"),
        (b'{"items": [{"id": "a"}], "next": "/x\\r\\ny"}', "characters that are not allowed in a URL"),
        (b'{"items": ' + b" " * (8 * 1024 * 1024) + b"[]}", "more than 8,388,608 bytes"),
    ],
)
@pytest.mark.few(4)
def test_an_answer_that_is_not_what_it_should_be_fails_that_run_alone(
    calls: Calls, source: Source, body: bytes, said: str
) -> None:
    source.put("a", "10:00:00", v=1)
    source.fails = [Reaction(status=200, body=body, headers=JSON)]
    poll(calls)
    (first,) = attempts(calls, 1)
    assert first["outcome"] == "bad_answer"
    assert said in first["reason"]
    calls.clock.advance(30)
    assert ran(calls, 1) == ["Read 1 record on 1 page: 1 created, 0 updated, 0 deleted."]


@pytest.mark.slow
def test_pages_that_repeat_forever_end(calls: Calls, source: Source) -> None:
    page = {"items": [{"id": "a", "at": "2026-11-29T10:00:00Z"}], "next": "/api/items?again"}
    calls.peer.answer_by(lambda received: Reaction(status=200, body=json.dumps(page).encode(), headers=JSON))
    poll(calls)
    assert ran(calls, 1) == ["Read 2 records on 2 pages: 1 created, 0 updated, 0 deleted."]


@pytest.mark.slow
def test_a_nul_in_a_record_harms_nothing(calls: Calls, source: Source) -> None:
    body = b'{"items": [{"id": "a", "v": "x\\u0000y", "n": 12345678901234567890.5, "w": "\\\\u0000"}]}'
    calls.peer.answer_by(lambda received: Reaction(status=200, body=body, headers=JSON))
    poll(calls, only=["v"])
    ran(calls, 1)
    (event,) = calls.api.pages("/v1/events", type="shop.item.created")
    assert (event["data"]["v"], event["data"]["w"]) == ("x\ufffdy", "\\u0000")
    assert b'"n":12345678901234567890.5' in calls.api.call("GET", f"/v1/events/{event['id']}").body


@pytest.mark.slow
def test_a_thin_event_is_fetched_and_what_is_gone_is_deleted(calls: Calls, source: Source) -> None:
    found: dict[str, Reaction] = {"/api/orders/1": Reaction(status=200, body=b'{"id": 1, "v": 1}', headers=JSON)}
    calls.peer.answer_by(lambda received: found.get(received.path, Reaction(status=404)))
    calls.link(
        "fetch",
        "shop.pinged",
        {"via": "shop", "get": "/orders/{{ data.order_id }}", "gone": [404, 410]},
        emit={"type": "shop.order", "key": "id"},
        order="{{ data.order_id }}",
    )
    for _ in range(2):
        calls.ended(calls.api.publish("shop.pinged", {"order_id": 1}), "fetch")
    assert [each[:2] for each in emitted(calls, "shop.order.*")] == [("created", "1")]
    found.clear()
    pinged = calls.api.publish("shop.pinged", {"order_id": 1})
    assert calls.ended(pinged, "fetch")["attempts"][0]["reason"].endswith("1 deleted.")
    assert [each[:2] for each in emitted(calls, "shop.order.*")] == [("created", "1"), ("deleted", "1")]


@pytest.mark.slow
def test_mode_all_drops_only_repeats(calls: Calls, source: Source) -> None:
    for number, key in enumerate("abc"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls, mode="all", type="shop.seen", key="{{ record.id }}-{{ record.v }}", data={"v": "{{ record.v }}"})
    assert ran(calls, 1) == ["Read 3 records on 2 pages; 3 were new."]
    source.put("a", "11:00:00", v=2)
    calls.clock.advance(3600)
    assert ran(calls, 2)[1].endswith("; 1 was new.")
    found = [(each["type"], each["subject"], each["data"]) for each in calls.api.pages("/v1/events", type="shop.seen")]
    assert found[0] == ("shop.seen", "a-2", {"v": 2})
    assert len(found) == 4


@pytest.mark.slow
def test_an_entity_tag_is_a_cursor(calls: Calls, source: Source) -> None:
    def choose(received: Any) -> Reaction:
        if received.headers.get("if-none-match") == '"5"':
            return Reaction(status=304)
        return Reaction(status=200, body=b'[{"id": "a"}]', headers={**JSON, "ETag": '"5"'})

    calls.peer.answer_by(choose)
    call = {"via": "shop", "get": "/all", "headers": {"If-None-Match": "{{ since }}"}}
    emit = {"type": "shop.item", "key": "id", "cursor": {"header": "ETag"}}
    calls.api.put("/v1/links/pull", {"when": {"every": "1h"}, "call": call, "emit": emit})
    assert ran(calls, 1) == ["Read 1 record on 1 page: 1 created, 0 updated, 0 deleted."]
    calls.clock.advance(3600)
    assert ran(calls, 2)[1].startswith("Read 0 records")


@pytest.mark.slow
@pytest.mark.own_server
def test_pages_by_number_are_asked_for_while_they_are_full(calls: Calls, source: Source) -> None:
    def choose(received: Any) -> Reaction:
        page = int(parse_qs(urlsplit(received.path).query)["page"][0])
        rows = [{"id": f"{page}-{n}"} for n in range(3 if page < 3 else 1)]
        return Reaction(status=200, body=json.dumps(rows).encode(), headers=JSON)

    calls.peer.answer_by(choose)
    pages = {"query": {"page": "{{ n + 1 }}"}, "while": "{{ records | length == 3 }}"}
    query = {"day": "{{ now | date('%Y-%m-%d') }}", "page": 1}
    call = {"via": "shop", "get": "/flights", "query": query, "pages": pages}
    emit = {"type": "flight", "key": "id", "sweep": False}
    calls.api.put("/v1/links/pull", {"when": {"every": "2m"}, "call": call, "emit": emit})
    assert ran(calls, 1) == ["Read 7 records on 3 pages: 7 created, 0 updated, 0 deleted."]
    assert [each.path for each in calls.peer.requests()] == [f"/api/flights?day=2026-11-29&page={n}" for n in (1, 2, 3)]


@pytest.mark.slow
def test_further_pages_pass_the_gate_of_the_connection(calls: Calls, source: Source) -> None:
    calls.connection(rate=1)
    for number, key in enumerate("abcdef"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls)
    calls.peer.wait_for(1)
    until(lambda: len(emitted(calls)) == 2, "the first page is taken in")
    assert len(calls.peer.requests()) == 1
    for count in (2, 3):
        until(lambda: calls.clock.advance(0.6) and len(calls.peer.requests()) >= count, "the gate opens")
    assert ran(calls, 1)[0].startswith("Read 6 records on 3 pages")


@pytest.mark.parametrize(
    ("emit", "pointer"),
    [
        ({"type": "a b"}, "/emit/type"),
        ({"type": "endpoint.x"}, "/emit/type"),
        ({"type": "x" * 125}, "/emit/type"),
        ({"key": None}, "/emit/key"),
        ({"key": "{{ nothing }}"}, "/emit/key"),
        ({"each": "a..b"}, "/emit/each"),
        ({"mode": "some"}, "/emit/mode"),
        ({"mode": "all", "only": ["a"]}, "/emit/only"),
        ({"only": ["a"], "ignore": ["b"]}, "/emit/ignore"),
        ({"cursor": {"record": "a", "body": "b"}}, "/emit/cursor"),
        ({"cursor": {"record": "a", "order": "desc"}}, "/emit/cursor/order"),
        ({"cursor": {"body": "a", "overlap": "1m"}}, "/emit/cursor/overlap"),
        ({"cursor": {"clock": True, "from": "yesterday"}}, "/emit/cursor/from"),
        ({"cursor": {"clock": "yes"}}, "/emit/cursor/clock"),
        ({"sweep": "5s"}, "/emit/sweep"),
        ({"sweep": {"every": "1d", "most": 2}}, "/emit/sweep/most"),
        ({"deleted": "{{ record.a"}, "/emit/deleted"),
        ({"often": 1}, "/emit/often"),
    ],
)
@pytest.mark.few(4)
def test_wrong_rules_are_refused_with_the_place(calls: Calls, source: Source, emit: Any, pointer: str) -> None:
    declared = {
        "when": {"every": "1h"},
        "call": {"via": "shop", "get": "/x"},
        "emit": {"type": "x", "key": "id", **emit},
    }
    refused = calls.api.call("PUT", "/v1/links/pull", declared)
    assert refused.status == 422
    assert pointer in [each["pointer"] for each in refused.json["errors"]]


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"when": {"event": "x"}, "emit": {"type": "x", "key": "id", "cursor": {"clock": True}}}, "/emit/cursor"),
        ({"call": {"via": "shop", "get": "/x", "pages": {"next": "{{ body.x }}"}}, "emit": None}, "/call/pages"),
        ({"call": {"via": "shop", "get": "/x", "pages": {}}}, "/call/pages"),
        ({"call": {"via": "shop", "get": "/x", "pages": {"next": 1}}}, "/call/pages/next"),
        ({"call": {"via": "shop", "get": "/x", "pages": {"post": "/y"}}}, "/call/pages/post"),
        ({"call": {"via": "shop", "get": "/x", "gone": [200]}}, "/call/gone"),
        ({"call": {"via": "shop", "get": "/x?{{ body.x }}"}}, "/call/get"),
    ],
)
@pytest.mark.few(2)
def test_parts_that_do_not_fit_together_are_refused(calls: Calls, source: Source, parts: Any, pointer: str) -> None:
    declared = {"when": {"every": "1h"}, "call": {"via": "shop", "get": "/x"}, "emit": {"type": "x", "key": "id"}}
    given = {name: each for name, each in {**declared, **parts}.items() if each is not None}
    refused = calls.api.call("PUT", "/v1/links/pull", given)
    assert refused.status == 422
    assert pointer in [each["pointer"] for each in refused.json["errors"]]


@pytest.mark.slow
def test_what_is_declared_is_shown_the_same(calls: Calls, source: Source) -> None:
    emit: dict[str, Any] = {
        "type": "shop.item",
        "each": "items",
        "key": "id",
        "data": {"id": "{{ record.id }}"},
        "deleted": "{{ record.gone }}",
        "only": ["id"],
        "cursor": {"record": "at", "from": "2026-01-01T00:00:00Z", "overlap": "5m", "order": "asc"},
        "sweep": {"every": "1d", "most": 0.25},
    }
    made = poll(calls, **emit)
    assert made["emit"] == emit
    again = calls.api.call("PUT", "/v1/links/pull", made)
    assert (again.status, again.json["revision"]) == (200, 1)


@pytest.mark.slow
def test_a_condition_leaves_a_fetch_out(calls: Calls, source: Source) -> None:
    calls.peer.answer_by(lambda received: Reaction(status=200, body=b'{"id": 1, "v": 1}', headers=JSON))
    parts: dict[str, Any] = {"if": "{{ data.wanted }}", "emit": {"type": "shop.order", "key": "id"}}
    calls.link("fetch", "shop.pinged", {"via": "shop", "get": "/orders"}, **parts)
    left_out = calls.ended(calls.api.publish("shop.pinged", {"wanted": False}), "fetch")
    assert left_out["attempts"][0]["outcome"] == "skipped"
    assert calls.ended(calls.api.publish("shop.pinged", {"wanted": True}), "fetch")["attempts"][0]["outcome"] == "ok"
    assert len(calls.peer.requests()) == 1
    refused = calls.api.call(
        "PUT",
        "/v1/links/x",
        {"when": {"event": "x"}, "call": {"get": "https://a.example/"}, "once": "{{ id }}", **parts},
    )
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/once")


@pytest.mark.slow
def test_a_trial_reads_one_page_and_moves_nothing(calls: Calls, source: Source) -> None:
    source.size = 6
    for number, key in enumerate("abcdefgh"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls)
    ran(calls, 1)
    source.put("c", "11:00:00", v=2)
    source.put("new", "11:00:00", v=1)
    tried = calls.api.post("/v1/links/pull:test", {})
    found = tried["observed"]
    assert (found["records"], len(found["first"]), found["has_more"]) == (6, 5, True)
    assert (found["created"], found["updated"], found["deleted"]) == (0, 0, 0)
    assert tried["call"]["url"].endswith("/api/items?since=2026-11-29T09%3A58%3A07.000Z")
    source.size = 20
    found = calls.api.post("/v1/links/pull:test", {})["observed"]
    assert (found["created"], found["updated"], found["has_more"]) == (1, 1, False)
    assert found["changes"] == [{"change": "updated", "key": "c"}, {"change": "created", "key": "new"}]
    assert len(emitted(calls)) == 8
    source.fails = [Reaction(status=500)]
    failed = calls.api.post("/v1/links/pull:test", {})
    assert (failed["outcome"], failed["says"], failed["observed"]) == ("bad_status", "Answered 500.", None)
    calls.clock.advance(3600)
    assert ran(calls, 2)[1].endswith("1 created, 1 updated, 0 deleted.")


@pytest.mark.slow
def test_a_reset_begins_again_and_emits_nothing_twice(calls: Calls, source: Source) -> None:
    for number, key in enumerate("abc"):
        source.put(key, f"10:00:0{number}", v=1)
    poll(calls)
    ran(calls, 1)
    source.put("late", "01:00:00", v=1)
    assert calls.api.post("/v1/links/pull:reset") == {"link": "pull", "cursor": True, "records": 0, "kept": 0}
    calls.clock.advance(3600)
    assert ran(calls, 2)[1] == "Read 4 records on 2 pages: 1 created, 0 updated, 0 deleted."
    assert calls.api.post("/v1/links/pull:reset", {"mirror": True})["records"] == 4
    calls.clock.advance(3600)
    assert ran(calls, 3)[2].endswith("4 created, 0 updated, 0 deleted.")
    calls.link("push", "x", {"via": "shop", "get": "/x"})
    assert calls.api.call("POST", "/v1/links/push:reset").json["code"] == "no_emit"
    assert calls.api.call("POST", "/v1/links/none:reset").status == 404


@pytest.mark.slow
def test_a_reset_while_a_run_waits_for_another_attempt_needs_that_it_is_cancelled(calls: Calls, source: Source) -> None:
    source.fails = [Reaction(status=503)]
    poll(calls)
    [run] = until(
        lambda: [each for each in calls.api.pages("/v1/deliveries", link="pull") if each["attempts"]], "tried"
    )
    calls.api.post("/v1/links/pull:pause")
    refused = calls.api.call("POST", "/v1/links/pull:reset")
    assert refused.json["code"] == "running" and "cancel its delivery" in refused.json["detail"]
    calls.api.post(f"/v1/deliveries/{run['id']}:cancel")
    assert calls.api.call("POST", "/v1/links/pull:reset").status == 200


@pytest.mark.slow
def test_an_object_that_should_have_been_a_list_is_explained(calls: Calls, source: Source) -> None:
    source.fails = [Reaction(status=200, body=b'{"contacts": [{"id": 1}]}', headers=JSON)]
    poll(calls, each=None)
    reason = attempts(calls, 1)[0]["reason"]
    assert "`id`, must be a string or a number; it is missing." in reason
    assert "such as `each: contacts`" in reason


@pytest.mark.slow
@pytest.mark.own_server
@pytest.mark.parametrize("days", [30, -30])
def test_a_poll_that_asks_by_our_clock_misses_nothing_if_the_clock_is_set(
    calls: Calls, source: Source, days: int
) -> None:
    """After a clock that was far ahead, it would otherwise ask for the future, and find nothing for a month."""
    calls.since = 0  # Its lists have everything, as runs may seem to be older than the test.
    asked: list[str] = []

    def answer(received: Any) -> Reaction:
        asked.append(parse_qs(urlsplit(received.path).query)["since"][0])
        return Reaction(status=200, body=b'{"items": []}', headers=JSON)

    calls.peer.answer_by(answer)
    poll(calls, cursor={"clock": True})
    for count, set_by in enumerate((0, 0, days, -days), 1):
        if set_by:
            calls.clock.set_by(set_by * 86_400)
        if count > 1:
            calls.clock.advance(3_601)
        ran(calls, count)
    _, before, while_wrong, after = (from_text(each) // 1_000_000 for each in asked)
    assert while_wrong - before == days * 86_400 + 3_601
    assert after - before == 2 * 3_601, "by the right clock, an hour after each other"
