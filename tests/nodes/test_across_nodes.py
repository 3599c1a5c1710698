"""What a caller begins at one of two joined nodes, and goes on with at the other."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.nodes.joined import Node, joined, split
from tests.postgres_server import PostgresServer
from tidings.testing import Api, until
from tidings.testing.api import OPERATOR_KEY

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

Two = tuple[Node, Node]


@pytest.fixture(scope="module")
def two(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """The sender, and the node that takes in."""
    with postgres_server.database() as url, joined(tmp_path_factory.mktemp("across"), url, 2) as made:
        sender, (taker,) = split(url, made)
        yield sender, taker


def remaining(headers: Any) -> int:
    """How many calls are left, as the response says."""
    return int(headers["ratelimit"].partition("r=")[2].partition(";")[0])


def test_a_tool_call_counts_once_though_it_is_passed_on(two: Two) -> None:
    made = two[1].api.post("/v1/keys", {"name": "few", "scopes": ["*"], "limits": [{"calls": 5, "seconds": 3_600}]})
    limited = two[1].api.with_key(made["key"])
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_links", "arguments": {}}}
    replies = [limited.call("POST", "/mcp", message) for _ in range(6)]
    assert [reply.status for reply in replies] == [200] * 5 + [429]
    assert [remaining(reply.headers) for reply in replies[:5]] == [4, 3, 2, 1, 0]


@contextmanager
def importing(node: Node, path: str) -> Iterator[http.client.HTTPConnection]:
    """A file of items on its way in."""
    with closing(http.client.HTTPConnection(node.url.removeprefix("http://"), timeout=10)) as connection:
        connection.putrequest("POST", path)
        for name, value in {
            "Authorization": f"Bearer {OPERATOR_KEY}",
            "Content-Type": "text/csv",
            "Transfer-Encoding": "chunked",
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(b"6\r\ntitle\n\r\n")
        yield connection


def imports(api: Api) -> list[int]:
    return [each["total"] for each in api.get("/v1/jobs")["data"] if each["what"] == "imports"]


def test_an_import_is_listed_at_every_node_while_it_runs(two: Two) -> None:
    sender, taker = two
    taker.api.put("/v1/collections/tasks", {"fields": {"title": {"type": "string"}}})
    with importing(taker, "/v1/items/tasks:import") as first, importing(sender, "/v1/items/tasks:import") as second:
        until(lambda: all(imports(each.api) == [2] for each in two), "both are listed at both")
        assert [job["total"] for job in taker.api.get("/v1/health")["jobs"]] == [2]
        for connection in (first, second):
            connection.send(b"0\r\n\r\n")
            assert connection.getresponse().status == 200
    until(lambda: all(imports(each.api) == [] for each in two), "none is listed")


def test_row_rules_apply_at_every_node_and_to_what_moves(two: Two) -> None:
    sender, taker = two
    fields = {"owner": {"type": "string", "filterable": True}, "title": {"type": "string"}}
    taker.api.put("/v1/collections/notes", {"fields": fields})
    mine = {"collection": "notes", "verbs": ["get", "list", "edit", "create"], "rows": {"owner": "ann"}}
    key = taker.api.post("/v1/keys", {"name": "ann", "scopes": [], "permits": [mine]})["key"]
    hers = taker.api.post("/v1/items/notes", {"owner": "ann", "title": "a"})["id"]
    his = sender.api.post("/v1/items/notes", {"owner": "bob", "title": "b"})["id"]
    for node in two:
        ann = node.api.with_key(key)
        assert [each["id"] for each in ann.get("/v1/items/notes")["data"]] == [hers]
        assert ann.call("GET", f"/v1/items/notes/{his}").status == 404
        assert ann.call("PATCH", f"/v1/items/notes/{his}", {"title": "x"}).status == 404
        assert ann.call("POST", "/v1/items/notes", {"owner": "bob", "title": "c"}).status == 403
    # It moves out of her sight at one node: the other one does not show it any more.
    assert sender.api.call("PATCH", f"/v1/items/notes/{hers}", {"owner": "bob"}).status == 200
    assert taker.api.with_key(key).call("GET", f"/v1/items/notes/{hers}").status == 404
    # What the key may do ends at both.
    found = next(each["id"] for each in sender.api.get("/v1/keys")["data"] if each["name"] == "ann")
    sender.api.delete(f"/v1/keys/{found}")
    until(lambda: taker.api.with_key(key).call("GET", "/v1/items/notes").status == 401, "it is revoked")


def lines_of(node: Node, path: str, after: str, wanted: int) -> list[tuple[str, str]]:
    """The next events of a stream, as a client that was cut off goes on: the cursor and the data of each."""
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}", "Last-Event-ID": after}
    with closing(http.client.HTTPConnection(node.url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        stream = connection.getresponse()
        assert stream.status == 200
        found: list[tuple[str, str]] = []
        cursor = ""
        while len(found) < wanted:
            line = stream.readline().decode()
            assert line
            if line.startswith("id:"):
                cursor = line[3:].strip()
            elif line.startswith("data:") and cursor:
                found.append((cursor, line[5:]))
        return found


def test_a_stream_goes_on_at_the_other_node_and_misses_and_doubles_nothing(two: Two) -> None:
    sender, taker = two
    path = "/v1/events/stream?type=across"
    sent = [each.api.publish("across", {"n": n}) for n, each in enumerate([sender, taker] * 10)]
    got: list[str] = []
    cursor = "start"
    for at, node in enumerate([taker, sender] * 3):
        found = lines_of(node, path, cursor, 3)
        got += [next(each for each in sent if each in data) for _, data in found]
        cursor = found[-1][0]
        sent.append(two[at % 2].api.publish("across", {"n": at}))
    assert got == sent[: len(got)]


def test_a_portal_session_is_one_at_all_nodes(two: Two) -> None:
    sender, taker = two
    taker.api.post("/v1/tenants", {"id": "acme", "name": "Acme"})
    link = taker.api.post("/v1/tenants/acme/portal-links", {})
    url, _, token = link["url"].partition("#")
    path = f"/portal{url.partition('/portal')[2]}"
    opened = taker.api.with_key(None).call("POST", f"{path}/@/session", {"token": token.rpartition("=")[2]})
    assert opened.status == 201
    session = {"Authorization": f"Bearer {opened.json['session']}", "HX-Request": "true"}
    for node in two:
        assert b"<main" in node.api.with_key(None).call("GET", path, headers=session).body
        again = node.api.with_key(None).call("POST", f"{path}/@/session", {"token": token.rpartition("=")[2]})
        assert again.status == 401
    form = {**session, "Content-Type": "application/x-www-form-urlencoded"}
    made = sender.api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": ["none"], "tenant": "acme"})
    paused = taker.api.with_key(None).call("POST", f"{path}/endpoints/{made['id']}/pause", b"", form)
    assert paused.status == 200
    assert sender.api.get(f"/v1/endpoints/{made['id']}")["state"] == "paused"
    # It ends at all of them.
    sender.api.post("/v1/tenants/acme/portal-links:revoke-all", None)
    anybody = [node.api.with_key(None) for node in two]
    until(
        lambda: all(each.call("GET", path, headers=session).status in (401, 404) for each in anybody),
        "the session has ended",
    )
