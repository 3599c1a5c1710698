"""Who changed what: every change is recorded in its transaction, with what was before and after, without secrets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.web.test_endpoints import key_of
from tidings.control.upkeep.retention import Retention
from tidings.model.moment import DAY
from tidings.testing import Api, TestServer
from tidings.web.habits.acts import NO_ACTS
from tidings.web.operations import OPERATIONS

URL = "http://127.0.0.1:9/in"


def acts(api: Api, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.pages("/v1/acts", **query)
    return found


def test_every_operation_that_changes_something_is_recorded() -> None:
    changing = [
        op for op in OPERATIONS if op.method != "GET" and op.path.startswith("/v1/") and op.scope not in NO_ACTS
    ]
    assert len(changing) > 40
    assert {op.name for op in changing if not hasattr(op.handler, "__wrapped__")} == set()


def test_a_change_is_recorded_with_before_and_after(api: Api) -> None:
    made = api.call("POST", "/v1/endpoints", {"url": URL, "headers": {"Authorization": "hidden-header"}})
    endpoint = made.json["id"]
    api.call("PATCH", f"/v1/endpoints/{endpoint}", {"description": "theirs"})
    api.post(f"/v1/endpoints/{endpoint}:pause", {"reason": "a window"})
    assert api.call("PATCH", f"/v1/endpoints/{endpoint}", {"rate": -1}).status == 422
    secret = api.post(f"/v1/endpoints/{endpoint}/secret")["secret"]
    api.call("DELETE", f"/v1/endpoints/{endpoint}")
    found = acts(api, about=endpoint, sort="created")
    assert [act["operation"] for act in found] == [
        "create_endpoint",
        "edit_endpoint",
        "pause_endpoint",
        "rotate_endpoint_secret",
        "delete_endpoint",
    ]
    created, edited, paused, rotated, deleted = [act["changes"][0] for act in found]
    assert created["before"] is None and created["after"]["url"] == URL and created["kind"] == "endpoint"
    assert (edited["before"], edited["after"]) == ({"description": ""}, {"description": "theirs"})
    assert paused["after"] == {"state": "paused", "reason": "a window"}
    assert (rotated["before"], rotated["after"]) == ({}, {})
    assert deleted["before"]["description"] == "theirs" and deleted["after"] is None
    assert {act["key_id"] for act in found} == {"key_operator"}
    assert found[0]["request_id"] == made.headers["request-id"]
    text = str(found)
    assert secret not in text and "hidden-header" not in text


def test_no_secret_is_recorded(api: Api) -> None:
    key = api.post("/v1/keys", {"scopes": ["events:read"], "name": "hidden"})
    api.post("/v1/hooks", {"path": "hidden", "scheme": "github", "secrets": ["hook-secret-1"]})
    base = {"base": "https://api.example", "auth": {"bearer": "token-hidden-1"}}
    assert api.call("PUT", "/v1/connections/hidden", base).status in (200, 201)
    found = acts(api)
    assert {act["operation"] for act in found} >= {"create_key", "create_hook", "put_connection"}
    text = str(found)
    assert not [each for each in (key["key"], "hook-secret-1", "token-hidden-1") if each in text]


def test_a_repeat_and_what_is_only_counted_are_not_recorded(api: Api) -> None:
    before = len(acts(api, operation="create_tenant"))
    for _ in range(2):
        reply = api.call("POST", "/v1/tenants", {"id": "once"}, {"Idempotency-Key": "acts-once"})
        assert reply.status == 201
    assert len(acts(api, operation="create_tenant")) == before + 1
    api.post("/v1/deliveries:retry", {"since": "2020-01-01T00:00:00Z", "dry_run": True})
    assert acts(api, operation="retry_deliveries") == []
    job = api.post("/v1/deliveries:retry", {"since": "2020-01-01T00:00:00Z"})
    (act,) = acts(api, operation="retry_deliveries")
    assert act["changes"] == [] and job["which"] == "retry"
    api.publish("acts.none")
    assert not [act for act in acts(api) if act["operation"].startswith("publish")]


def test_whose_acts_are_listed(api: Api) -> None:
    api.post("/v1/tenants", {"id": "acting"})
    own = key_of(api, "acting")
    endpoint = own.post("/v1/endpoints", {"url": "http://127.0.0.1:9/"})["id"]
    (act,) = acts(api, about=endpoint)
    assert act["key_id"] != "key_operator" and acts(api, key=act["key_id"]) == [act]
    assert acts(api, about=endpoint, time__gte="2999-01-01T00:00:00Z") == []
    assert acts(api, about=endpoint, time__lt="2999-01-01T00:00:00Z") == [act]
    assert own.call("GET", "/v1/acts").status in (403, 404)


@pytest.mark.slow
def test_old_acts_are_dropped(server: TestServer, api: Api) -> None:
    assert server.server is not None
    writer, clock = server.server.writer, server.server.clock
    api.post("/v1/tenants", {"id": "old"})
    assert acts(api, about="old")
    retention = Retention(writer, clock, 0, act_days=1)
    asyncio.run(retention.prune())
    assert acts(api, about="old")
    asyncio.run(retention.prune(clock.now() + 2 * DAY))
    assert acts(api) == []
