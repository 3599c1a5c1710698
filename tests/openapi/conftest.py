"""One server, and four callers with different keys: each has its own document."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installing import python_programs
from tests.npm import installed
from tests.web.test_document_shape import documents_of
from tidings.model.access import SCOPES
from tidings.testing import Api, TestServer

HERE = Path(__file__).parent
LOCKS = (HERE / "requirements.lock", HERE / "package-lock.json")
"""What says which versions of the outside tools are asked."""
SECONDS = 300
CALLERS = ("operator", "tenant", "reader", "guest", "nobody")
"""The operator, a key of one tenant, one that may only read, one with permits in single collections, and no key."""
COLLECTIONS = {
    "rooms": {
        "description": "Rooms of a house.",
        "fields": {
            "name": {"type": "string", "required": True, "min": 1, "max": 80, "searchable": True, "filterable": True},
            "floor": {"type": "integer", "min": -3, "max": 200, "filterable": True, "sortable": True},
            "rent": {"type": "number", "min": 0, "max": 1_000_000, "filterable": True, "sortable": True},
            "free": {"type": "boolean", "default": True},
            "since": {"type": "datetime", "filterable": True, "sortable": True},
            "day": {"type": "date", "filterable": True, "sortable": True},
            "kind": {"type": "enum", "values": ["office", "flat"], "default": "flat", "filterable": True},
            "beside": {"type": "reference", "to": "rooms"},
            "door": {"type": "object", "schema": {"type": "object"}},
            "tags": {"type": "array", "schema": {"type": "string", "maxLength": 20}, "max": 10},
        },
        "events": {"let": "when free becomes false"},
        "questions": {"by_floor": ["floor", "kind"], "from_rent": ["rent__gte"]},
    },
    "notes": {"fields": {"text": {"type": "string", "max": 500}, "room": {"type": "reference", "to": "rooms"}}},
}
PERMITS = [
    {
        "collection": "rooms",
        "verbs": ["get", "create", "edit"],
        "read": ["name", "floor", "rent", "kind"],
        "write": ["name", "floor"],
        "filter": ["floor"],
        "sort": ["floor"],
        "rows": {"kind": "flat"},
        "questions": ["by_floor"],
    },
    {"collection": "notes", "verbs": ["list", "get", "create", "edit", "put", "delete"]},
]
TENANT_SCOPES = [
    *("events:read", "events:write", "event-types:read", "endpoints:read", "endpoints:write"),
    *("deliveries:read", "deliveries:write", "replays:read", "replays:write"),
    *("items:read", "items:write", "collections:read"),
]
THEIR_SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"$ref": "#/$defs/id"}, "count": {"type": "integer"}, "tags": {"type": "array"}},
    "$defs": {"id": {"type": "string"}},
}
"""An event type's schema as somebody may write it: without a limit to anything."""


@contextlib.contextmanager
def patient_server(folder: Path, database: str | None = None) -> Iterator[TestServer]:
    """A whole server in this process, where nobody is shut out for sending many wrong keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tidings.web.callers.access.FAILURES_MAX", 10**9)
        with TestServer(folder, database=database, max_body_bytes=65_536, max_batch_bytes=262_144) as server:
            yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with patient_server(tmp_path_factory.mktemp("openapi") / "tidings") as server:
        yield server


@pytest.fixture(scope="module")
def callers(server: TestServer) -> dict[str, Api]:
    return callers_of(server)


def callers_of(server: TestServer) -> dict[str, Api]:
    """The API by who calls, with some of everything to read."""
    api = server.api
    theirs = {"description": "A car was sold.", "schema": THEIR_SCHEMA, "example": {"id": "c1"}}
    api.post("/v1/event-types", {"name": "cars.sold", **theirs})
    api.post("/v1/collections:apply", {"collections": COLLECTIONS})
    tenant = api.with_key(api.post("/v1/keys", {"scopes": TENANT_SCOPES, "tenant": "acme"})["key"])
    reading = [scope for scope in SCOPES if scope.endswith(":read")]
    for caller in (api, tenant):
        caller.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "retry_delays_seconds": [0]})
        caller.publish("cars.sold", {"id": "c1"}, subject="c1")
        caller.post("/v1/items/rooms", {"name": "Attic", "floor": 3, "rent": 700.5, "day": "2026-11-21"})
    reader = api.with_key(api.post("/v1/keys", {"scopes": reading})["key"])
    guest = api.with_key(api.post("/v1/keys", {"permits": PERMITS})["key"])
    return {"operator": api, "tenant": tenant, "reader": reader, "guest": guest, "nobody": api.with_key(None)}


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Documents of an operator, a tenant's and a permit's key, with names and schemas that linters stumble over."""
    with TestServer(tmp_path_factory.mktemp("awkward") / "tidings") as server:
        return documents_of(server.api)


@pytest.fixture(scope="session")
def npm_programs() -> Path:
    """The folder of the linters' and TypeScript's programs, as the lock has them; kept between runs."""
    return installed(HERE, "npm", beside=("ruleset.yaml",)) / ".bin"


def run(*command: str | Path, path: Path | None = None, more: dict[str, str] | None = None) -> str:
    """What a program that must succeed says. It sees no Python settings of ours; `path` is where it imports from.

    `more`: variables that it sees too.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    imports = {} if path is None else {"PYTHONPATH": str(path)}
    environment = kept | imports | (more or {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4_000:]}{done.stderr[-4_000:]}"
    # Last what it was asked for: some say first, as errors, what they download.
    return done.stderr + done.stdout


def without_ids(document: dict[str, Any]) -> str:
    """A document as all servers give it: only the ids of its key are different for each."""
    return json.dumps({name: part for name, part in document.items() if name != "x-key"})


@pytest.fixture(scope="session")
def environment() -> Path:
    """Where the generator is, from the lock beside this file; kept between runs. The folder of its programs."""
    return python_programs(HERE / "requirements.lock", "client")
