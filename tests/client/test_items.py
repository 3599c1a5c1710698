"""Items through both clients, against a real server: every call once, and files of any size both ways."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Face, MakeFace, Script
from tests.items.collections import COLLECTIONS, declare
from tidings.client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    IdTaken,
    ImportRefused,
    Invalid,
    LimitReached,
    NotFound,
    Referenced,
    Stale,
    UniqueTaken,
    item_calls,
)
from tidings.testing import TestServer

Do = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server, with collections."""
    with TestServer(tmp_path_factory.mktemp("server") / "data", max_import_bytes=50_000_000) as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        yield server


@pytest.fixture
def face_of(face: MakeFace, server: TestServer) -> Face:
    """The client, as the operator."""
    return face(server.url, server.api.key)


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    """A tenant of this test's own."""
    return f"t{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture
def tasks(face_of: Face, tenant: str) -> Do:
    """Calls a method of that tenant's tasks."""
    items = face_of.client.items("tasks", tenant)
    return lambda name, *args, **more: face_of.done(getattr(items, name), *args, **more)


@pytest.fixture
def people(face_of: Face, tenant: str) -> Do:
    """Calls a method of that tenant's people."""
    items = face_of.client.items("people", tenant)
    return lambda name, *args, **more: face_of.done(getattr(items, name), *args, **more)


@pytest.mark.slow
def test_one_item_from_its_creation_to_its_end(tasks: Do, people: Do) -> None:
    people("create", {"email": "a@example.com"}, "ada")
    made = tasks("create", {"title": "ä/ö", "owner": "ada"})
    id = made["id"]
    assert tasks("get", id) == made and tasks("get", id, expand="owner")["expanded"]["owner"]["id"] == "ada"
    assert tasks("get", id, fields=["title"]) == {"title": "ä/ö"}
    edited = tasks("edit", id, {"done": True}, made["revision"])
    assert (edited["done"], edited["revision"]) == (True, 2)
    with pytest.raises(Stale):
        tasks("edit", id, {"done": False}, 1)
    assert tasks("put", id, {"title": "new"}, 2)["done"] is False
    assert tasks("put", "mine", {"title": "own"})["id"] == "mine"
    with pytest.raises(Stale):
        tasks("delete", id, 1)
    assert tasks("delete", id) is None
    with pytest.raises(NotFound):
        tasks("get", id)


def test_errors_have_types_of_their_own(tasks: Do, people: Do) -> None:
    people("create", {"email": "a@example.com"}, "ada")
    with pytest.raises(IdTaken):
        people("create", {"email": "b@example.com"}, "ada")
    with pytest.raises(UniqueTaken) as taken:
        people("create", {"email": "a@example.com"})
    assert taken.value.errors[0]["pointer"] == "/email"
    tasks("create", {"title": "x", "owner": "ada"})
    with pytest.raises(Referenced):
        people("delete", "ada")
    with pytest.raises(Invalid, match="/title"):
        tasks("create", {})


def test_lists_questions_and_batches(tasks: Do) -> None:
    operations = [{"op": "create", "data": {"title": f"n{n}", "pieces": n, "due": "2026-11-21"}} for n in range(5)]
    assert [each["status"] for each in tasks("batch", operations)] == [201] * 5
    assert [each["pieces"] for each in tasks("list", limit=2)] == [4, 3, 2, 1, 0]
    assert [each["pieces"] for each in tasks("list", pieces__in=[1, 3], sort="pieces")] == [1, 3]
    assert [each["pieces"] for each in tasks("list", pieces__gte=3, done=False)] == [4, 3]
    assert len(tasks("ask", "by_day", due="2026-11-21", done=False, limit=2)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rows", "generator", "bytes", "file", "path"])
@pytest.mark.few(4)
def test_imports_take_files_and_rows(tasks: Do, tmp_path: Path, how: str) -> None:
    rows = [{"id": f"i{n}", "title": f"Täsk {n}" + "x" * 100} for n in range(1_800)]
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "tasks.ndjson").write_bytes(raw)
    file = io.BytesIO(b"before" + raw)
    file.seek(6)
    source: Any = {"rows": rows, "generator": iter(rows), "bytes": raw, "file": file, "path": tmp_path / "tasks.ndjson"}
    sent: list[int] = []
    said = tasks("import_", source[how], None if how == "path" else "ndjson", sent=sent.append)
    assert said["created"] == 1_800 and sent == sorted(sent) and sent[-1] > len(raw) * 0.9
    assert [row["id"] for row in tasks("export")] == [row["id"] for row in rows]
    again = tasks("import_", rows[:2], on_conflict="skip")
    assert again["skipped"] == 2


def test_csv_is_exported_and_imported_again(tasks: Do) -> None:
    tasks("import_", b'title,place\n"a, b","{""x"": 1}"\n', "csv")
    raw = b"".join(tasks("export_file", "csv"))
    assert tasks("import_", raw, "csv", on_conflict="replace")["unchanged"] == 1
    assert [row["title"] for row in tasks("export", title="a, b")] == ["a, b"]


def test_a_refused_import_names_its_lines(tasks: Do) -> None:
    with pytest.raises(ImportRefused, match=r"line 3 at /title: .*required") as refused:
        tasks("import_", [{"title": "a"}, {"title": "b"}, {}])
    assert refused.value.errors[0]["line"] == 3
    said = tasks("import_", [{"title": "a"}, {}], partial=True)
    assert (said["created"], said["refused"], said["errors"][0]["line"]) == (1, 1, 2)
    for format in (None, "xml"):
        with pytest.raises(ValueError, match="csv"):
            tasks("import_", b"title\n", format)


@pytest.mark.slow
def test_an_early_response_is_noticed(tasks: Do) -> None:
    """The header is wrong, and the rest of the file is more than anybody reads for nothing."""
    big = b"nothing\n" + b"x" * 99 + b"\n"
    with pytest.raises(ImportRefused, match="There is no column 'nothing'"):
        tasks("import_", (big if n == 0 else big[8:] * 1_000 for n in range(450)), "csv")


def test_an_export_that_breaks_off_is_an_error(face: MakeFace, script: Script) -> None:
    script.answers = [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n9\r\n" + b'{"n": 1}\n\r\n'
    ]
    client = face(script.url, retries=0)
    got: list[Any] = []

    def collect() -> None:
        if isinstance(client.client, AsyncClient):
            asyncio.run(_collect(client.client.items("tasks").export(), got))
        else:
            for row in client.client.items("tasks").export():
                got.append(row)

    with pytest.raises(ConnectionFailed):
        collect()
    assert got == [{"n": 1}]


async def _collect(rows: AsyncIterator[Any], got: list[Any]) -> None:
    async for row in rows:
        got.append(row)


def test_a_file_is_sent_again_from_its_start(face: MakeFace, script: Script) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}"
    done = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"created":1}'
    script.answers = [busy, done]
    client = face(script.url, retries=2)
    items = client.client.items("tasks")
    assert client.done(items.import_, b"title\nx\n", "csv") == {"created": 1}
    first, second = script.requests
    assert first == second and first.endswith(b"title\nx\n") and b"dempotency-Key" in first


def test_an_iterator_is_sent_once(server: TestServer) -> None:
    """What was taken from it is gone: a limit that is reached is reported, and nothing is sent in halves."""
    limits = [{"calls": 1, "seconds": 86_400}]
    key = server.api.post("/v1/keys", {"name": "k", "scopes": ["items:write"], "tenant": "once", "limits": limits})[
        "key"
    ]
    with Client(server.url, key, retries=3) as client:
        items = client.items("tasks")
        assert items.import_(iter([{"title": "a"}]))["created"] == 1
        with pytest.raises(LimitReached):
            items.import_(iter([{"title": "b"}]))


def test_rows_may_come_from_an_async_iterable(server: TestServer, tenant: str) -> None:
    async def rows() -> AsyncIterator[dict[str, Any]]:
        for n in range(10):
            yield {"title": f"n{n}"}

    async def run() -> Any:
        async with AsyncClient(server.url, server.api.key) as client:
            return await client.items("tasks", tenant).import_(rows())

    assert asyncio.run(run())["created"] == 10
    with Client(server.url, server.api.key) as client, pytest.raises(TypeError, match="AsyncClient"):
        client.items("tasks", tenant).import_(rows())  # type: ignore[arg-type]


def test_declarations_are_sent_as_the_api_has_them(face: MakeFace, script: Script) -> None:
    script.answers = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"] * 3
    client = face(script.url)
    shape = {"fields": {"title": "string"}}
    client.call("put_collection", "tasks", shape, 3)
    client.call("plan", {"tasks": shape}, prune=True)
    client.call("apply", {"tasks": shape}, plan="p1", drop_values=True)
    put, plan, apply = (request.split(b"\r\n\r\n") for request in script.requests)
    assert put[0].startswith(b"PUT /v1/collections/tasks ") and b'"3"' in put[0] and json.loads(put[1]) == shape
    assert plan[0].startswith(b"POST /v1/collections:plan ")
    assert json.loads(plan[1]) == {"collections": {"tasks": shape}, "prune": True}
    assert json.loads(apply[1]) == {
        "collections": {"tasks": shape},
        "prune": False,
        "plan": "p1",
        "drop_values": True,
    }


def test_declaring_may_take_longer_than_other_calls() -> None:
    requests = [
        item_calls.put_collection("tasks", {}, None),
        item_calls.plan({}, prune=False),
        item_calls.apply({}, prune=False, plan=None, drop_values=False),
    ]
    assert [each.extra_seconds for each in requests] == [item_calls.DECLARE_SECONDS] * 3
