"""Kinto, a store of records for many clients: as the CRM that contacts are read from, and as the books they go to."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.installing import python_programs
from tests.peers.mischief import Peer, on
from tidings.testing import until
from tidings.testing.ports import free_port

HERE = Path(__file__).parent
USER, PASSWORD = "tidings", "s3cret"
RECORDS = "/v1/buckets/shop/collections/{name}/records"
CRM, BOOKS = RECORDS.format(name="contacts"), RECORDS.format(name="customers")
INI = """
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = of-these-tests
multiauth.policies = basicauth
kinto.bucket_create_principals = system.Authenticated
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
"""


class Kinto(Peer):
    """One Kinto in memory, with both collections. Its pages are in order of change; deleted records are tombstones."""

    name = "kinto"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        file = folder / "kinto.ini"
        file.write_text(INI.format(port=self.port))
        command = [
            str(python_programs(HERE / "requirements.lock", "peers") / "kinto"),
            "start",
            "--ini",
            str(file),
            "--port",
            str(self.port),
        ]
        log = (folder / "kinto.log").open("wb")
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._is_up, "Kinto answers", 60)
        for path in (
            "/v1/buckets/shop",
            *(f"/v1/buckets/shop/collections/{each}" for each in ("contacts", "customers")),
        ):
            self._ask("PUT", path)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def write(self, contacts: dict[str, str | None]) -> None:
        for key, name in contacts.items():
            if name is None:
                self._ask("DELETE", f"{CRM}/{key}", missing=True)
            else:
                self._ask("PUT", f"{CRM}/{key}", {"data": {"name": name, "email": f"{key}@example.com"}})

    def contacts(self) -> dict[str, str]:
        return {each["id"]: each["name"] for each in self._ask("GET", f"{CRM}?_limit=10000")["data"]}

    def customers(self) -> dict[str, str]:
        found = self._ask("GET", f"{BOOKS}?_limit=10000")["data"]
        return {each["id"].removeprefix("crm-"): each["name"] for each in found}

    def auth(self) -> dict[str, Any]:
        return {"basic": [USER, PASSWORD]}

    def links(self) -> dict[str, Any]:
        contacts = {
            "when": {"every": "1h"},
            "call": {
                "via": "crm",
                "get": CRM,
                "query": {"_since": "{{ since }}", "_sort": "last_modified", "_limit": 10},
                "pages": {"next": "{{ headers['next-page'] }}"},
            },
            "emit": {
                "type": "crm.contact",
                "each": "data",
                "key": "id",
                "cursor": {"record": "last_modified", "from": 0, "order": "asc"},
                "ignore": ["last_modified"],
                "deleted": "{{ record.deleted }}",
            },
        }
        at = BOOKS + "/crm-{{ subject }}"
        put = {"via": "books", "put": at, "json": {"data": {"name": "{{ data.name }}", "email": "{{ data.email }}"}}}
        delete = {"via": "books", "delete": at, "ok": "{{ status in [200, 404] }}"}
        return {
            "crm-contacts": contacts,
            "books-customer": on(put, "created", "updated"),
            "books-customer-off": on(delete, "deleted"),
        }

    def is_first(self, path: str, body: bytes) -> bool:
        return "_token=" not in path

    def records(self, body: bytes) -> list[Any] | None:
        found = json.loads(body).get("data")
        return found if isinstance(found, list) else None

    def with_records(self, body: bytes, records: list[Any]) -> bytes:
        return json.dumps({"data": records}).encode()

    def version(self, record: Any) -> tuple[str, str]:
        return record["id"], json.dumps(record, sort_keys=True)

    def written(self, path: str, body: bytes) -> tuple[str, str]:
        return path.rpartition("/")[2], json.dumps(json.loads(body), sort_keys=True) if body else ""

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "Kinto has ended"
        try:
            self._ask("GET", "/v1/")
        except OSError:
            return False
        return True

    def _ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        code = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {code}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300 or (missing and answer.status == 404), f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text)
