"""What another system may answer: endless, backwards, hostile. One run fails, and nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.calls.test_polls import JSON, Source, attempts, emitted, new_clock, poll, ran, source
from tests.calls.world import Calls
from tidings.deliver.actions import observe
from tidings.testing import Reaction, until

__all__ = ["new_clock", "source"]
XML = {"Content-Type": "application/xml"}
LAUGHS = '<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><items>&c;</items>'


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS.encode(),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><items><id>&x;</id></items>',
        b"<items>" * 100_000 + b"</items>" * 100_000,
        b'{"items": ' * 100_000 + b"1" + b"}" * 100_000,
        b'{"items": [' + b'{"id": "a", "v": ' + b"[" * 5_000 + b"]" * 5_000 + b"}]}",
        b'{"items": [{"id": "a", "id": "b"}]',
        b"\xff\xfe\x00\x00",
    ],
)
@pytest.mark.few(3)
@pytest.mark.sqlite_only
def test_a_hostile_answer_fails_that_run_alone(calls: Calls, source: Source, body: bytes) -> None:
    source.put("a", "10:00:00", v=1)
    source.fails = [Reaction(status=200, body=body, headers=XML if body.startswith(b"<") else JSON)]
    poll(calls)
    (first,) = attempts(calls, 1)
    assert first["outcome"] == "bad_answer"
    assert "root:" not in first["reason"] and "lol" not in str(emitted(calls))
    calls.clock.advance(30)
    assert ran(calls, 1) == ["Read 1 record on 1 page: 1 created, 0 updated, 0 deleted."]


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_pages_that_are_always_new_end_with_a_reason(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "PAGES_MAX", 5)
    calls.connection()

    def answer(received: Any) -> Reaction:
        number = int(parse_qs(urlsplit(received.path).query).get("n", ["0"])[0])
        page = {"items": [{"id": f"r{number}", "at": "2026-11-29T10:00:00Z"}], "next": f"/api/items?n={number + 1}"}
        return Reaction(status=200, body=json.dumps(page).encode(), headers=JSON)

    calls.peer.answer_by(answer)
    poll(calls)
    (first,) = attempts(calls, 1)
    assert "There are more than 5 pages." in first["reason"]
    assert len(calls.peer.requests()) == 5
    assert [key for _, key, _, _ in emitted(calls)] == [f"r{number}" for number in range(4)], (
        "the page over the limit is not taken in"
    )


@pytest.mark.slow
@pytest.mark.parametrize("value", [5, ["/api/items?n=2"], {"href": "/api/items?n=2"}, True])
@pytest.mark.sqlite_only
def test_a_next_page_that_is_no_url_fails_the_run_instead_of_ending_it(calls: Calls, value: Any) -> None:
    calls.connection()
    page = {"items": [{"id": "a", "at": "2026-11-29T10:00:00Z"}], "next": value}
    calls.peer.answer(Reaction(status=200, body=json.dumps(page).encode(), headers=JSON))
    poll(calls)
    (first,) = attempts(calls, 1)
    assert first["outcome"] == "bad_answer" and "`next` must yield the URL of the next page" in first["reason"]
    assert not emitted(calls)


@pytest.mark.slow
def test_a_cursor_that_goes_backwards_is_not_followed(calls: Calls, source: Source) -> None:
    source.put("a", "11:00:00", v=1)
    poll(calls)
    ran(calls, 1)
    asked = []
    for count, at in ((2, "01:00:00"), (3, "02:00:00")):
        source.records.clear()
        source.fails = [
            Reaction(
                status=200,
                body=json.dumps({"items": [{"id": f"b{count}", "at": f"2026-11-29T{at}Z"}]}).encode(),
                headers=JSON,
            )
        ]
        calls.clock.advance(3600)
        ran(calls, count)
        asked.append(parse_qs(urlsplit(calls.peer.requests()[-1].path).query)["since"][0])
    assert asked[0] == asked[1] >= "2026-11-29T10:5", "it asks from where it was"
    assert [key for _, key, _, _ in emitted(calls)] == ["a", "b2", "b3"]


@pytest.mark.slow
def test_a_long_poll_that_is_paused_edited_and_resumed_in_the_middle_repeats_and_loses_nothing(
    calls: Calls, source: Source
) -> None:
    source.size = 100
    for number in range(2_000):
        source.put(f"r{number:04}", f"{10 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}", v=number)
    source.before[7] = lambda: calls.api.post("/v1/links/pull:pause", {"reason": "in the middle"})
    poll(calls)
    until(lambda: calls.api.get("/v1/links/pull")["state"] == "paused" and source.count >= 7, "it is paused")
    source.size = 70
    poll(calls, ignore=["at"])
    calls.api.post("/v1/links/pull:resume")
    calls.clock.advance(3600)
    until(lambda: len(calls.api.pages("/v1/events", type="shop.item.*", limit=1000)) >= 2_000, "all are read", 60)
    keys = [each["subject"] for each in calls.api.pages("/v1/events", type="shop.item.*", limit=1000)]
    assert len(keys) == len(set(keys)) == 2_000
