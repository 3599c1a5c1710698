"""kill -9 of a real server that splits events, and keeps ids of answers: each element once, each id kept."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.examples import examples
from tests.kills import chance_of_this_run
from tidings.testing import ProcessServer, Reaction, Receiver, until

KILLS, PHONES = examples(10), [f"+{number}" for number in range(10)]
LINKS: dict[str, dict[str, Any]] = {
    "send": {
        "when": {"event": "flight.late"},
        "split": "{{ data.phones }}",
        "call": {
            "via": "crm",
            "post": "/send",
            "json": {"event": "{{ subject }}", "to": "{{ item }}"},
            "in_doubt": "retry",
        },
    },
    "note": {
        "when": {"event": "flight.late"},
        "split": "{{ data.phones }}",
        "item": {"collection": "notes", "create": True, "data": {"to": "{{ item }}"}},
    },
    "make": {
        "when": {"event": "contact.created"},
        "call": {"via": "crm", "post": "/contacts", "json": {"event": "{{ subject }}"}, "in_doubt": "retry"},
        "keep": {"id": "{{ body.id }}"},
        "order": "subject",
    },
    "change": {
        "when": {"event": "contact.updated"},
        "call": {"via": "crm", "put": "/contacts/{{ mine.id }}", "json": {"event": "{{ subject }}"}},
        "order": "subject",
    },
}


class Crm:
    """Gives ids, the same one again for the same key, and remembers what it was asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: dict[tuple[str, str], set[str]] = defaultdict(set)
        """For each event and element, the keys that it came with."""
        self.ids: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.changed: list[tuple[str, str]] = []

    def answer(self, received: Any) -> Reaction:
        """One response."""
        key, body = received.headers.get("idempotency-key", ""), received.json
        with self._lock:
            if received.path == "/send":
                self.sent[body["event"], body["to"]].add(key)
            elif received.method == "PUT":
                self.changed.append((received.path.rpartition("/")[2], body["event"]))
            else:
                made = self.ids.setdefault(key, f"x{len(self.ids)}")
                self.owners[made] = body["event"]
                headers = {"Content-Type": "application/json"}
                return Reaction(status=201, body=json.dumps({"id": made}).encode(), headers=headers)
        return Reaction(status=200)


def _published_through_kills(server: ProcessServer, chance: random.Random) -> None:
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.is_set():
            subject, number = f"s{number}", number + 1
            events = [
                {"type": "flight.late", "subject": subject, "data": {"phones": PHONES}},
                {"type": "contact.created", "subject": subject, "data": {}},
                {"type": "contact.updated", "subject": subject, "data": {}},
            ]
            try:
                server.api.post("/v1/events:batch", {"events": events})
            except OSError:
                time.sleep(0.02)
            time.sleep(0.01)

    publisher = threading.Thread(target=publish)
    publisher.start()
    for _ in range(KILLS):
        time.sleep(0.2 + 0.5 * chance.random())
        server.kill()
        server.start()
    stop.set()
    publisher.join()


@pytest.mark.slow
def test_what_is_split_and_kept_survives_kills(tmp_path: Path, database: str | None) -> None:
    crm = Crm()
    with Receiver() as peer, ProcessServer(tmp_path, database=database) as server:
        peer.answer_by(crm.answer)
        api = server.api
        api.put("/v1/collections/notes", {"fields": {"to": "string"}})
        api.put("/v1/connections/crm", {"base": peer.url("").rstrip("/")})
        for name, declared in LINKS.items():
            api.put(f"/v1/links/{name}", {**declared, "retry_delays_seconds": [0, 0, 1, 1, 1, 1]})
        _published_through_kills(server, chance_of_this_run())

        def rest() -> bool:
            return not any(api.pages("/v1/deliveries", link=name, state="waiting") for name in LINKS)

        until(rest, "everything has ended", 60)
        subjects = {each["subject"] for each in api.pages("/v1/events", type="flight.late", limit=1000)}
        wanted = len(subjects) * len(PHONES)
        assert set(crm.sent) == {(subject, phone) for subject in subjects for phone in PHONES}
        assert all(len(keys) == 1 for keys in crm.sent.values()), "an element was split twice"
        assert len(api.pages("/v1/deliveries", link="send", limit=1000)) == wanted + len(subjects)
        assert len(api.pages("/v1/items/notes", limit=1000)) == wanted
        assert not any(api.pages("/v1/deliveries", link=name, state="dead") for name in LINKS)
        assert all(crm.owners[made] == subject for made, subject in crm.changed), "an id of another subject was used"
        assert {subject for _, subject in crm.changed} == subjects
