"""Declarations change while items are made, read and edited: nobody meets a half-changed table, and nothing is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tidings.intake.items.reading import unless_redeclared
from tidings.model.errors import Unavailable
from tidings.store.base import StoreError
from tidings.testing import Api, TestServer, until

THREADS = 3
CHANGES = 12
READS = 40
"""So many that each reading connection has prepared what it asks."""
S: dict[str, Any] = {"type": "string"}


@pytest.fixture
def jobs(api: Api) -> Iterator[Api]:
    """A server with two collections."""
    api.post("/v1/collections", {"name": "owners", "fields": {"name": S}})
    fields = {"title": {**S, "required": True}, "note": {**S, "searchable": True}, "n": "integer"}
    api.post("/v1/collections", {"name": "jobs", "fields": {**fields, "owner": {"type": "reference", "to": "owners"}}})
    api.call("PUT", "/v1/items/owners/ann", {"name": "Ann"})
    yield api
    for name in ("jobs", "work", "owners"):
        api.call("DELETE", f"/v1/collections/{name}", drop_values="true")


class Callers:
    """Threads that make, edit, read and list items of a collection, whatever happens to it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.made: list[str] = []
        self.edits = 0
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(THREADS)]

    def __enter__(self) -> Callers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *wrong: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(30)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        reply = self.api.call(method, path, body, **query)
        self.statuses[f"{method} {path.partition('?')[0][:14]}", reply.status] += 1
        # 409 and 503 say that it was changed at this very moment; a fault would be 500.
        assert reply.status < 500 or reply.status == 503, reply.body
        return reply

    def run(self, number: int) -> None:
        turn = 0
        while not self.ended.is_set():
            turn += 1
            made = self.call("POST", "/v1/items/jobs", {"title": f"t{number}.{turn}", "n": turn, "owner": "ann"})
            if made.status == 201:
                self.made.append(made.json["id"])
                path = f"/v1/items/jobs/{made.json['id']}"
                if self.call("PATCH", path, {"n": -turn}).status == 200:
                    self.edits += 1
                self.call("GET", path)
            self.call("GET", "/v1/items/jobs", limit="3", q="x")


def change(api: Api, fields: Any) -> None:
    reply = api.call("PATCH", "/v1/collections/jobs", {"fields": fields}, drop_values="true")
    assert reply.status == 200, reply.body


@pytest.mark.slow
def test_items_and_declarations_change_at_once(jobs: Api, server: TestServer) -> None:
    with Callers(jobs) as callers:
        until(lambda: len(callers.made) > THREADS, "items are made")
        for _ in range(CHANGES):
            change(
                jobs, {"n": {"type": "integer", "filterable": True, "sortable": True}, "more": {**S, "default": "d"}}
            )
            change(jobs, {"note": None, "remark": {**S, "searchable": True, "was": "note"}})
            change(jobs, {"n": "integer", "more": None, "extra": "array"})
            change(jobs, {"remark": None, "note": {**S, "searchable": True, "was": "remark"}, "extra": None})
            assert jobs.call("PUT", "/v1/collections/people", {"was": "owners", "fields": {"name": S}}).status == 201
            assert jobs.call("PUT", "/v1/collections/owners", {"was": "people", "fields": {"name": S}}).status == 201
    assert len(callers.made) > THREADS
    assert not [status for _, status in callers.statuses if status == 422], callers.statuses
    there = {item["id"]: item for item in jobs.pages("/v1/items/jobs", limit=1000)}
    assert set(callers.made) <= there.keys()
    assert len(there) == callers.statuses["POST /v1/items/jobs"[:19], 201]
    events = Counter(event["type"] for event in jobs.pages("/v1/events", collection="jobs", limit=1000))
    assert events["jobs.created"] == len(there) and events["jobs.updated"] == callers.edits
    until(lambda: jobs.get("/v1/collections/jobs")["indexes"] == "ready", "the indexes are made")


@pytest.mark.slow
def test_items_are_read_after_a_field_has_become_of_another_type(jobs: Api) -> None:
    fields = {"day": "date", "n": "integer"}
    jobs.post("/v1/collections", {"name": "work", "fields": fields})
    jobs.call("PUT", "/v1/items/work/a", {"day": "2026-01-02", "n": 1})

    def read() -> set[tuple[str, int]]:
        with ThreadPoolExecutor(4) as threads:
            paths = ["/v1/items/work/a", "/v1/items/work"] * READS
            found = [reply.json for reply in threads.map(lambda path: jobs.call("GET", path), paths)]
        # A refusal would have neither.
        return {(item["day"], item["n"]) for each in found for item in each.get("data", [each])}

    assert read() == {("2026-01-02", 1)}
    jobs.post("/v1/collections:apply", {"collections": {"work": {"fields": {"day": "datetime", "n": "number"}}}})
    assert read() == {("2026-01-02T00:00:00.000Z", 1.0)}


def test_a_read_during_a_change_of_its_collection_is_not_used(jobs: Api, server: TestServer) -> None:
    assert server.server is not None
    parts = server.server.parts
    kind = parts.kinds.of(parts.catalog.now.collections["owners"])
    nowhere: Any = None
    assert unless_redeclared(parts.catalog, [kind], lambda db: 1)(nowhere) == 1
    jobs.post("/v1/collections:apply", {"collections": {"owners": {"fields": {"called": {**S, "was": "name"}}}}})

    def refuse(db: Any) -> None:
        raise StoreError('column "f_name" does not exist')

    reads: list[Callable[[Any], Any]] = [lambda db: [], refuse]
    for read in reads:
        with pytest.raises(Unavailable, match="The collection owners is being changed"):
            unless_redeclared(parts.catalog, [kind], read)(nowhere)
