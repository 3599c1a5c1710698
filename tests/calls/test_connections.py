"""Connections as operators declare them: over the API, in a file, and what is never shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.calls.world import Calls

CALL = {"via": "shop", "post": "/orders", "json": "{{ data }}"}


def places(reply: Any) -> dict[str, str]:
    assert reply.status in (409, 422), reply.body
    return {each["pointer"]: each["detail"] for each in reply.json["errors"]}


@pytest.mark.slow
def test_a_connection_is_declared_read_replaced_and_deleted(calls: Calls) -> None:
    api, declared = calls.api, {"base": "https://api.example.com/v1/", "auth": {"basic": ["u", "p"]}, "rate": "90/min"}
    made = api.call("PUT", "/v1/connections/shop", declared)
    assert (made.status, made.headers["location"]) == (201, "/v1/connections/shop")
    shown = api.get("/v1/connections/shop")
    assert (shown["base"], shown["rate"], shown["auth"]) == ("https://api.example.com/v1", 1.5, {"basic": ["u", "***"]})
    back = api.call("PUT", "/v1/connections/shop", shown)
    assert (back.status, back.json["revision"]) == (200, 1), "what GET gave changes nothing"
    assert api.put("/v1/connections/shop", {**declared, "auth": {"basic": ["u", "other"]}})["revision"] == 2
    assert api.call("PUT", "/v1/connections/shop", declared, {"If-Match": '"1"'}).status == 412
    assert api.call("PUT", "/v1/connections/shop", declared, {"If-None-Match": "*"}).status == 412
    assert api.call("GET", "/v1/connections/shop", None, {"If-None-Match": '"2"'}).status == 304
    assert [each["name"] for each in api.pages("/v1/connections")] == ["shop"]
    api.delete("/v1/connections/shop")
    assert api.call("GET", "/v1/connections/shop").status == 404


@pytest.mark.slow
def test_no_secret_is_ever_shown_and_all_survive_a_restart(calls: Calls) -> None:
    secrets: dict[str, Any] = {"auth": {"header": {"X-Key": "s3cret-1"}}, "headers": {"X-Other": "s3cret-2"}}
    calls.connection(**secrets)
    calls.link(call=CALL)
    assert "s3cret" not in str(calls.api.get("/v1/connections/shop"))
    calls.server.restart()
    assert calls.api.get("/v1/connections/shop")["links"] == ["push"]
    calls.ended(calls.api.publish("order.made", {}))
    (got,) = calls.peer.requests()
    assert (got.headers["x-key"], got.headers["x-other"]) == ("s3cret-1", "s3cret-2")


def test_a_connection_that_links_use_stays(calls: Calls) -> None:
    calls.connection()
    calls.link(call=CALL)
    refused = calls.api.call("DELETE", "/v1/connections/shop")
    assert (refused.status, refused.json["code"]) == (409, "used_by_link")
    assert "1 link uses this connection: push." in refused.json["detail"]
    calls.api.delete("/v1/links/push")
    assert calls.api.call("DELETE", "/v1/connections/shop").status == 204
    missing = calls.api.call("PUT", "/v1/links/push", {"when": {"event": "order.*"}, "call": CALL})
    assert places(missing) == {"/call/via": "There is no connection shop."}


@pytest.mark.slow
def test_links_and_connections_are_planned_and_applied_as_one(calls: Calls) -> None:
    api = calls.api
    wanted: dict[str, Any] = {
        "connections": {"shop": {"base": "https://a.example", "auth": {"bearer": "s3cret-1"}}},
        "links": {"push": {"when": {"event": "order.*"}, "call": CALL}},
    }
    planned = api.post("/v1/links:plan", wanted)
    assert [step["says"] for step in planned["steps"]] == [
        "will create the connection shop",
        "will create the link push",
    ]
    assert api.post("/v1/links:apply", {**wanted, "plan": planned["plan"]})["applied"]
    assert api.post("/v1/links:plan", wanted)["steps"] == []
    wanted["connections"]["shop"]["auth"] = {"bearer": "s3cret-2"}
    (step,) = api.post("/v1/links:plan", wanted)["steps"]
    assert (step["do"], step["says"]) == ("change_connection", "will change the auth of the connection shop")
    gone = api.post("/v1/links:plan", {"connections": {}, "prune": True})
    assert [each["code"] for each in gone["refusals"]] == ["used_by_link"]
    assert gone["refusals"][0]["detail"].startswith("The link push uses the connection shop.")
    assert api.post("/v1/links:plan", {"connections": {}})["connections_stay"] == ["shop"]
    both = api.post("/v1/links:apply", {"connections": {}, "links": {}, "prune": True})
    assert [step["do"] for step in both["steps"]] == ["delete_connection", "delete_link"]
    assert api.pages("/v1/connections") == [] == api.pages("/v1/links")


def test_a_rate_belongs_to_the_connection_and_a_link_does_one_thing(calls: Calls) -> None:
    calls.connection()
    wanted = {"when": {"event": "order.*"}, "call": CALL, "rate": 5}
    assert "connection's rate" in places(calls.api.call("PUT", "/v1/links/push", wanted))["/rate"]
    both = {"when": {"event": "order.*"}, "call": CALL, "item": {"collection": "x", "delete": "1"}}
    assert "A link does one thing" in places(calls.api.call("PUT", "/v1/links/push", both))["/call"]


@pytest.mark.slow
def test_what_get_gave_of_a_call_changes_nothing(calls: Calls) -> None:
    calls.connection()
    call = {**CALL, "ok": "{{ status == 201 }}", "in_doubt": "retry", "timeout_seconds": 5.0, "give_up_on": ["5xx"]}
    shown = calls.link(call=call, order="all", retry_delays_seconds=[0, 5])
    assert (shown["call"], shown["item"]) == (call, None)
    assert calls.api.put("/v1/links/push", shown)["revision"] == 1
    calls.server.restart()
    assert calls.api.get("/v1/links/push") == shown


@pytest.mark.slow
def test_a_trial_shows_the_exact_request_and_sends_nothing(calls: Calls) -> None:
    calls.connection(auth={"bearer": "s3cret"})
    calls.link(call={"via": "shop", "post": "/orders/{{ data.id }}", "json": {"id": "{{ data.id }}"}})
    tried = calls.api.post("/v1/links/push:test", {"event": {"type": "order.made", "data": {"id": 7}}})
    assert tried["call"]["url"] == calls.peer.url("/api/orders/7")
    assert (tried["call"]["method"], tried["call"]["body"]) == ("POST", '{"id":7}')
    assert tried["call"]["headers"]["authorization"] == "***"
    failed = calls.api.post("/v1/links/push:test", {"event": {"type": "order.made", "data": {}}})
    assert (failed["call"], failed["outcome"]) == (None, "template_failed")
    assert not calls.api.post("/v1/links/push:test", {"event": {"type": "x", "data": {"id": 7}}})["wants"]
    assert calls.peer.requests() == []


def test_a_tenants_key_sees_no_connection(calls: Calls) -> None:
    calls.connection()
    key = calls.api.post("/v1/keys", {"name": "t", "scopes": ["links:read", "links:write"], "tenant": "acme"})["key"]
    for method, path in (("GET", ""), ("GET", "/shop"), ("DELETE", "/shop")):
        assert calls.api.with_key(key).call(method, f"/v1/connections{path}").status == 403


OAUTH = {"oauth2": "client_credentials", "token": "https://id.example.com/t", "id": "i", "secret": "s3cret"}


@pytest.mark.parametrize(
    ("declared", "moved", "at"),
    [
        ({"base": "https://a.example", "auth": {"bearer": "s3cret"}}, {"base": "https://b.example"}, "/auth/bearer"),
        ({"base": "https://a.example", "auth": {"bearer": "s3cret"}}, {"base": "http://a.example"}, "/auth/bearer"),
        (
            {"base": "https://a.example", "auth": {"bearer": "s3cret"}},
            {"base": "https://a.example:8443"},
            "/auth/bearer",
        ),
        (
            {"base": "https://a.example", "auth": {"basic": ["u", "s3cret"]}},
            {"base": "https://b.example"},
            "/auth/basic/1",
        ),
        (
            {"base": "https://a.example", "headers": {"X-Key": "s3cret"}},
            {"base": "https://b.example"},
            "/headers/X-Key",
        ),
        (
            {"base": "https://a.example", "auth": OAUTH},
            {"auth": {**OAUTH, "secret": "***", "token": "https://b.example/t"}},
            "/auth/secret",
        ),
        (
            {"smtp": "smtp://a.example", "from": "a@a.example", "auth": {"basic": ["u", "s3cret"]}},
            {"smtp": "smtp://b.example"},
            "/auth/basic/1",
        ),
    ],
)
@pytest.mark.few(3)
def test_a_stored_secret_does_not_follow_its_connection_to_another_host(
    calls: Calls, declared: dict[str, Any], moved: dict[str, Any], at: str
) -> None:
    calls.api.put("/v1/connections/shop", declared)
    shown = calls.api.get("/v1/connections/shop")
    found = places(calls.api.call("PUT", "/v1/connections/shop", {**shown, **moved}))
    field = "token" if "auth" in moved else next(iter(moved))
    assert f"`{field}` has a new host" in found[at], found
    planned = calls.api.call(
        "POST", "/v1/links:plan", {"connections": {"shop": {**declared, **masked(declared), **moved}}}
    )
    assert f"/connections/shop{at}" in places(planned)
    assert calls.api.get("/v1/connections/shop") == shown
    same = {**shown, "base": "HTTPS://A.example:443/v2"} if "base" in declared else {**shown, "description": "x"}
    assert calls.api.call("PUT", "/v1/connections/shop", same).status == 200, "the same host keeps it"
    assert calls.api.call("PUT", "/v1/connections/shop", {**declared, **moved, **given(declared, moved)}).status == 200


def masked(declared: dict[str, Any]) -> dict[str, Any]:
    hidden: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(declared).replace(b"s3cret", b"***"))
    return hidden


def given(declared: dict[str, Any], moved: dict[str, Any]) -> dict[str, Any]:
    return {"auth": {**moved["auth"], "secret": "s3cret"}} if "auth" in moved else {}


@pytest.mark.slow
def test_the_document_of_a_tenants_key_shows_only_links_that_it_may_read(calls: Calls) -> None:
    key = calls.api.post("/v1/keys", {"name": "t", "scopes": ["links:read", "links:write"], "tenant": "acme"})["key"]
    paths = calls.api.with_key(key).get("/v1/openapi.json")["paths"]
    assert not [path for path in paths if path.startswith("/v1/connections")]
    shown = {(method, path) for path, found in paths.items() if path.startswith("/v1/links") for method in found}
    assert {method for method, _ in shown if method in ("get", "put", "post", "delete")} == {"get"}, shown
    assert "put" in calls.api.get("/v1/openapi.json")["paths"]["/v1/links/{name}"]
