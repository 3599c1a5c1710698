"""Of joined nodes any one answers any call: every operation of the menu, asked of the one that takes in."""

from __future__ import annotations

import hmac
import http.client
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.nodes.joined import Node, joined, split
from tests.postgres_server import PostgresServer
from tidings.testing import Api, Receiver, until
from tidings.testing.api import OPERATOR_KEY
from tidings.web.operations import TABLE

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

Two = tuple[Node, Node]

LINK = {"when": {"event": ["shop.*"]}, "call": {"via": "other", "post": "/x", "json": {"id": "{{ data.id }}"}}}
TIMER = {"when": {"every": "1h"}, "call": {"via": "other", "get": "/x"}}
TASKS = {"fields": {"title": {"type": "string", "filterable": True}}, "questions": {"titled": ["title"]}}
TITLED = {"title": "one"}
SINCE = "2026-01-01T00:00:00Z"
HOOK = {"path": "shop", "scheme": "github", "secrets": ["secret"]}
SIGNED = hmac.digest(b"secret", b"{}", "sha256").hex()
FORM = {"path": "ask", "title": "Ask", "fields": {"name": {"type": "text", "label": "Name"}}}

STEPS: tuple[tuple[str, str, str, Any, int], ...] = (
    ("create_tenant", "POST", "/v1/tenants", {"id": "acme", "name": "Acme"}, 201),
    ("list_tenants", "GET", "/v1/tenants", None, 200),
    ("get_tenant", "GET", "/v1/tenants/acme", None, 200),
    ("edit_tenant", "PATCH", "/v1/tenants/acme", {"name": "ACME"}, 200),
    ("create_key", "POST", "/v1/keys", {"name": "reader", "scopes": ["events:read"]}, 201),
    ("list_keys", "GET", "/v1/keys", None, 200),
    ("get_key", "GET", "/v1/keys/{create_key}", None, 200),
    ("delete_key", "DELETE", "/v1/keys/{create_key}", None, 204),
    ("create_portal_link", "POST", "/v1/tenants/acme/portal-links", {}, 201),
    ("list_portal_links", "GET", "/v1/tenants/acme/portal-links", None, 200),
    ("get_portal_link", "GET", "/v1/portal-links/{create_portal_link}", None, 200),
    ("delete_portal_link", "DELETE", "/v1/portal-links/{create_portal_link}", None, 204),
    ("revoke_portal_links", "POST", "/v1/tenants/acme/portal-links:revoke-all", None, 200),
    ("create_event_type", "POST", "/v1/event-types", {"name": "shop.ordered"}, 201),
    ("list_event_types", "GET", "/v1/event-types", None, 200),
    ("get_event_type", "GET", "/v1/event-types/shop.ordered", None, 200),
    ("edit_event_type", "PATCH", "/v1/event-types/shop.ordered", {"description": "x"}, 200),
    ("put_event_type", "PUT", "/v1/event-types/shop.paid", {}, 201),
    ("delete_event_type", "DELETE", "/v1/event-types/shop.paid", None, 204),
    ("create_endpoint", "POST", "/v1/endpoints", {"url": "{receiver}", "events": ["shop.*"]}, 201),
    ("list_endpoints", "GET", "/v1/endpoints", None, 200),
    ("get_endpoint", "GET", "/v1/endpoints/{create_endpoint}?counts=true", None, 200),
    ("edit_endpoint", "PATCH", "/v1/endpoints/{create_endpoint}", {"description": "mine"}, 200),
    ("test_endpoint", "POST", "/v1/endpoints/{create_endpoint}:test", None, 202),
    ("try_endpoint", "POST", "/v1/endpoints:try", {"url": "{receiver}"}, 200),
    ("get_endpoint_secret", "GET", "/v1/endpoints/{create_endpoint}/secret", None, 200),
    ("rotate_endpoint_secret", "POST", "/v1/endpoints/{create_endpoint}/secret", None, 200),
    ("publish_event", "POST", "/v1/events", {"id": "e1", "type": "shop.ordered", "data": {"id": 1}}, 202),
    ("publish_batch", "POST", "/v1/events:batch", {"events": [{"type": "shop.ordered", "data": {"id": 2}}]}, 202),
    ("list_events", "GET", "/v1/events", None, 200),
    ("get_event", "GET", "/v1/events/e1", None, 200),
    ("get_event_trail", "GET", "/v1/events/e1/trail", None, 200),
    ("make_stream_ticket", "POST", "/v1/events/stream:ticket", None, 200),
    ("list_deliveries", "GET", "/v1/deliveries?event=e1", None, 200),
    ("get_delivery", "GET", "/v1/deliveries/{list_deliveries}", None, 200),
    ("retry_delivery", "POST", "/v1/deliveries/{list_deliveries}:retry", None, 202),
    ("list_failure_reasons", "GET", "/v1/deliveries:reasons", None, 200),
    ("pause_endpoint", "POST", "/v1/endpoints/{create_endpoint}:pause", None, 200),
    ("publish_event", "POST", "/v1/events", {"id": "e2", "type": "shop.ordered", "data": {"id": 3}}, 202),
    ("list_deliveries", "GET", "/v1/deliveries?event=e2", None, 200),
    ("cancel_delivery", "POST", "/v1/deliveries/{list_deliveries}:cancel", None, 200),
    ("resume_endpoint", "POST", "/v1/endpoints/{create_endpoint}:resume", {"missed": "send"}, 200),
    ("retry_deliveries", "POST", "/v1/deliveries:retry", {"endpoint_id": "{create_endpoint}", "dry_run": True}, 200),
    ("cancel_deliveries", "POST", "/v1/deliveries:cancel", {"endpoint_id": "{create_endpoint}", "dry_run": True}, 200),
    (
        *("create_replay", "POST", "/v1/replays"),
        {"endpoint_id": "{create_endpoint}", "since": SINCE, "which": "all"},
        201,
    ),
    ("list_replays", "GET", "/v1/replays", None, 200),
    ("get_replay", "GET", "/v1/replays/{create_replay}", None, 200),
    ("cancel_replay", "POST", "/v1/replays/{create_replay}:cancel", None, 409),
    ("get_tallies", "GET", "/v1/tallies", None, 200),
    ("list_link_tallies", "GET", "/v1/tallies:links", None, 200),
    ("put_connection", "PUT", "/v1/connections/other", {"base": "{receiver}"}, 201),
    ("list_connections", "GET", "/v1/connections", None, 200),
    ("get_connection", "GET", "/v1/connections/other", None, 200),
    ("test_connection", "POST", "/v1/connections/other:test", {"path": "/x"}, 200),
    ("put_link", "PUT", "/v1/links/tell", LINK, 201),
    ("list_links", "GET", "/v1/links", None, 200),
    ("get_link", "GET", "/v1/links/tell?counts=true", None, 200),
    ("pause_link", "POST", "/v1/links/tell:pause", None, 200),
    ("resume_link", "POST", "/v1/links/tell:resume", None, 200),
    ("test_link", "POST", "/v1/links/tell:test", {"event_id": "e1"}, 200),
    ("get_kept", "GET", "/v1/links/tell/kept?subject=x", None, 404),
    ("get_link_secret", "GET", "/v1/links/tell/secret", None, 404),
    ("plan_links", "POST", "/v1/links:plan", {"links": {"hourly": TIMER}}, 200),
    ("apply_links", "POST", "/v1/links:apply", {"links": {"hourly": TIMER}}, 200),
    ("run_link", "POST", "/v1/links/hourly:run", None, 202),
    ("reset_link", "POST", "/v1/links/hourly:reset", None, 409),
    ("delete_link", "DELETE", "/v1/links/hourly", None, 204),
    ("delete_link", "DELETE", "/v1/links/tell", None, 204),
    ("delete_connection", "DELETE", "/v1/connections/other", None, 204),
    ("create_collection", "POST", "/v1/collections", {"name": "tasks", **TASKS}, 201),
    ("list_collections", "GET", "/v1/collections", None, 200),
    ("get_collection", "GET", "/v1/collections/tasks", None, 200),
    ("edit_collection", "PATCH", "/v1/collections/tasks", {"description": "x"}, 200),
    ("put_collection", "PUT", "/v1/collections/tasks", TASKS, 200),
    ("plan_collections", "POST", "/v1/collections:plan", {"collections": {"tasks": TASKS}}, 200),
    ("apply_collections", "POST", "/v1/collections:apply", {"collections": {"tasks": TASKS, "more": TASKS}}, 200),
    ("create_item", "POST", "/v1/items/tasks", TITLED, 201),
    ("list_items", "GET", "/v1/items/tasks?title=one", None, 200),
    ("get_item", "GET", "/v1/items/tasks/{create_item}", None, 200),
    ("edit_item", "PATCH", "/v1/items/tasks/{create_item}", {"title": "two"}, 200),
    ("put_item", "PUT", "/v1/items/tasks/t2", TITLED, 201),
    ("batch_items", "POST", "/v1/items/tasks:batch", {"operations": [{"op": "create", "data": TITLED}]}, 200),
    ("import_items", "POST", "/v1/items/tasks:import", b"title\nfive\nsix\n", 200),
    ("export_items", "GET", "/v1/items/tasks:export", None, 200),
    ("ask_items", "GET", "/v1/items/tasks:titled?title=one", None, 200),
    ("delete_item", "DELETE", "/v1/items/tasks/{create_item}", None, 204),
    ("delete_collection", "DELETE", "/v1/collections/more", None, 204),
    ("create_hook", "POST", "/v1/hooks", HOOK, 201),
    ("list_hooks", "GET", "/v1/hooks", None, 200),
    ("get_hook", "GET", "/v1/hooks/{create_hook}", None, 200),
    ("edit_hook", "PATCH", "/v1/hooks/{create_hook}", {"description": "x"}, 200),
    ("hook", "POST", "/in/shop", b"{}", 401),
    ("signed", "POST", "/in/shop", b"{}", 200),
    ("list_receipts", "GET", "/v1/receipts", None, 200),
    ("get_receipt", "GET", "/v1/receipts/{list_receipts}", None, 200),
    ("get_receipt_body", "GET", "/v1/receipts/{list_receipts}/body", None, 200),
    ("list_refusals", "GET", "/v1/refusals", None, 200),
    ("retry_refusal", "POST", "/v1/refusals/{list_refusals}:retry", None, 409),
    ("plan_hooks", "POST", "/v1/hooks:plan", {"hooks": {}}, 200),
    ("apply_hooks", "POST", "/v1/hooks:apply", {"hooks": {}}, 200),
    ("delete_hook", "DELETE", "/v1/hooks/{create_hook}", None, 204),
    ("list_schemes", "GET", "/v1/schemes", None, 200),
    ("get_scheme", "GET", "/v1/schemes/stripe", None, 200),
    ("create_form", "POST", "/v1/forms", FORM, 201),
    ("list_forms", "GET", "/v1/forms", None, 200),
    ("get_form", "GET", "/v1/forms/{create_form}", None, 200),
    ("edit_form", "PATCH", "/v1/forms/{create_form}", {"description": "x"}, 200),
    ("put_form", "PUT", "/v1/forms/{create_form}", FORM, 200),
    ("form", "GET", "/f/ask", None, 200),
    ("plan_forms", "POST", "/v1/forms:plan", {"forms": {}}, 200),
    ("apply_forms", "POST", "/v1/forms:apply", {"forms": {}}, 200),
    ("delete_form", "DELETE", "/v1/forms/{create_form}", None, 204),
    ("healthz", "GET", "/healthz", None, 200),
    ("readyz", "GET", "/readyz", None, 200),
    ("metrics", "GET", "/metrics", None, 200),
    ("get_health", "GET", "/v1/health", None, 200),
    ("list_jobs", "GET", "/v1/jobs", None, 200),
    ("list_shares", "GET", "/v1/shares", None, 200),
    ("get_server", "GET", "/v1/server", None, 200),
    ("list_acts", "GET", "/v1/acts", None, 200),
    ("show_caller", "GET", "/v1/caller", None, 200),
    ("openapi", "GET", "/v1/openapi.json", None, 200),
    ("delete_endpoint", "DELETE", "/v1/endpoints/{create_endpoint}", None, 204),
    ("delete_tenant", "DELETE", "/v1/tenants/acme", None, 204),
)
"""The operation, its call, and its status. `{create_endpoint}` is the id that that one has answered last."""
APART = ("stream_events",)
"""What has its own test."""


@pytest.fixture(scope="module")
def two(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """The sender, and the node that takes in."""
    with postgres_server.database(migrated=True) as url, joined(tmp_path_factory.mktemp("any"), url, 2) as made:
        sender, (taker,) = split(url, made)
        yield sender, taker


def filled(value: Any, ids: dict[str, str]) -> Any:
    """With the ids that were answered before."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: filled(each, ids) for name, each in value.items() if "{{" not in str(each)} or value
    return value


AWAITED = {
    # The sender routes what others have taken in.
    "list_deliveries": "/v1/deliveries?event={event}",
    "retry_delivery": "/v1/deliveries?event=e1&state=delivered",
    # It runs once when it is declared.
    "run_link": "/v1/deliveries?link=hourly&state=delivered",
    "cancel_replay": "/v1/replays?state=done",
    "list_refusals": "/v1/refusals",
}
"""What must have something in its list before an operation is called: it happens a moment after the call before."""
HEADERS = {
    "import_items": {"Content-Type": "text/csv"},
    "signed": {"X-Hub-Signature-256": f"sha256={SIGNED}", "X-GitHub-Event": "ping", "X-GitHub-Delivery": "1"},
}


def is_ready(api: Api, name: str, event: str) -> bool:
    """Whether what the operation is about is there."""
    at = AWAITED.get(name)
    return at is None or bool(api.call("GET", at.replace("{event}", event)).json["data"])


def test_every_operation_works_at_a_node_that_takes_in(two: Two) -> None:
    _, taker = two
    wrong = []
    with Receiver() as receiver:
        ids = {"receiver": receiver.url()}
        for name, method, path, body, status in STEPS:
            until(partial(is_ready, taker.api, name, path.rpartition("=")[2]), f"{name} can be called")
            given = body if "{{" in str(body) else filled(body, ids)
            reply = taker.api.call(method, filled(path, ids), given, HEADERS.get(name))
            if reply.status != status:
                wrong.append((name, reply.status, status, reply.body[:300]))
            shown = reply.json if reply.headers.get("content-type") == "application/json" else None
            listed = shown.get("data") if isinstance(shown, dict) and name.startswith("list_") else None
            first = listed[0] if isinstance(listed, list) and listed else shown
            if isinstance(first, dict) and "id" in first:
                ids[name] = first["id"]
    assert not wrong, "\n".join(map(str, wrong))
    known = {operation.name for operation in TABLE if not operation.internal}
    assert {step[0] for step in STEPS} - {"hook", "signed", "form"} == known - set(APART)


def test_the_two_nodes_say_the_same(two: Two) -> None:
    """What is read at one node is read at the other, whoever wrote it."""
    sender, taker = two
    made = taker.api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": ["fails"]}).json
    taker.api.publish("fails", id="same")

    def tried() -> list[dict[str, Any]]:
        found = sender.api.call("GET", "/v1/deliveries?event=same").json["data"]
        return [each for each in found if each["attempts"] == 1]

    until(lambda: bool(tried()), "it was tried")
    delivery = tried()[0]["id"]
    for path in (
        "/v1/endpoints",
        f"/v1/endpoints/{made['id']}?counts=true",
        "/v1/deliveries",
        f"/v1/deliveries/{delivery}",
        "/v1/events/same",
        "/v1/collections",
        "/v1/links",
        "/v1/tenants",
        "/v1/event-types",
    ):
        assert taker.api.call("GET", path).json == sender.api.call("GET", path).json, path
    assert taker.api.call("DELETE", f"/v1/endpoints/{made['id']}").status == 204


def test_metrics_say_which_node_sends(two: Two) -> None:
    sends = [re.findall(r"^tidings_sends (\S+)$", each.api.call("GET", "/metrics").body.decode(), re.M) for each in two]
    assert sends == [["1.0"], ["0.0"]]
    lanes = ["tidings_endpoints_failing" in each.api.call("GET", "/metrics").body.decode() for each in two]
    assert lanes == [True, False]


def test_a_stream_is_open_where_it_is_asked_for(two: Two) -> None:
    sender, taker = two
    host = taker.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", "/v1/events/stream", headers={"Authorization": f"Bearer {OPERATOR_KEY}"})
    stream = connection.getresponse()
    assert stream.status == 200
    sent = sender.api.publish("streamed")
    line = b""
    while sent.encode() not in line:
        line = stream.readline()
        assert line
    connection.close()


def test_tools_of_assistants_are_called_at_any_node(two: Two) -> None:
    _, taker = two

    def call(name: str, /, **arguments: Any) -> Any:
        params = {"name": name, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return taker.api.call("POST", "/mcp", message).json["result"]

    assert call("publish_event", body={"type": "by.tool", "data": {}})["isError"] is False
    assert call("list_links")["isError"] is False
    assert call("put_connection", name="tool", body={"base": "http://127.0.0.1:9"})["isError"] is False
    assert taker.api.call("GET", "/v1/connections/tool").status == 200


def test_svix_sdks_find_the_same_at_any_node(two: Two) -> None:
    _, taker = two
    app = taker.api.call("POST", "/svix/api/v1/app", {"name": "Svix", "uid": "svix"})
    assert app.status == 201, app.body
    made = taker.api.call("POST", "/svix/api/v1/app/svix/endpoint", {"url": "http://127.0.0.1:9/"})
    assert made.status == 201, made.body
    path = f"/svix/api/v1/app/svix/endpoint/{made.json['id']}"
    assert taker.api.call("PATCH", path, {"description": "edited"}).json["description"] == "edited"
    assert taker.api.call("GET", path).json["description"] == "edited"
    assert taker.api.call("POST", "/svix/api/v1/app/svix/msg", {"eventType": "x", "payload": {}}).status == 202
    assert taker.api.call("DELETE", path).status == 204
    assert taker.api.call("GET", path).status == 404
    assert taker.api.call("DELETE", "/svix/api/v1/app/svix").status == 204
