"""Imports over HTTP: the rules of single creation for each line, all lines or none, and one event for each item."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.items.collections import COLLECTIONS, declare
from tests.web.wire import dial
from tidings.intake.items.import_store import ImportStore
from tidings.model.collection import Collection, Field
from tidings.route import route
from tidings.store import journal
from tidings.testing import Api, TestServer
from tidings.testing.api import ApiReply
from tidings.testing.waiting import until
from tidings.web.wire.bodies import reading

NODES = Collection(
    name="nodes",
    fields=(
        Field(name="name", type="string", unique=True, required=True),
        Field(name="parent", type="reference", to="nodes"),
        Field(name="kind", type="string", filterable=True),
    ),
)
PATH = "/v1/items/nodes"


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, NODES)


def send(
    api: Api,
    text: str | bytes,
    media: str = "text/csv",
    path: str = f"{PATH}:import",
    more: Mapping[str, str] | None = None,
    **query: Any,
) -> ApiReply:
    """Import a text."""
    raw = text if isinstance(text, bytes) else text.encode()
    return api.call("POST", path, raw, {"Content-Type": media, **(more or {})}, **query)


def lines(*items: Any) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def names(api: Api) -> list[str]:
    return [item["name"] for item in api.pages(PATH, sort="created")]


def counts(reply: ApiReply) -> dict[str, int]:
    """What is not zero."""
    assert reply.status == 200, reply.body
    return {name: value for name, value in reply.json.items() if value and name != "errors"}


def places(reply: ApiReply) -> list[tuple[int, str, str]]:
    return [(each["line"], each.get("pointer", ""), each["code"]) for each in reply.json["errors"]]


def test_items_are_as_if_created_one_by_one_with_one_event_each(own: Api, server: TestServer) -> None:
    text = (
        "id,title,done,due,at,price,pieces,priority,place,lines\r\n"
        'a,"Water, then wait",true,2026-11-21,2026-11-21T01:02:03.5+01:00,1,3,high,"{""lat"": 1.5}","[1, ""x""]"\r\n'
        ",Second,false,,,,,low,,\r\n"
    )
    path = "/v1/items/tasks"
    assert counts(send(own, text, path=f"{path}:import")) == {"read": 2, "created": 2}
    data = {"title": "Water, then wait", "done": True, "due": "2026-11-21", "at": "2026-11-21T01:02:03.5+01:00"}
    data |= {"price": 1, "pieces": 3, "priority": "high", "place": {"lat": 1.5}, "lines": [1, "x"]}
    single = own.call("PUT", f"{path}/b", data).json
    first, second = own.pages(path, sort="created")[:2]
    unlike = ("id", "created", "updated")
    assert {k: v for k, v in first.items() if k not in unlike} == {k: v for k, v in single.items() if k not in unlike}
    assert first["id"] == "a" and second["id"].startswith("itm_") and second["priority"] == "low"
    told = own.get("/v1/events", collection="tasks", sort="created")["data"][:2]
    assert [event["type"] for event in told] == ["tasks.completed", "tasks.created"]
    assert [event["data"] for event in told] == [first, second] and told[0]["subject"] == "a"
    assert told[0]["actor"].startswith("key_") and told[0]["request_id"].startswith("req_")
    assert {item["id"] for item in own.pages(path, q="wait")} == {"a", "b"}


def test_absent_columns_get_defaults_and_empty_cells_are_null(own: Api) -> None:
    path = "/v1/items/tasks"
    send(own, "title\nx\n", path=f"{path}:import")
    send(own, "title,priority\ny,\n", path=f"{path}:import")
    assert [(item["done"], item["priority"]) for item in own.pages(path, sort="created")] == [
        (False, "low"),
        (False, None),
    ]


@pytest.mark.slow
def test_one_bad_line_keeps_all_others_out_and_is_named(own: Api) -> None:
    path = "/v1/items/tasks"
    text = "".join(f"Task {n},{n}\n" for n in range(1900)).replace("Task 1700,1700", "Task 1700,many")
    refused = send(own, "title,pieces\n" + text, path=f"{path}:import")
    assert refused.status == 422 and refused.json["code"] == "import_refused"
    assert refused.json["detail"] == "1 of 1,900 lines is refused, so nothing was stored."
    assert places(refused) == [(1702, "/pieces", "wrong_type")]
    assert own.get(path)["data"] == [] and own.get("/v1/events", collection="tasks")["data"] == []


def test_the_first_fifty_bad_lines_are_reported_and_all_are_counted(own: Api) -> None:
    refused = send(own, lines(*({"nam": n} for n in range(70))), "application/x-ndjson")
    assert refused.json["detail"].startswith("70 of 70 lines are refused")
    assert [line for line, _, code in places(refused) if code == "unknown_field"] == list(range(1, 51))
    assert {code for _, _, code in places(refused)} == {"unknown_field", "missing"}


def test_unique_values_ids_and_references_are_checked_line_by_line(own: Api) -> None:
    send(own, "id,name\nold,Old\n")
    text = "id,name,parent\na,A,\nb,A,\nc,Old,\na,C,\nold,D,\nd,E,nowhere\ne,F,a\nf,F,e\n"
    refused = send(own, text)
    assert sorted(places(refused)) == [
        (3, "/name", "unique_taken"),
        (4, "/name", "unique_taken"),
        (5, "/id", "id_taken"),
        (6, "/id", "id_taken"),
        (7, "/parent", "no_such_item"),
        (9, "/name", "unique_taken"),
    ]
    assert names(own) == ["Old"]
    assert counts(send(own, text, partial="true")) == {"read": 8, "created": 2, "refused": 6}
    assert names(own) == ["Old", "A", "F"]


def test_lines_may_refer_to_later_ones_where_all_are_stored(own: Api) -> None:
    text = "id,name,parent\nleaf,Leaf,root\nroot,Root,root\n"
    in_parts = send(own, text, partial="true")
    assert counts(in_parts) == {"read": 2, "created": 1, "refused": 1}
    assert places(in_parts) == [(2, "/parent", "no_such_item")]
    own.delete(f"{PATH}/root")
    assert counts(send(own, text)) == {"read": 2, "created": 2}


@pytest.mark.parametrize("partial", ["false", "true"])
def test_existing_items_are_refused_skipped_or_replaced(own: Api, partial: str) -> None:
    send(own, "id,name,kind\na,A,old\nb,B,old\n")
    text = "id,name,kind\na,A2,new\nb,B,old\nc,C,new\nc,C2,new\n"
    refused = send(own, text, partial=partial)
    if partial == "true":
        assert counts(refused) == {"read": 4, "created": 1, "refused": 3}
        own.delete(f"{PATH}/c")
    else:
        assert [line for line, _, _ in places(refused)] == [2, 3, 5]
    assert counts(send(own, text, partial=partial, on_conflict="skip")) == {"read": 4, "created": 1, "skipped": 3}
    own.delete(f"{PATH}/c")
    replaced = send(own, text, partial=partial, on_conflict="replace")
    assert counts(replaced) == {"read": 4, "created": 1, "replaced": 2, "unchanged": 1}
    assert sorted(names(own)) == ["A2", "B", "C2"] and own.get(f"{PATH}/a")["revision"] == 2
    told = own.get("/v1/events", subject="a", sort="created")["data"]
    assert [(each["type"], each.get("changed")) for each in told] == [
        ("nodes.created", None),
        ("nodes.updated", ["name", "kind"]),
    ]
    assert told[1]["previous"]["name"] == "A"


@pytest.mark.slow
@pytest.mark.parametrize("partial", ["false", "true"])
def test_the_same_import_again_changes_nothing(own: Api, partial: str) -> None:
    text = "name\n" + "".join(f"n{n}\n" for n in range(1_500))
    key = {"Idempotency-Key": "import-1"}
    first = send(own, text, more=key, partial=partial)
    again = send(own, text, more=key, partial=partial)
    assert counts(first) == {"read": 1_500, "created": 1_500} and again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    other = send(own, text + "x\n", more=key, partial=partial)
    assert other.status == 422 and other.json["code"] == "idempotency_key_reused"
    assert own.get(PATH, count="true", limit=1)["count"] == 1_500


@pytest.mark.slow
def test_an_interrupted_import_in_parts_continues_where_it_was(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name\n" + "".join(f"n{n}\n" for n in range(600))
    store: Callable[..., None] = ImportStore.store
    calls = []

    def breaks(self: ImportStore, chunk: Any) -> None:
        calls.append(len(chunk))
        if len(calls) == 2:
            raise OSError("the power went")
        store(self, chunk)

    monkeypatch.setattr(ImportStore, "store", breaks)
    key = {"Idempotency-Key": "import-2"}
    assert send(own, text, more=key, partial="true").status == 500
    assert own.get(PATH, count="true", limit=1)["count"] == 250
    assert counts(send(own, text, more=key, partial="true")) == {"read": 600, "created": 600}
    assert calls == [250, 250, 250, 100] and len(names(own)) == 600


@pytest.mark.slow
def test_a_permit_holds_for_each_line(api: Api) -> None:
    rows = {"tenant": "$tenant", "kind": "mine"}
    permit = {"collection": "nodes", "verbs": ["create", "list"], "write": ["name", "kind"], "read": ["name", "kind"]}
    made = {"name": "p", "scopes": [], "tenant": "permit", "permits": [{**permit, "rows": rows}]}
    key = api.with_key(api.post("/v1/keys", made)["key"])
    assert counts(send(key, "name\nfilled\n")) == {"read": 1, "created": 1}
    assert api.pages(PATH, tenant="permit")[0]["kind"] == "mine"
    wrong = send(key, "name,kind\nother,yours\n")
    assert places(wrong) == [(2, "", "row_not_permitted")]
    assert places(send(key, "name,parent\na,b\n")) == [(1, "", "unknown_field")]
    ndjson = send(key, lines({"name": "a", "parent": "x"}, {"name": "b", "tenant": "x"}), "application/x-ndjson")
    assert places(ndjson) == [(1, "/parent", "unknown_field"), (2, "/tenant", "unknown_field")]
    replace = send(key, "name\na\n", on_conflict="replace")
    assert replace.status == 422 and "refuse, skip" in replace.json["errors"][0]["detail"]
    reader = {"name": "r", "scopes": [], "tenant": "permit", "permits": [{"collection": "nodes", "verbs": ["get"]}]}
    other = api.with_key(api.post("/v1/keys", reader)["key"])
    assert send(other, "name\na\n").json["code"] == "verb_not_permitted"
    assert other.call("GET", f"{PATH}:export").json["code"] == "verb_not_permitted"
    paths = key.get("/v1/openapi.json")["paths"]
    assert {f"{PATH}:import", f"{PATH}:export"} <= paths.keys()
    assert not {f"{PATH}:import", f"{PATH}:export"} & other.get("/v1/openapi.json")["paths"].keys()


def test_keys_without_a_tenant_may_name_one_on_each_line(api: Api) -> None:
    text = lines({"name": "x", "tenant": "one"}, {"name": "x", "tenant": "two"}, {"name": "x"})
    assert counts(send(api, text, "application/x-ndjson", tenant="three")) == {"read": 3, "created": 3}
    assert [api.pages(PATH, tenant=tenant)[0]["name"] for tenant in ("one", "two", "three")] == ["x", "x", "x"]
    bad = send(api, lines({"name": "y", "tenant": "no good"}), "application/x-ndjson")
    assert places(bad) == [(1, "/tenant", "tenant")]


def test_other_media_are_refused_and_so_are_empty_files(own: Api) -> None:
    assert send(own, "{}", "application/json").status == 415
    assert send(own, "name\n", "text/csv; charset=latin-1").status == 415
    packed = send(own, gzip.compress(b"name\na\n"), more={"Content-Encoding": "gzip"})
    assert packed.status == 415 and "Content-Encoding is 'gzip'" in packed.json["detail"]
    assert send(own, "name\n", more={"Content-Encoding": "identity"}).status == 200
    assert counts(send(own, "name\n", "text/csv; charset=utf-8; header=present")) == {}
    assert counts(send(own, b"", "application/x-ndjson")) == {}
    assert places(send(own, b"")) == [(1, "", "missing")]


def test_a_file_that_breaks_off_stores_nothing(own: Api, server: TestServer) -> None:
    parts = urlsplit(server.url)
    for framing in (b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1000\r\n"):
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as sock:
            head = f"POST {PATH}:import?partial=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.key}\r\n"
            sock.sendall(head.encode() + b"Content-Type: text/csv\r\n" + framing + b"name\n" + b"a\nb\n" * 100)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(10_000)
    assert own.get(PATH)["data"] == []


@pytest.mark.slow
def test_a_sender_that_stalls_is_cut_off_and_a_slow_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = reading.BodyReader.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "seconds", 1.5)
    with TestServer(tmp_path / "stalls") as server, dial(server.url) as sock:
        for collection in COLLECTIONS:
            declare(server, collection)
        head = f"POST /v1/items/tasks:import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api.key}\r\n"
        sock.sendall(head.encode() + b"Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\ntitle\n")
        for each in range(4):
            # Longer in all than a whole body may take, but never silent for as long.
            time.sleep(0.5)
            sock.sendall(f"slow{each}\n".encode())
        begun = time.monotonic()
        assert b" 408 " in sock.recv(10_000)
        assert time.monotonic() - begun > 1.4
        assert server.api.get("/v1/items/tasks")["data"] == []


@pytest.mark.slow
def test_a_file_that_drips_is_cut_off_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of a byte every half second stayed open for as long as its sender liked."""
    monkeypatch.setattr(reading, "LEAST_SECONDS", 0.4)
    with TestServer(tmp_path / "drip") as server, dial(server.url) as sock:
        for collection in COLLECTIONS:
            declare(server, collection)
        head = f"POST /v1/items/tasks:import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api.key}\r\n"
        sock.sendall(head.encode() + b"Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\ntitle\n")
        sock.settimeout(0.05)
        answer = b""
        deadline = time.monotonic() + 5
        while not answer and time.monotonic() < deadline:
            sock.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = sock.recv(10_000)
        assert b" 408 " in answer and b"bytes per second" in answer


@pytest.mark.slow
def test_the_size_is_limited_by_a_setting_of_its_own(tmp_path: Path) -> None:
    with TestServer(tmp_path / "small", max_import_bytes=2_000, max_body_bytes=1_024) as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        path = "/v1/items/tasks:import"
        assert counts(send(server.api, "title\n" + "x\n" * 900, path=path)) == {"read": 900, "created": 900}
        assert send(server.api, "title\n" + "x\n" * 1_000, path=path).status == 413
        # Without a length it is counted while it comes.
        parts = urlsplit(server.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        headers = {"Content-Type": "text/csv", "Authorization": f"Bearer {server.api.key}"}
        connection.request("POST", path, iter([b"title\n", *[b"x\n" * 100] * 20]), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()


@pytest.mark.slow
def test_a_file_that_is_stored_whole_is_smaller(tmp_path: Path) -> None:
    """Since whatever else is to be written waits for it."""
    with TestServer(tmp_path / "small", max_whole_import_bytes=2_000) as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        path, long = "/v1/items/tasks:import", "title\n" + "x\n" * 1_000
        assert counts(send(server.api, "title\n" + "x\n" * 900, path=path)) == {"read": 900, "created": 900}
        refused = send(server.api, long, path=path)
        assert refused.status == 413 and "Import it with partial=true" in refused.json["detail"]
        assert counts(send(server.api, long, path=path, partial="true")) == {"read": 1_000, "created": 1_000}
        pieces = iter([b"title\n", *[b"x\n" * 100] * 20])
        connection = http.client.HTTPConnection("127.0.0.1", server.server.port if server.server else 0)
        headers = {"Content-Type": "text/csv", "Authorization": f"Bearer {server.api.key}"}
        connection.request("POST", path, pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert server.api.get("/v1/items/tasks", count="true", limit=1)["count"] == 1_900


@pytest.mark.slow
def test_few_lines_are_imported_whole_by_whatever_key(tmp_path: Path) -> None:
    """Whatever their bytes, since everybody's writes wait for them; the operator's key had no limit."""
    with TestServer(tmp_path / "lines", max_whole_import_lines=500) as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        made = server.api.post("/v1/keys", {"name": "k", "scopes": ["items:read", "items:write"], "tenant": "t"})
        own, path = server.api.with_key(made["key"]), "/v1/items/tasks:import"
        fits, more = "title\n" + "x\n" * 500, "title\n" + "x\n" * 501
        assert counts(send(own, fits, path=path)) == {"read": 500, "created": 500}
        for text, media in ((more, "text/csv"), ('\n{"title":"x"}' * 501, "application/x-ndjson")):
            refused = send(own, text, media, path)
            assert refused.status == 413 and places(refused) == [(502, "", "too_many_lines")]
            assert "at most 500 lines" in refused.json["detail"] and "--partial" in refused.json["detail"]
        assert counts(send(own, more, path=path, partial="true")) == {"read": 501, "created": 501}
        assert send(server.api, more, path=path, tenant="t").status == 413
        for verb in ("replace", "merge"):
            refused = send(own, "title\n" + "x\n" * 251, path=path, on_conflict=verb)
            assert refused.status == 413 and "at most 250 lines" in refused.json["detail"]
        # It is refused where that line is read, though the file never ends.
        with socket.create_connection(("127.0.0.1", server.server.port if server.server else 0), 20) as sock:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.key}\r\nContent-Type: text/csv\r\n"
            sock.sendall(head.encode() + b"Content-Length: 60000000\r\n\r\ntitle\n")
            with contextlib.suppress(OSError):
                for _ in range(500):
                    sock.sendall(b"x\n" * 50_000)
            assert sock.recv(1_000).startswith(b"HTTP/1.1 413")
        assert own.get("/v1/items/tasks", count="true", limit=1)["count"] == 1_001


@pytest.mark.slow
def test_endpoints_registered_later_get_no_events_of_an_import(
    own: Api, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they are more than the route stage takes in one step, so that they are routed after that."""
    assert server.server is not None
    writer = server.server.writer
    monkeypatch.setattr(route, "EVENTS_PER_STEP", 20)
    text = "name\n" + "".join(f"r{n}\n" for n in range(2_000))
    assert counts(send(own, text)) == {"read": 2_000, "created": 2_000}
    late = server.api.register("http://127.0.0.1:9/late", tenant="*")[0]
    until(
        lambda: writer.wait(lambda db: db.all("events_to_route", journal=0, until=journal.end(0), count=1)) == [],
        "all is routed",
    )
    assert server.api.get("/v1/deliveries", endpoint=late)["data"] == []
    server.api.delete(f"/v1/endpoints/{late}")
