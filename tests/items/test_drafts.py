"""Many operations of one job are read and written in sets: what comes of them is what comes of them one by one."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from tests.examples import thorough
from tests.items.collections import declare
from tests.robust.stalls import writer_of
from tidings.intake.items import change as change_module
from tidings.intake.items import kinds
from tidings.intake.items.change import ItemChanges
from tidings.intake.items.import_store import ImportStore
from tidings.model.collection import Collection, Field
from tidings.store.base import Db
from tidings.testing import Api, TestServer

NODES = Collection(
    name="nodes",
    fields=(
        Field(name="name", type="string", unique=True),
        Field(name="parent", type="reference", to="nodes"),
        Field(name="count", type="integer", filterable=True),
        Field(name="on", type="boolean", default=False),
        Field(name="rate", type="number"),
        Field(name="price", type="decimal", max_digits=8, scale=2),
        Field(name="at", type="datetime"),
        Field(name="more", type="object"),
        Field(name="text", type="string", searchable=True),
    ),
)
DOCS = Collection(name="docs", fields=(Field(name="text", type="array"), Field(name="n", type="integer")))
WIDE = Collection(
    name="wide", fields=tuple(Field(name=f"f{n}", type="integer", filterable=True, sortable=True) for n in range(100))
)
PATH = "/v1/items/nodes"
IDS = [f"n{index}" for index in range(8)]
VALUES: dict[str, list[Any]] = {
    "name": [None, "a", "b", "c", "d"],
    "count": [None, 0, -(2**63), 2**63 - 1],
    "on": [None, True, False],
    "rate": [None, 0.1, 1e300, -5, 1.5],
    "price": [None, "12.30", "0", "-1.05"],
    "at": [None, "2026-11-21T01:02:03.123456Z"],
    "more": [None, {"a": [1, {"b": "x'y\\"}], "t": "true"}],
    "text": [None, "water the plants", 'it\'s \\ "quoted" water', "zzz"],
}


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    for collection in (NODES, DOCS, WIDE):
        declare(server, collection)


def operation(chance: random.Random) -> dict[str, Any]:
    """An operation that may fit or not."""
    op, ident = chance.choice(["create", "put", "edit", "edit", "delete"]), chance.choice(IDS)
    if op == "delete":
        return {"op": op, "id": ident}
    data = {name: chance.choice(values) for name, values in VALUES.items() if chance.random() < 0.4}
    if chance.random() < 0.4:
        data["parent"] = chance.choice([None, *IDS])
    return {"op": op, "id": ident, "data": data}


def one(own: Api, operation: dict[str, Any]) -> bool:
    """Do it alone; whether it was taken."""
    return own.call("POST", f"{PATH}:batch", {"operations": [operation]}).status == 200


def bare(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without times."""
    return [{name: value for name, value in each.items() if name not in ("created", "updated")} for each in documents]


def told(own: Api) -> list[tuple[Any, ...]]:
    events = own.pages("/v1/events", collection="nodes", sort="created")
    return [
        (
            each["type"],
            *bare([each["data"]]),
            *bare([each["previous"]] if each.get("previous") else []),
            each.get("changed"),
        )
        for each in events
    ]


@pytest.mark.slow
@pytest.mark.few(4)
@pytest.mark.parametrize("seed", [*range(4), *thorough(*range(4, 12))])
def test_a_batch_does_what_its_operations_do_one_by_one(api: Api, seed: int) -> None:
    chance = random.Random(seed)
    made = [{"name": "k", "scopes": ["*"], "tenant": f"drafts-{seed}-{which}"} for which in ("alone", "together")]
    alone, together = (api.with_key(api.post("/v1/keys", each)["key"]) for each in made)
    for _ in range(4):
        taken = [each for each in (operation(chance) for _ in range(25)) if one(alone, each)]
        if taken:
            reply = together.call("POST", f"{PATH}:batch", {"operations": taken})
            assert reply.status == 200, (taken, reply.json)
        own = [{**each, "tenant": None} for each in bare(alone.pages(PATH, sort="created"))]
        assert sorted(own, key=lambda each: each["id"]) == sorted(
            ({**each, "tenant": None} for each in bare(together.pages(PATH, sort="created"))),
            key=lambda each: each["id"],
        )
        for words in ("water", "zzz"):
            found = [{each["id"] for each in own.pages(PATH, q=words)} for own in (alone, together)]
            assert found[0] == found[1]
    assert json.loads(json.dumps(told(alone)).replace("-alone", "")) == json.loads(
        json.dumps(told(together)).replace("-together", "")
    )


def statements(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the writer runs from now on."""
    db: Any = writer_of(server)._db
    ran: list[str] = []
    for name in ("one", "all", "run", "query", "execute", "insert", "many", "execute_many"):
        plain = getattr(db, name)

        def counted(first: str, *args: Any, plain: Any = plain, **more: Any) -> Any:
            ran.append(first)
            return plain(first, *args, **more)

        monkeypatch.setattr(db, name, counted)
    return ran


@pytest.mark.slow
def test_a_thousand_operations_take_few_statements(
    own: Api, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each held the writer for several statements, so that on PostgreSQL everybody waited for seconds."""
    idents = [f"i{n}" for n in range(300)]
    bodies: list[list[dict[str, Any]]] = [
        [{"op": "create", "id": each, "data": {"name": each}} for each in idents],
        [{"op": "edit", "id": each, "data": {"parent": idents[n - 1], "text": "x"}} for n, each in enumerate(idents)],
        [{"op": "put", "id": each, "data": {"name": idents[n - 1]}} for n, each in enumerate(idents)],
        [{"op": "edit", "id": each, "data": {"parent": before}} for before, each in itertools.pairwise(idents)],
        # Each of them is referred to by the one that was deleted before it.
        [{"op": "delete", "id": each} for each in reversed(idents)],
    ]
    ran = statements(server, monkeypatch)
    for operations in bodies:
        ran.clear()
        assert own.call("POST", f"{PATH}:batch", {"operations": operations}).status == 200
        assert len(ran) < 60, ran
    for text, query in (
        ("".join(json.dumps({"id": each, "name": each}) + "\n" for each in idents), {}),
        (
            "".join(json.dumps({"id": each, "name": idents[n - 1]}) + "\n" for n, each in enumerate(idents)),
            {"on_conflict": "merge"},
        ),
        ("".join(json.dumps({"id": each, "parent": idents[0]}) + "\n" for each in idents), {"on_conflict": "replace"}),
        ('{"id":"i1","name":"same"}\n{"id":"i1","name":"other"}\n' * 150, {"on_conflict": "replace"}),
    ):
        ran.clear()
        reply = own.call("POST", f"{PATH}:import", text.encode(), {"Content-Type": "application/x-ndjson"}, **query)
        assert reply.status == 200, reply.json
        assert len(ran) < 60, ran


@pytest.mark.slow
def test_items_that_are_too_large_to_change_together_are_refused(own: Api) -> None:
    """A few bytes for each of a thousand large items wrote gigabytes in one transaction."""
    path, text = "/v1/items/docs", ["x" * 900_000]
    for index in range(12):
        assert own.call("PUT", f"{path}/d{index}", {"text": text, "n": 0}).status == 201
    edits = [{"op": "edit", "id": f"d{index}", "data": {"n": 1}} for index in range(12)]
    refused = own.call("POST", f"{path}:batch", {"operations": edits})
    assert refused.status == 413 and refused.json["code"] == "too_heavy", refused.json
    assert "Send the change in smaller parts." in refused.json["detail"]
    assert own.call("POST", f"{path}:batch", {"operations": edits[:6]}).status == 200
    file = "".join(json.dumps({"id": f"d{index}", "n": 2}) + "\n" for index in range(12)).encode()
    media = {"Content-Type": "application/x-ndjson"}
    assert own.call("POST", f"{path}:import", file, media, on_conflict="merge").json["code"] == "too_heavy"
    key = {"Idempotency-Key": "heavy"}
    for _ in range(2):
        # In parts it takes as much at a time as fits.
        reply = own.call("POST", f"{path}:import", file, {**media, **key}, on_conflict="merge", partial="true")
        assert reply.status == 200 and reply.json["merged"] == 12, reply.json
    assert {each["n"] for each in own.pages(path, fields="n")} == {2}
    assert {each["revision"] for each in own.pages(path, fields="revision")} == {2, 3}


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_items_with_many_words_weigh_more(own: Api) -> None:
    """Each word is an entry of an index: 600,000 of them in a file of four megabytes took seconds of the writer."""
    text = " ".join(f"word{n}" for n in range(200))
    media = {"Content-Type": "application/x-ndjson"}

    def file(count: int, **more: str) -> bytes:
        return "".join(json.dumps({"id": f"words{n}", "text": text, **more}) + "\n" for n in range(count)).encode()

    refused = own.call("POST", f"{PATH}:import", file(600), media)
    assert refused.status == 413 and refused.json["code"] == "too_heavy", refused.json
    creates = [{"op": "create", "data": {"text": text}} for _ in range(600)]
    assert own.call("POST", f"{PATH}:batch", {"operations": creates}).json["code"] == "too_heavy"
    reply = own.call("POST", f"{PATH}:import", file(600), media, partial="true")
    assert reply.status == 200 and reply.json["created"] == 600, reply.json
    text += " more"
    assert own.call("POST", f"{PATH}:import", file(600), media, on_conflict="merge").json["code"] == "too_heavy"
    assert own.call("POST", f"{PATH}:import", file(200), media, on_conflict="merge").json["merged"] == 200


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_new_items_that_weigh_too_much_are_refused_before_the_writer_works_on_them(
    own: Api, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(f"word{n}" for n in range(200))
    worked: list[str] = []
    for where, name in ((ItemChanges, "do"), (ImportStore, "store")):
        there = getattr(where, name)

        def noted(*given: Any, there: Any = there, name: str = name) -> Any:
            worked.append(name)
            return there(*given)

        monkeypatch.setattr(where, name, noted)
    creates = [{"op": "create", "data": {"text": text}} for _ in range(600)]
    reply = own.call("POST", f"{PATH}:batch", {"operations": creates})
    assert reply.status == 413 and reply.json["code"] == "too_heavy", reply.json
    lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for _ in range(600))
    reply = own.call("POST", f"{PATH}:import", lines, {"Content-Type": "application/x-ndjson"})
    assert reply.status == 413 and reply.json["code"] == "too_heavy", reply.json
    assert worked == []
    assert own.call("POST", f"{PATH}:batch", {"operations": creates[:100]}).status == 200
    assert worked


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_items_with_many_numbers_weigh_more_once_they_are_changed(own: Api) -> None:
    """Eight of them took half a second of the writer."""
    path = "/v1/items/docs"
    for start in (0, 1):
        puts = [
            {"op": "put", "id": f"numbers{index}", "data": {"text": [list(range(start, 130_000))]}}
            for index in range(8)
        ]
        reply = own.call("POST", f"{path}:batch", {"operations": puts})
        assert reply.status == (200 if start == 0 else 413), reply.json
    assert reply.json["code"] == "too_heavy"
    assert own.call("POST", f"{path}:batch", {"operations": puts[:3]}).status == 200
    deletes = [{"op": "delete", "id": f"numbers{index}"} for index in range(8)]
    assert own.call("POST", f"{path}:batch", {"operations": deletes}).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
@pytest.mark.sqlite_only
def test_a_large_object_is_compared_once_when_it_is_replaced(
    own: Api, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    path, media = "/v1/items/docs/once", {"Content-Type": "application/merge-patch+json"} if verb == "PATCH" else {}
    assert own.call("PUT", path, {"text": [list(range(50_000))]}).status == 201
    compared: list[Any] = []
    changed = kinds.changed_fields

    def counted(*given: Any) -> Any:
        compared.append(given)
        return changed(*given)

    monkeypatch.setattr(change_module, "changed_fields", counted)
    reply = own.call(verb, path, {"text": [list(range(1, 50_000))]}, media)
    assert reply.status == 200 and reply.json["revision"] == 2
    assert len(compared) == 1
    # What differs in the order of members, or in how a number is written, is the same; true and 1 differ.
    for text, revision in (
        ([{"a": 1, "b": 2}], 3),
        ([{"b": 2, "a": 1}], 3),
        ([{"b": 2.0, "a": 1}], 3),
        ([{"b": 2.0, "a": True}], 4),
        ([{"b": 2.0, "a": 1}], 5),
        ([{"b": 2.0, "a": None}], 6),
    ):
        assert own.call(verb, path, {"text": text}, media).json["revision"] == revision


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_items_with_many_indexes_weigh_more(own: Api) -> None:
    path = "/v1/items/wide"
    row = {f"f{n}": n for n in range(100)}
    creates = [{"op": "create", "data": row} for _ in range(400)]
    assert own.call("POST", f"{path}:batch", {"operations": creates}).json["code"] == "too_heavy"
    assert own.call("POST", f"{path}:batch", {"operations": creates[:100]}).status == 200


def test_values_that_no_column_takes_are_refused_in_a_batch_as_alone(own: Api, server: TestServer) -> None:
    """What is read in sets beforehand must not break on what is refused afterwards."""
    for data in (
        {"name": "a\0b"},
        {"name": 5},
        {"name": {"x": 1}},
        {"parent": "a\0b"},
        {"parent": 7},
        {"parent": "x" * 99},
    ):
        for op in ("create", "put", "edit"):
            each = {"op": op, "id": "n0", "data": data}
            assert own.call("POST", f"{PATH}:batch", {"operations": [each] * 2}).status in (400, 404, 422), each
    assert own.call("POST", f"{PATH}:batch", {"operations": [{"op": "delete", "id": "a\0b"}] * 2}).status in (
        400,
        404,
        422,
    )

    def alive(db: Db) -> bool:
        return True

    assert writer_of(server).wait(alive)
