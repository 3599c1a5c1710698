"""A collection is declared differently while items are written at every node: what was acknowledged is there."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.nodes.joined import Node, joined, split
from tidings.store.items.moving import MOVING
from tidings.testing import until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

ITEMS = 5_000
"""More than are declared in one transaction."""
ROWS = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"


class Editing:
    """Edits and adds items at one node, until it is stopped."""

    def __init__(self, node: Node, name: str) -> None:
        self._node, self._name = node, name
        self.texts: dict[str, str] = {}
        """What was acknowledged last, by id. No other node writes these items."""
        self.statuses: Counter[int] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            text = f"{self._name}-{n}"
            for ident, method in ((f"{self._name}{n * 7 % (ITEMS // 2)}", "PATCH"), (f"new-{text}", "PUT")):
                reply = self._node.api.call(method, f"/v1/items/notes/{ident}", {"text": text})
                self.statuses[reply.status] += 1
                if reply.status < 300:
                    self.texts[ident] = text

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def declared(searchable: bool) -> dict[str, object]:
    return {"fields": {"text": {"type": "string", "searchable": searchable}, "n": {"type": "integer"}}}


def test_nothing_written_during_a_declaration_is_lost(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 3) as made:
        sender, takers = split(migrated_url, made)
        taker = takers[0]
        assert taker.api.call("PUT", "/v1/collections/notes", declared(False)).status == 201
        file = "id,text\n" + "".join(f"{who}{n},first\n" for who in "ab" for n in range(ITEMS // 2))
        media = {"Content-Type": "text/csv"}
        assert taker.api.call("POST", "/v1/items/notes:import?partial=true", file.encode(), media).status == 200
        editing = [Editing(taker, "a"), Editing(takers[1], "b")]
        try:
            until(lambda: all(len(each.texts) > 20 for each in editing), "items are edited")
            for searchable in (True, False, True):
                reply = taker.api.call("PUT", "/v1/collections/notes", declared(searchable))
                assert reply.status == 200, reply.body
        finally:
            for each in editing:
                each.stop()
        for each in editing:
            # Nobody was kept from writing: meanwhile the sender did it.
            assert set(each.statuses) <= {200, 201}, each.statuses
            wrong = {
                ident: text
                for ident, text in each.texts.items()
                if sender.api.call("GET", f"/v1/items/notes/{ident}").json.get("text") != text
            }
            assert not wrong
        with psycopg.connect(migrated_url) as db:
            assert db.execute(ROWS, [MOVING & 0xFFFF_FFFF]).fetchone() == (0,)


def test_a_declaration_that_is_refused_lets_others_write_again(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made:
        _, (taker,) = split(migrated_url, made)
        assert taker.api.call("PUT", "/v1/collections/notes", declared(False)).status == 201
        file = "id,text\n" + "".join(f"a{n},first\n" for n in range(ITEMS))
        media = {"Content-Type": "text/csv"}
        assert taker.api.call("POST", "/v1/items/notes:import?partial=true", file.encode(), media).status == 200
        needed = {"fields": {**declared(False)["fields"], "more": {"type": "string", "required": True}}}  # type: ignore[dict-item]
        assert taker.api.call("PUT", "/v1/collections/notes", needed).status == 409
        with psycopg.connect(migrated_url) as db:
            assert db.execute(ROWS, [MOVING & 0xFFFF_FFFF]).fetchone() == (0,)
        assert taker.api.call("PATCH", "/v1/items/notes/a1", {"text": "second"}).status == 200
