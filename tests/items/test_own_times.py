"""`created` and `updated`: asked for and sorted by like any field, by those who may, along an index."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.items.collections import declare
from tests.items.plans import Explained
from tidings.model.collection import Collection, Field
from tidings.rules.items.condition import Compare
from tidings.store.base import Db
from tidings.store.items import item_pages
from tidings.store.items.conditions import Where
from tidings.store.items.item_pages import CREATED, Order
from tidings.store.items.items import ItemTable
from tidings.testing import Api, TestServer

PATH = "/v1/items/notes"
FIELDS: dict[str, Any] = {
    "n": {"type": "integer", "filterable": True, "sortable": True},
    "hidden": {"type": "integer", "filterable": True},
}


@pytest.fixture(scope="module")
def items(server: TestServer) -> list[dict[str, Any]]:
    """Nine items in the order of their creation; the first three were changed since, the last of them first."""
    api = server.api
    questions = {"changed": ["updated__gte", "n__lt"]}
    assert api.call("PUT", "/v1/collections/notes", {"fields": FIELDS, "questions": questions}).status == 201
    made = [api.post(PATH, {"n": n % 3, "hidden": n}, **({"tenant": "a"} if n % 2 else {})) for n in range(9)]
    for index in (2, 1, 0):
        made[index] = api.patch(f"{PATH}/{made[index]['id']}", {"hidden": 100})
    return made


def listed(api: Api, query: str, limit: int = 2) -> list[str]:
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"{PATH}?limit={limit}&{query}" + (f"&cursor={cursor}" if cursor else ""))
        found += [item["id"] for item in page["data"]]
        cursor = page["next_cursor"]
    return found


def of(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@pytest.mark.slow
def test_items_are_sorted_by_when_they_were_created_and_updated(api: Api, items: list[dict[str, Any]]) -> None:
    assert listed(api, "sort=created") == of(items) and listed(api, "sort=-created") == of(items)[::-1]
    by_update = [*items[3:], items[2], items[1], items[0]]
    assert listed(api, "sort=updated") == of(by_update) and listed(api, "sort=-updated") == of(by_update)[::-1]
    by_n = [each for n in range(3) for each in reversed(by_update) if each["n"] == n]
    assert listed(api, "sort=n,-updated") == of(by_n)
    assert listed(api, "sort=updated&tenant=a") == [each["id"] for each in by_update if each["tenant"] == "a"]


@pytest.mark.slow
def test_items_are_filtered_by_when_they_were_created_and_updated(api: Api, items: list[dict[str, Any]]) -> None:
    for name, order in (("created", items), ("updated", [*items[3:], items[2], items[1], items[0]])):
        for sort in (name, f"-{name}", "created", "-created,n", "n,created", "-n"):
            whole = listed(api, f"sort={sort}", 100)
            for at in (order[0], order[4], order[8]):
                text = quote(at[name])
                tests = {"": "=", "__gt": ">", "__gte": ">=", "__lt": "<", "__lte": "<="}
                for op, sign in tests.items():
                    fits = {
                        each["id"]
                        for each in items
                        if (each[name] > at[name] and ">" in sign)
                        or (each[name] < at[name] and "<" in sign)
                        or (each[name] == at[name] and "=" in sign)
                    }
                    assert listed(api, f"sort={sort}&{name}{op}={text}") == [each for each in whole if each in fits]
    between = f"created__gte={quote(items[2]['created'])}&created__lt={quote(items[5]['created'])}"
    assert listed(api, between) == of(items[2:5])[::-1]
    assert api.get(f"{PATH}?{between}&count=true")["count"] == 3
    file = api.call("GET", f"{PATH}:export?{between}&fields=id&format=csv&sort=-created").body.decode()
    assert file.split() == ["id", *of(items[2:5])[::-1]]
    asked = api.get(f"{PATH}:changed?updated__gte={quote(items[2]['updated'])}&n__lt=2")["data"]
    assert {item["id"] for item in asked} == {items[1]["id"], items[0]["id"]}
    for wrong in ("created__in=x", "created=x", "updated__gte=2026", "created__exists=true", "revision__gte=1"):
        assert api.call("GET", f"{PATH}?{wrong}").status == 422


@pytest.mark.slow
def test_a_permit_that_names_its_filters_names_the_times_too(
    server: TestServer, api: Api, items: list[dict[str, Any]]
) -> None:
    def key(**permit: Any) -> Api:
        body = {"name": "k", "permits": [{"collection": "notes", "verbs": ["list"], "read": ["n"], **permit}]}
        return server.api.with_key(api.post("/v1/keys", body)["key"])

    after = f"updated__gt={quote(items[8]['updated'])}"
    free = key()
    assert listed(free, f"{after}&sort=-updated") == of(items[:3])
    closed = key(filter=["n"], sort=["n"])
    for query in (after, "created__lt=2099-01-01T00:00:00Z", "sort=updated", "sort=-updated"):
        assert closed.call("GET", f"{PATH}?{query}").status == 422
    assert listed(closed, "sort=created&n=0") == [each["id"] for each in items if each["n"] == 0]
    named = key(filter=["updated"], sort=["updated", "created"])
    assert listed(named, f"{after}&sort=updated") == of(items[:3])[::-1]
    assert named.call("GET", f"{PATH}?n=1").status == 422
    assert named.call("GET", f"{PATH}?created__lt=2099-01-01T00:00:00Z").status == 422
    rows = key(rows={"n": 0})
    assert listed(rows, f"{after}&sort=updated") == [items[0]["id"]], "a row rule holds beside any filter"
    names = {each["name"] for each in closed.get("/v1/openapi.json")["paths"][PATH]["get"]["parameters"]}
    assert "updated__gte" not in names and "n__gte" in names


@pytest.mark.slow
def test_the_document_has_the_filters(api: Api, items: list[dict[str, Any]]) -> None:
    parameters = {each["name"]: each for each in api.get("/v1/openapi.json")["paths"][PATH]["get"]["parameters"]}
    for name in ("created", "updated"):
        for op in ("", "__gt", "__gte", "__lt", "__lte"):
            assert parameters[f"{name}{op}"]["schema"]["format"] == "date-time"
    assert {"updated", "-updated"} <= set(parameters["sort"]["schema"]["items"]["enum"])


AT = 1_700_000_000_000_000
ALONG: dict[str, tuple[list[Compare], list[Order], list[Any] | None, str]] = {
    "updated, first": ([], [Order("updated", nullable=False)], None, "(updated, seq)"),
    "updated, next page": ([], [Order("updated", down=True, nullable=False)], [AT, 7], "(updated, seq)"),
    "updated since": ([Compare("updated", "gte", AT)], [Order("updated", nullable=False)], [AT, 7], "(updated, seq)"),
    "a tenant's": (
        [Compare("tenant", "eq", "a"), Compare("updated", "gte", AT)],
        [Order("updated", nullable=False)],
        [AT, 7],
        "(tenant, updated, seq)",
    ),
    "created between": (
        [Compare("created", "gte", AT), Compare("created", "lt", AT + 9)],
        [Order(CREATED, down=True, nullable=False, by_time=True)],
        [AT, 7],
        "(created, seq)",
    ),
}


@pytest.mark.parametrize("name", ALONG)
def test_filters_on_times_use_an_index(server: TestServer, name: str) -> None:
    conditions, order, after, index = ALONG[name]
    collection = Collection(name="along", fields=(Field(name="seq", type="integer", unique=True),))

    def job(db: Db) -> None:
        where, explained = Where(db.dialect), Explained(db)
        for condition in conditions:
            where.add(condition)
        item_pages.page(explained, ItemTable(collection, db.dialect), where, order, after, 50)  # type: ignore[arg-type]
        assert explained.used == [index]

    assert server.server is not None
    if "along" not in server.server.parts.catalog.now.collections:
        declare(server, collection)
    server.server.writer.wait(job)


@pytest.mark.slow
def test_a_unique_field_called_seq_is_not_taken_for_ours(server: TestServer, api: Api) -> None:
    declare(server, Collection(name="named", fields=(Field(name="seq", type="integer", unique=True),)))
    api.post("/v1/items/named", {"seq": 77})
    lines = b'{"seq":1}\n{"seq":2}\n'
    media = {"Content-Type": "application/x-ndjson"}
    assert api.call("POST", "/v1/items/named:import", lines, media).json["created"] == 2
    again = api.call("POST", "/v1/items/named:import", b'{"seq":77}', media)
    assert again.status == 422 and again.json["errors"][0]["code"] == "unique_taken"
