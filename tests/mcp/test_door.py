"""`/mcp`: the tools are what the key may do, no more, and a tool does what its operation does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tidings.testing import Api, TestServer

TASKS = {"fields": {"title": {"type": "string", "required": True, "filterable": True}, "price": {"type": "number"}}}


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with TestServer() as running:
        running.api.put("/v1/collections/tasks", TASKS)
        yield running


def said(api: Api, method: str, **params: Any) -> dict[str, Any]:
    reply = api.call("POST", "/mcp", {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = json.loads(reply.body)
    assert answer["jsonrpc"] == "2.0" and answer["id"] == 7
    return answer


def tools(api: Api) -> dict[str, dict[str, Any]]:
    return {tool["name"]: tool for tool in said(api, "tools/list")["result"]["tools"]}


def call(api: Api, name: str, **arguments: Any) -> tuple[bool, Any]:
    """Whether the call failed, and what it answered."""
    result = said(api, "tools/call", name=name, arguments=arguments)["result"]
    [content] = result["content"]
    return result["isError"], json.loads(content["text"]) if content["text"] != "Done." else None


def key(server: TestServer, **options: Any) -> Api:
    made = server.api.post("/v1/keys", {"name": "assistant", **options})
    return server.api.with_key(made["key"])


def test_an_assistant_is_welcomed_in_a_version_that_both_know(server: TestServer) -> None:
    old = said(server.api, "initialize", protocolVersion="2024-11-05", capabilities={}, clientInfo={"name": "x"})[
        "result"
    ]
    assert old["protocolVersion"] == "2024-11-05" and old["serverInfo"]["name"] == "tidings"
    assert said(server.api, "initialize", protocolVersion="1999-01-01")["result"]["protocolVersion"] > "2025"
    assert said(server.api, "ping")["result"] == {}


@pytest.mark.slow
def test_the_tools_are_what_the_key_may_do(server: TestServer) -> None:
    reader = key(server, scopes=["events:read"])
    names = set(tools(reader))
    assert {"list_events", "get_event"} <= names
    assert not {name for name in names if name.startswith(("create_", "delete_", "edit_", "publish_"))}
    writer = key(server, permits=[{"collection": "tasks", "verbs": ["create"]}])
    assert "tasks_create" in tools(writer) and "tasks_delete" not in tools(writer)
    refused = said(reader, "tools/call", name="publish_event", arguments={"body": {"type": "a", "data": {}}})
    assert refused["error"]["code"] == -32602 and "no tool 'publish_event'" in refused["error"]["message"]


@pytest.mark.slow
def test_each_tool_has_a_schema_that_is_whole(server: TestServer) -> None:
    for name, tool in tools(server.api).items():
        schema = tool["inputSchema"]
        jsonschema_rs.validator_for(schema)
        assert schema["type"] == "object" and "#/components" not in json.dumps(schema), name
        assert tool["description"] and tool["annotations"]["readOnlyHint"] in (True, False)
    assert tools(server.api)["delete_endpoint"]["annotations"]["destructiveHint"]
    assert not {"stream_events", "publish_events", "openapi", "mcp"} & tools(server.api).keys()


def test_a_tool_does_what_its_operation_does(server: TestServer) -> None:
    failed, task = call(server.api, "tasks_create", body={"title": "Feed the cat", "price": 1.10})
    assert not failed and task["title"] == "Feed the cat" and task["price"] == 1.1
    failed, page = call(server.api, "tasks_list", title="Feed the cat", limit=1)
    assert [each["id"] for each in page["data"]] == [task["id"]]
    failed, edited = call(server.api, "tasks_edit", id=task["id"], body={"title": "Done"}, **{"If-Match": '"1"'})
    assert not failed and edited["revision"] == 2
    failed, problem = call(server.api, "tasks_edit", id=task["id"], body={"title": "Again"}, **{"If-Match": '"1"'})
    assert failed and problem["status"] == 412
    assert call(server.api, "tasks_delete", id=task["id"]) == (False, None)
    failed, problem = call(server.api, "tasks_get", id=task["id"])
    assert failed and problem["code"] == "not_found"


def test_what_is_wrong_is_said_so_that_an_assistant_can_do_better(server: TestServer) -> None:
    failed, problem = call(server.api, "publish_event", body={"type": "a b"})
    assert failed and {each["pointer"] for each in problem["errors"]} >= {"/data"}
    failed, problem = call(server.api, "get_event", id="evt_1", limit=2)
    assert failed and [each["pointer"] for each in problem["errors"]] == ["/id", "/limit", "/event"]
    failed, problem = call(server.api, "list_endpoints", limit="many")
    assert failed and problem["status"] in (400, 422)
    failed, problem = call(server.api, "get_event", event={"a": 1})
    assert failed and "must be a string" in problem["errors"][0]["detail"]
    assert said(server.api, "resources/list")["error"]["code"] == -32601
    assert said(server.api, "tools/call", name=7)["error"]["code"] == -32602
    assert said(server.api, "tools/list", cursor="x")["error"]["code"] == -32602


@pytest.mark.parametrize("id", ["x:retry", "../keys", "a/b", "%2e%2e", "x:cancel", "", "\n"])
def test_an_id_cannot_make_a_tool_do_something_else(server: TestServer, id: str) -> None:
    failed, problem = call(server.api, "get_delivery", id=id)
    assert failed and problem["status"] in (400, 404, 405)


def test_a_tenants_assistant_sees_its_tenant_alone(server: TestServer) -> None:
    acme, other = key(server, tenant="acme", scopes=["*"]), key(server, tenant="other", scopes=["*"])
    _, event = call(acme, "publish_event", body={"type": "a.b", "data": {}})
    assert call(acme, "get_event", event=event["id"])[0] is False
    failed, problem = call(other, "get_event", event=event["id"])
    assert failed and problem["status"] == 404


def test_a_notification_is_taken_and_not_answered(server: TestServer) -> None:
    reply = server.api.call("POST", "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (reply.status, reply.body) == (202, b"")


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.mark.parametrize(
    ("status", "code", "body"),
    [
        (400, -32700, b"nope"),
        (400, -32700, b'{"jsonrpc": "2.0"'),
        (400, -32700, b""),
        (400, -32700, b"\xff"),
        (400, -32600, [PING]),
        (400, -32600, 7),
        (400, -32600, {"jsonrpc": "2.0", "id": [], "method": "ping"}),
        (400, -32600, {"jsonrpc": "1.0", "id": 1, "method": "ping"}),
        (400, -32600, {"id": 1, "method": "ping"}),
        (413, -32600, b" " * (2 << 20)),
    ],
)
def test_what_is_no_message_is_refused_with_an_error_of_json_rpc(
    server: TestServer, status: int, code: int, body: Any
) -> None:
    reply = server.api.call("POST", "/mcp", body, {"Content-Type": "application/json"})
    said = json.loads(reply.body)
    assert (reply.status, said["jsonrpc"], said["id"], said["error"]["code"]) == (status, "2.0", None, code)
    assert reply.headers["content-type"] == "application/json"
    assert said["error"]["message"] == said["error"]["data"]["detail"] and said["error"]["data"]["status"] == status


def test_no_key_no_other_media_no_stream_and_no_unknown_version(server: TestServer) -> None:
    for wrong, status, headers in (
        (server.api.with_key(""), 401, {}),
        (server.api, 415, {"Content-Type": "text/plain"}),
        (server.api, 400, {"MCP-Protocol-Version": "1999-01-01"}),
    ):
        reply = wrong.call("POST", "/mcp", PING, headers)
        said = json.loads(reply.body)
        assert (reply.status, said["error"]["code"]) == (status, -32600)
    assert b"Known: 20" in reply.body
    assert server.api.call("GET", "/mcp").status == 405


def test_a_large_message_is_taken_though_no_tools_were_listed_before(server: TestServer) -> None:
    fresh = key(server, scopes=["events:write"])
    failed, event = call(fresh, "publish_event", body={"type": "a.b", "data": {"text": "x" * 200_000}})
    assert not failed and event["id"].startswith("evt_")


def test_each_message_counts_as_a_call(server: TestServer) -> None:
    limited = key(server, scopes=["events:read"], limits=[{"calls": 2, "seconds": 60}])
    assert [call(limited, "list_events")[0] for _ in range(2)] == [False, False]
    assert limited.call("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}).status == 429


@pytest.mark.parametrize(
    ("tool", "wrong"),
    [("get_event", {"event": 12}), ("list_events", {"type": {"$gt": ""}}), ("list_keys", {"tenant": 7})],
)
def test_an_argument_of_another_type_is_refused(server: TestServer, tool: str, wrong: dict[str, Any]) -> None:
    failed, said = call(server.api, tool, **wrong)
    assert failed and said["errors"][0]["detail"] == f"{next(iter(wrong))} must be a string."
