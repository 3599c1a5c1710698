"""Exports over HTTP: files of any size by the list's own rules, and what is exported is imported as it was."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.items.collections import COLLECTIONS, declare
from tidings.testing import Api, TestServer, until

PATH = "/v1/items/tasks"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ITEM = st.fixed_dictionaries(
    {
        "title": TEXT,
        "done": st.none() | st.booleans(),
        "due": st.none() | st.sampled_from(["2026-11-21", "0999-01-31"]),
        "at": st.none() | st.sampled_from(["2026-11-21T01:02:03.000Z", "1999-12-31T23:59:59.123456Z"]),
        "price": st.none() | st.floats(min_value=0, allow_nan=False, allow_infinity=False),
        "pieces": st.none() | st.integers(-(2**63), 2**63 - 1),
        "place": st.none() | st.dictionaries(TEXT, st.none() | TEXT | st.booleans() | st.integers(0, 9), max_size=3),
        "lines": st.none() | st.lists(TEXT, max_size=3),
    }
)


def tenant(api: Api, name: str) -> Api:
    scopes = ["items:read", "items:write"]
    return api.with_key(api.post("/v1/keys", {"name": name, "scopes": scopes, "tenant": name})["key"])


def put(api: Api, raw: bytes, media: str) -> Any:
    more = {"on_conflict": "replace", "partial": "true"}
    reply = api.call("POST", f"{PATH}:import", raw, {"Content-Type": media}, **more)
    assert reply.status == 200, reply.body
    return reply.json


@pytest.mark.few(1)
@pytest.mark.parametrize(("format", "media"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
def test_an_export_can_be_imported_unchanged(api: Api, format: str, media: str) -> None:
    one, two = tenant(api, f"one-{format}"), tenant(api, f"two-{format}")

    @settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(ITEM, max_size=4))
    def check(items: list[dict[str, Any]]) -> None:
        for api in (one, two):
            for item in api.pages(PATH):
                api.delete(f"{PATH}/{item['id']}")
        for item in items:
            one.post(PATH, item)
        exported = one.call("GET", f"{PATH}:export", format=format)
        assert exported.headers["content-type"] == media
        assert put(two, exported.body, media)["created"] == len(items)
        assert two.call("GET", f"{PATH}:export", format=format).body == exported.body
        shown = ["title", "done", "due", "at", "price", "pieces", "priority", "owner", "place", "lines", "id"]
        first, second = (
            [{name: item[name] for name in shown} for item in api.pages(PATH, sort="created")] for api in (one, two)
        )
        assert first == second and [item["title"] for item in first] == [item["title"] for item in items]
        # Where it is there already, as it is, nothing changes.
        assert put(one, exported.body, media)["unchanged"] == len(items)

    check()


@pytest.mark.slow
def test_an_export_takes_the_parameters_of_a_list(api: Api) -> None:
    own = tenant(api, "asks")
    rows = [f"Task {n},{n},{'high' if n % 2 else 'low'}\n" for n in range(2_345)]
    for start in range(0, len(rows), 450):
        # A tenant's key brings few lines at once, where they may replace others.
        put(own, b"title,pieces,priority\n" + "".join(rows[start : start + 450]).encode(), "text/csv")
    every = own.call("GET", f"{PATH}:export").body.splitlines()
    assert [json.loads(line)["pieces"] for line in every] == list(range(2_345))
    asked: dict[str, Any] = {
        "priority": "high",
        "pieces__lt": 2_000,
        "sort": "-created",
        "fields": "pieces,title,revision",
    }
    found = own.call("GET", f"{PATH}:export", format="csv", **asked)
    assert found.body.splitlines()[:2] == [b"pieces,title,revision", b"1999,Task 1999,1"]
    assert found.body.count(b"\r\n") == 1_001
    assert found.headers["content-disposition"] == 'attachment; filename="tasks.csv"'
    assert own.call("GET", f"{PATH}:export", q="2344").body.count(b"\n") == 1
    assert own.call("GET", f"{PATH}:export", format="csv", pieces=-1).body.count(b"\r\n") == 1
    for query in ({"sort": "title"}, {"format": "xml"}, {"limit": 5}, {"fields": "id,id"}, {"q": "-"}):
        assert own.call("GET", f"{PATH}:export", **query).status == 422
    assert own.call("HEAD", f"{PATH}:export").status == 200
    for verb, allow in (("import", "OPTIONS, POST"), ("export", "GET, HEAD, OPTIONS"), ("batch", "OPTIONS, POST")):
        refused = own.call("DELETE", f"{PATH}:{verb}")
        assert (refused.status, refused.headers["allow"]) == (405, allow)
    assert own.call("GET", f"{PATH}:import").status == 405


def test_an_export_shows_only_what_the_key_may_read(api: Api) -> None:
    api.post(PATH, {"title": "mine", "pieces": 1, "priority": "high"})
    api.post(PATH, {"title": "hidden", "pieces": 2, "priority": "low"})
    permit = {"collection": "tasks", "verbs": ["list"], "read": ["title"], "rows": {"priority": "high"}}
    key = api.with_key(api.post("/v1/keys", {"name": "k", "scopes": [], "permits": [permit]})["key"])
    shown = [json.loads(line) for line in key.call("GET", f"{PATH}:export").body.splitlines()]
    assert {tuple(item) for item in shown} == {("id", "tenant", "title")}
    assert "mine" in [item["title"] for item in shown] and "hidden" not in [item["title"] for item in shown]
    assert key.call("GET", f"{PATH}:export", fields="pieces").status == 422


@pytest.mark.slow
def test_an_export_that_breaks_off_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    server = TestServer(tmp_path / "stops").start()
    try:
        for collection in COLLECTIONS:
            declare(server, collection)
        put(server.api, b"title\n" + (b"x" * 190 + b"\n") * 30_000, "text/csv")
        parts = urlsplit(server.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        connection.request("GET", f"{PATH}:export", headers={"Authorization": f"Bearer {server.api.key}"})
        answer = connection.getresponse()
        assert answer.read(100)
    finally:
        server.stop()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()


def test_the_connection_of_an_export_is_free_again(api: Api, server: TestServer) -> None:
    assert server.server is not None
    calls = server.server.parts.open_calls
    api.call("GET", f"{PATH}:export")
    until(lambda: calls.count == 0, "no export is open")
