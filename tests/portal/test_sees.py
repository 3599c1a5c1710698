"""A portal session's key, used on the API: it sees what the portal shows, so nothing that the operator's links do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.portal.customer import Customer
from tidings.testing import Api, Receiver, TestServer, until

LINK = "secret-internal-link"


@pytest.fixture(scope="module")
def receiver() -> Any:
    with Receiver() as receiver:
        receiver.answer(500, path="/theirs")
        yield receiver


@pytest.fixture(scope="module")
def made(server: TestServer, receiver: Receiver) -> dict[str, str]:
    """A tenant with an endpoint and an operator's link, whose deliveries of one event have ended, and their replays."""
    api = server.api
    api.put("/v1/collections/orders_seen", {"fields": {"title": {"type": "string"}}})
    act = {"collection": "orders_seen", "create": True, "data": {"title": "x"}}
    api.put(f"/v1/links/{LINK}", {"tenant": "seen", "when": {"event": "own.*"}, "item": act})
    endpoint, _ = api.register(receiver.url("/theirs"), tenant="seen", events=["own.*"], retry_delays_seconds=[0])
    event = api.publish("own.done", {"n": 1}, tenant="seen")
    until(lambda: api.get("/v1/deliveries", tenant="seen", state="dead")["data"], "it is dead")
    until(lambda: api.get("/v1/deliveries", link=LINK, state="delivered")["data"], "the link has acted")
    found = api.get("/v1/deliveries", link=LINK)["data"][0]["id"]
    since = "2020-01-01T00:00:00Z"
    replay = api.post("/v1/replays", {"link": LINK, "since": since, "which": "failed"})["id"]
    job = api.post("/v1/deliveries:retry", {"link": LINK, "since": since})["id"]
    return {"endpoint": endpoint, "event": event, "delivery": found, "replay": replay, "job": job}


@pytest.mark.slow
@pytest.mark.parametrize("may", ["read", "change"])
def test_no_operation_of_a_session_shows_the_operator_s_links(api: Api, made: dict[str, str], may: str) -> None:
    session = api.with_key(Customer(api, "seen", may=may).open().session)
    operations = session.get("/v1/openapi.json")["paths"]
    paths = [path for path, each in operations.items() if "get" in each and path.startswith("/v1/")]
    assert {"/v1/deliveries", "/v1/tallies:links", "/v1/replays", "/v1/events/{event}/trail"} <= set(paths)
    ids = {"event": made["event"], "name": "own.done"}
    for path in paths:
        if path in ("/v1/openapi.json", "/v1/events/stream"):
            continue
        names = {"/v1/deliveries/{id}": made["delivery"], "/v1/replays/{id}": made["replay"]}
        where = path.replace("{id}", names.get(path, made["endpoint"]))
        for name, value in ids.items():
            where = where.replace(f"{{{name}}}", value)
        reply = session.call("GET", where)
        hidden = path in names
        assert reply.status == (404 if hidden else 200) or path == "/v1/event-types/{name}", (path, reply.body)
        said = reply.body.decode()
        assert hidden or not any(each in said for each in (LINK, made["delivery"], made["replay"])), path
    assert session.call("GET", f"/v1/replays/{made['job']}").status == 404
    for query in ("/v1/deliveries", "/v1/tallies", "/v1/tallies:links", "/v1/deliveries:reasons", "/v1/replays"):
        assert session.call("GET", f"{query}?link={LINK}").status == 422, query
    page = session.get("/v1/deliveries", count="true")
    assert (len(page["data"]), page["count"]) == (1, 1)


@pytest.mark.slow
def test_no_operation_of_a_session_acts_on_what_the_operator_s_links_do(api: Api, made: dict[str, str]) -> None:
    session = api.with_key(Customer(api, "seen").open().session)
    for path in (
        f"/v1/deliveries/{made['delivery']}:retry",
        f"/v1/deliveries/{made['delivery']}:cancel",
        f"/v1/replays/{made['replay']}:cancel",
    ):
        assert session.call("POST", path).status == 404, path
    since = "2020-01-01T00:00:00Z"
    assert session.call("POST", "/v1/replays", {"link": LINK, "since": since}).status == 422
    assert session.call("POST", "/v1/deliveries:retry", {"link": LINK}).status == 422
    assert session.post("/v1/deliveries:retry", {"since": since, "dry_run": True})["count"] == 1
    delivered = {"state": "delivered", "since": since, "dry_run": True}
    assert session.post("/v1/deliveries:retry", delivered)["count"] == 0
    assert api.post("/v1/deliveries:retry", {"tenant": "seen", **delivered})["count"] == 1
    assert session.post("/v1/deliveries:cancel", {"since": since, "dry_run": True})["count"] == 0
    asked = {"name": "list_deliveries", "arguments": {}}
    answer = session.call("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked})
    assert made["endpoint"] in json.dumps(answer.json) and LINK not in json.dumps(answer.json)


def test_a_tenant_s_key_sees_the_operator_s_links_with_their_scope(api: Api, made: dict[str, str]) -> None:
    scopes = ["deliveries:read", "replays:read"]
    without = api.with_key(api.post("/v1/keys", {"name": "x", "tenant": "seen", "scopes": scopes})["key"])
    assert without.call("GET", f"/v1/deliveries/{made['delivery']}").status == 404
    scopes += ["links:read"]
    its = api.with_key(api.post("/v1/keys", {"name": "x", "tenant": "seen", "scopes": scopes})["key"])
    assert its.get(f"/v1/deliveries/{made['delivery']}")["link"] == LINK
    assert made["replay"] in [each["id"] for each in its.get("/v1/replays")["data"]]
