"""Idempotency-Key: what is done with an item is done once, however often it is sent, also over a kill -9."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidings.testing import Api, ProcessServer

PATH = "/v1/items/tasks"
FIELDS = {"title": {"type": "string", "required": True}, "code": {"type": "string", "unique": True}}


def told(api: Api, ident: str) -> list[str]:
    return [event["type"] for event in api.pages("/v1/events", collection="tasks", subject=ident, sort="created")]


REQUESTS: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", PATH, {"title": "once"}),
    "edit": ("PATCH", f"{PATH}/there", {"title": "edited"}),
    "put": ("PUT", f"{PATH}/there", {"title": "put"}),
    "put anew": ("PUT", f"{PATH}/fresh", {"title": "put"}),
    "delete": ("DELETE", f"{PATH}/there", None),
    "batch": ("POST", f"{PATH}:batch", {"operations": [{"op": "create", "data": {"title": "x"}}] * 3}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_retry_is_done_once_with_the_same_response(api: Api, name: str) -> None:
    method, path, body = REQUESTS[name]
    api.call("DELETE", f"{PATH}/fresh")
    api.call("PUT", f"{PATH}/there", {"title": f"{name} before"})
    before = len(api.pages("/v1/events", collection="tasks"))
    headers = {"Idempotency-Key": f"items {name}".replace(" ", "-")}
    first, second = api.call(method, path, body, headers), api.call(method, path, body, headers)
    assert first.status == second.status < 300 and first.body == second.body
    assert "idempotency-replayed" not in first.headers and second.headers["idempotency-replayed"] == "true"
    assert [first.headers.get(each) for each in ("etag", "location")] == [
        second.headers.get(each) for each in ("etag", "location")
    ]
    assert len(api.pages("/v1/events", collection="tasks")) == before + (3 if name == "batch" else 1)
    others: list[tuple[str, str, Any, dict[str, str]]] = [
        (method, f"{path}?tenant=other", body, {}),
        ("POST", "/v1/items/people", {"email": "a@once.example"}, {}),
        *([(method, path, {**body, "z": 1}, {})] if name != "batch" and body else []),
        *([(method, path, body, {"If-Match": '"1"'})] if method not in ("POST",) else []),
        *([(method, path, body, {"If-None-Match": "*"})] if method == "PUT" else []),
    ]
    for verb, target, its, more in others:
        other = api.call(verb, target, its, {**headers, **more})
        assert other.status == 422 and other.json["code"] == "idempotency_key_reused", (target, its)


def test_a_condition_is_part_of_the_request(api: Api) -> None:
    api.call("PUT", f"{PATH}/conditional", {"title": "a"})
    headers = {"Idempotency-Key": "conditional", "If-Match": '"1"'}
    assert api.call("PATCH", f"{PATH}/conditional", {"title": "b"}, headers).status == 200
    assert api.call("PATCH", f"{PATH}/conditional", {"title": "b"}, headers).status == 200
    other = api.call("PATCH", f"{PATH}/conditional", {"title": "b"}, {**headers, "If-Match": '"2"'})
    assert other.json["code"] == "idempotency_key_reused"


def test_a_refused_request_may_be_corrected_and_sent_with_the_same_key(api: Api) -> None:
    headers = {"Idempotency-Key": "mended"}
    assert api.call("POST", PATH, {"title": None}, headers).status == 422
    made = api.call("POST", PATH, {"title": "mended"}, headers)
    assert made.status == 201 and "idempotency-replayed" not in made.headers
    assert told(api, made.json["id"]) == ["tasks.created"]


@pytest.mark.slow
def test_idempotency_keys_of_other_callers_are_separate(api: Api) -> None:
    callers = [api.post("/v1/keys", {"scopes": ["items:write", "items:read"], "tenant": tenant}) for tenant in "ab"]
    made = [
        api.with_key(caller["key"]).call("POST", PATH, {"title": "mine"}, {"Idempotency-Key": "ours"})
        for caller in callers
    ]
    assert [reply.status for reply in made] == [201, 201]
    assert made[0].json["id"] != made[1].json["id"] and [reply.json["tenant"] for reply in made] == ["a", "b"]


@pytest.mark.slow
def test_a_kill_right_after_the_commit_changes_nothing(tmp_path: Path, database: str | None) -> None:
    with ProcessServer(tmp_path, database=database) as server:
        api = server.api
        api.post("/v1/collections", {"name": "tasks", "fields": FIELDS})
        api.call("PUT", f"{PATH}/there", {"title": "kept"})
        for name, (method, path, body) in REQUESTS.items():
            headers = {"Idempotency-Key": f"kill-{name}".replace(" ", "-")}
            first = api.call(method, path, body, headers)
            assert first.status < 300
            # The answer was given, so it is on disk; whoever did not read it asks again.
            server.kill()
            server.start()
            second = api.call(method, path, body, headers)
            assert (second.status, second.body) == (first.status, first.body)
            assert second.headers["idempotency-replayed"] == "true"
        assert told(api, "there") == ["tasks.created", "tasks.updated", "tasks.updated", "tasks.deleted"]
        assert len(api.pages("/v1/events", collection="tasks")) == 4 + 1 + 1 + 3
        assert {item["title"] for item in api.pages(PATH)} == {"once", "put", "x"}
