"""Batches that are read in slices are judged as strictly as those that are read whole, and named places are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.web.wire import dial, post
from tidings.testing import Api, TestServer

EVENT = {"type": "large.one", "data": {"text": "x" * 1_000}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with TestServer(tmp_path_factory.mktemp("slices"), max_body_bytes=100_000) as server:
        server.api.call("PUT", "/v1/collections/notes", {"fields": {"text": {"type": "string", "max": 5_000}}})
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    return server.api


def raw(api: Api, text: bytes) -> Any:
    return api.call("POST", "/v1/events:batch", text)


def batch(events: list[Any]) -> bytes:
    return json.dumps({"events": events}).encode()


@pytest.mark.slow
def test_a_large_batch_is_stored_in_its_order(api: Api) -> None:
    events = [{**EVENT, "subject": str(n)} for n in range(900)]
    cursor = api.get("/v1/events", after="end")["next_cursor"]
    answer = api.post("/v1/events:batch", {"events": events})
    assert [event["subject"] for event in answer["events"]] == [str(n) for n in range(900)]
    found = api.get("/v1/events", after=cursor, limit=1000)["data"]
    assert [event["subject"] for event in found] == [str(n) for n in range(900)]


@pytest.mark.slow
def test_error_locations_are_those_of_the_whole_body_and_nothing_is_stored(api: Api) -> None:
    before = api.get("/v1/events", after="end")["next_cursor"]
    events: list[Any] = [dict(EVENT) for _ in range(900)]
    events[3] = {"type": 7, "data": {}}
    events[700]["colour"] = "red"
    events[899]["type"] = "not a type"
    refused = raw(api, batch(events))
    assert refused.status == 422
    assert [place["pointer"] for place in refused.json["errors"]] == [
        "/events/3/type",
        "/events/700/colour",
        "/events/899/type",
    ]
    assert api.get("/v1/events", after=before)["data"] == []


def test_at_most_fifty_places_are_named(api: Api) -> None:
    refused = raw(api, batch([{**EVENT, "colour": n} for n in range(900)]))
    assert len(refused.json["errors"]) == 50


@pytest.mark.parametrize(
    ("find", "put", "code", "pointer"),
    [
        (b'"n": 700', b'"n": 700, "n": 1', "duplicate_key", "/events/700/data/n"),
        (b'"n": 700', b'"n": 12345678901234567890', "number_out_of_range", "/events/700/data/n"),
        (b'"n": 700', b'"n": "\\u0000"', "nul_character", "/events/700/data/n"),
        (b'"n": 700', b'"n": "\\ud800"', "lone_surrogate", None),
        (b'"n": 700', b'"n": "\xff"', "not_utf8", "/events/700/data/n"),
        (b'"n": 700', b'"n": ' + b"[" * 70 + b"]" * 70, "too_deep", None),
        (b'"n": 700', b'"n": NaN', "not_a_number", None),
        (b'"n": 700', b'"n": 01', "syntax", None),
        (b'"n": 700', b'"n": 1]', "syntax", None),
        (b'{"events"', b'{"events": [], "events"', "duplicate_key", "/events"),
        (b'{"events"', b"{" + b'"events": [{}], "events"', "duplicate_key", "/events"),
        (b'{"events": [', b'{"events": [' + b"[" * 200_000, "too_deep", None),
        (b"]}", b"]]", "syntax", None),
        (b"]}", b"", "syntax", None),
    ],
)
def test_what_is_not_strict_json_is_refused_wherever_it_stands(
    api: Api, find: bytes, put: bytes, code: str, pointer: str | None
) -> None:
    text = batch([{**EVENT, "data": {"n": n, "text": "x" * 200}} for n in range(900)])
    at = text.rfind(find) if find == b"]}" else text.find(find)
    refused = raw(api, text[:at] + put + text[at + len(find) :])
    assert refused.status == 400, refused.json
    (place,) = refused.json["errors"]
    assert place["code"] == code
    if pointer is not None:
        assert place["pointer"] == pointer


@pytest.mark.slow
def test_other_forms_are_refused_as_in_small_bodies(api: Api) -> None:
    filler = [EVENT] * 200
    assert raw(api, json.dumps(filler).encode()).status == 422
    unknown = raw(api, json.dumps({"events": filler, "colour": 1}).encode())
    assert unknown.status == 422 and unknown.json["errors"][0]["pointer"] == "/colour"
    assert raw(api, json.dumps({"events": {"a": filler}}).encode()).status == 422
    many = raw(api, batch([EVENT] * 1_001))
    assert many.status == 422 and many.json["errors"][0]["pointer"] == "/events"
    # A body of millions of elements is given up at the first too many.
    assert raw(api, b'{"events":[' + b"1," * 4_000_000 + b"1]}").json["errors"][0]["pointer"] == "/events"
    assert raw(api, batch([1, *[EVENT] * 500])).json["errors"][0]["pointer"] == "/events/0"


def test_an_event_has_its_limit_in_a_batch_too(api: Api) -> None:
    large = {"type": "large.one", "data": {"text": "x" * 100_000}}
    assert api.call("POST", "/v1/events", large).status == 413
    refused = raw(api, batch([EVENT, large]))
    assert refused.status == 413 and refused.json["errors"][0]["pointer"] == "/events/1"
    assert "100,000 bytes" in refused.json["detail"]


@pytest.mark.slow
def test_operations_on_items_are_read_in_slices_too(api: Api) -> None:
    path = "/v1/items/notes:batch"
    given: list[Any] = [{"op": "create", "data": {"text": "x" * 500}} for _ in range(900)]
    made = api.post(path, {"operations": given})["results"]
    assert len(made) == 900
    given[777] = {"op": "create", "data": {"text": 7}}
    refused = api.call("POST", path, {"operations": given})
    assert refused.json["errors"][0]["pointer"].startswith("/operations/777/")
    given[777] = {"op": "create", "date": {}}
    refused = api.call("POST", path, {"operations": given})
    assert refused.json["errors"][0]["pointer"] == "/operations/777/date"
    refused = api.call("POST", path, {"operations": [*given, *given]})
    assert (refused.status, refused.json["errors"][0]["code"]) == (422, "too_many")


@pytest.mark.slow
def test_many_large_batches_at_once_are_all_stored(server: TestServer, api: Api) -> None:
    """Also when some of their senders leave while they wait for their turn."""

    body = batch([{**EVENT, "data": {"text": "y" * 9_000}} for _ in range(900)])
    gone = []
    for _ in range(4):
        sock = dial(server.url)
        sock.sendall(post(body, "/v1/events:batch"))
        gone.append(sock)
    for sock in gone:
        sock.close()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: raw(api, body).status, range(6)))
    assert answers == [202] * 6
    assert server.server is not None
    assert server.server.parts.work.share.used == 0
