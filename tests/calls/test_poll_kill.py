"""kill -9 of a real server that polls a source which changes while it is read: the copy equals it at the end."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.examples import examples
from tidings.model.moment import to_text
from tidings.testing import Api, NotInTime, ProcessServer, Reaction, Receiver, until

JSON = {"Content-Type": "application/json"}
RECORDS, PAGE, KILLS = 200, 25, examples(10)


class Source:
    """Records that change all the time, many in the same moment; served in pages, some of them twice or refused."""

    def __init__(self, chance: random.Random) -> None:
        self._lock, self._chance = threading.Lock(), chance
        self.records: dict[str, dict[str, Any]] = {}
        for number in range(RECORDS):
            self._write(f"k{number}", 0)

    def _write(self, key: str, value: int) -> None:
        at = to_text(time.time_ns() // 1_000_000_000 * 1_000_000)
        self.records[key] = {"id": key, "v": value, "at": at, "gone": self._chance.random() < 0.1}

    def change(self) -> None:
        """Change a few records, in the same second."""
        with self._lock:
            for _ in range(5):
                key = f"k{self._chance.randrange(RECORDS)}"
                self._write(key, self.records[key]["v"] + 1)

    def answer(self, received: Any) -> Reaction:
        """One page, or a refusal."""
        query = {name: values[-1] for name, values in parse_qs(urlsplit(received.path).query).items()}
        with self._lock:
            if self._chance.random() < 0.05:
                return Reaction(status=429, headers={"Retry-After": "1"})
            since, after = query["since"], int(query.get("after", "0"))
            found = [each for each in self.records.values() if each["at"] >= since]
            found.sort(key=lambda each: (each["at"], each["id"]))
            page = found[after : after + PAGE]
            self._chance.shuffle(page)
            overlap = self._chance.randrange(3)
            more = f"/?since={since}&after={after + PAGE - overlap}" if after + PAGE < len(found) else None
            return Reaction(status=200, body=json.dumps({"items": page, "next": more}).encode(), headers=JSON)

    def alive(self) -> dict[str, int]:
        """What a copy should have."""
        with self._lock:
            return {key: each["v"] for key, each in self.records.items() if not each["gone"]}


def explained(api: Api, source: Source) -> str:
    """What is missing from the copy, and what has not been done about it."""
    found = {each["id"]: each["v"] for each in api.pages("/v1/items/copies")}
    alive = source.alive()
    unlike = {key: (alive.get(key), found.get(key)) for key in alive | found if alive.get(key) != found.get(key)}
    told = [f"source and copy: {unlike}"]
    for state in ("waiting", "dead"):
        for each in api.pages("/v1/deliveries", state=state):
            told.append(f"{each['link']} {each['event_type']} {api.get('/v1/deliveries/' + each['id'])}")
    return "\n".join(told)


@pytest.mark.slow
def test_the_copy_equals_the_source_after_kills(tmp_path: Path, database: str | None) -> None:
    chance = random.Random(11)
    source = Source(chance)
    with Receiver() as peer, ProcessServer(tmp_path, database=database) as server:
        peer.answer_by(source.answer)
        server.api.put("/v1/collections/copies", {"fields": {"v": "integer"}})
        server.api.put("/v1/connections/source", {"base": peer.url("").rstrip("/")})
        pull = {
            "when": {"every": "1s"},
            "call": {
                "via": "source",
                "get": "/",
                "query": {"since": "{{ since }}"},
                "pages": {"next": "{{ body.next }}"},
            },
            "emit": {
                "type": "source.item",
                "each": "items",
                "key": "id",
                "cursor": {"record": "at", "order": "asc"},
                "deleted": "{{ record.gone }}",
                "ignore": ["at"],
            },
            "retry_delays_seconds": [0, 1, 1, 1, 1, 1, 1, 1],
        }
        put = {"collection": "copies", "put": "{{ data.id }}", "data": {"v": "{{ data.v }}"}}
        server.api.put(
            "/v1/links/copy", {"when": {"event": ["source.item.created", "source.item.updated"]}, "item": put}
        )
        drop = {"collection": "copies", "delete": "{{ subject }}"}
        server.api.put("/v1/links/drop", {"when": {"event": "source.item.deleted"}, "item": drop})
        # Last: what it reads before a link is there does not reach that link.
        server.api.put("/v1/links/pull", pull)
        for _ in range(KILLS):
            end = time.monotonic() + 0.3 + chance.random()
            while time.monotonic() < end:
                source.change()
                time.sleep(0.02)
            server.kill()
            server.start()

        def copied() -> bool:
            found = {each["id"]: each["v"] for each in server.api.pages("/v1/items/copies")}
            return found == source.alive()

        try:
            until(copied, "the copy equals the source", 60)
        except NotInTime:
            raise AssertionError(explained(server.api, source)) from None
        events = list(reversed(server.api.pages("/v1/events", type="source.item.*")))
        replayed: dict[str, Any] = {}
        for each in events:
            kind, key = each["type"].rpartition(".")[2], each["subject"]
            assert (kind == "created") == (key not in replayed), each
            if kind == "updated":
                assert each["previous"] == replayed[key], "each change once, in order"
                assert each["changed"]
            if kind == "deleted":
                del replayed[key]
            else:
                replayed[key] = each["data"]
        assert {key: each["v"] for key, each in replayed.items()} == source.alive()
        server.api.post("/v1/links/pull:pause")

        def reset() -> bool:
            # The pause may have met a run anywhere: not routed yet, on its way, or waiting for another attempt.
            for run in server.api.pages("/v1/deliveries", link="pull", state="waiting"):
                server.api.call("POST", f"/v1/deliveries/{run['id']}:cancel")
            reply = server.api.call("POST", "/v1/links/pull:reset")
            assert reply.status == 200 or reply.json["code"] == "running", reply
            return reply.status == 200

        until(reset, "the last run ends", 60)
        server.api.post("/v1/links/pull:resume")
        until(lambda: any("since=1970" in each.path for each in peer.requests()[-30:]), "it reads everything", 60)
        count = len(events)
        until(lambda: copied() and len(server.api.pages("/v1/events", type="source.item.*")) == count, "nothing is new")
