"""A rolling upgrade: the version before runs on the schema of the next one, and an upgrade can be undone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidings
from tests.nodes.joined import seen
from tidings.cli.local.doctor_local import look_at_database
from tidings.store.engines.migrate import ADDS, migrations
from tidings.testing import ProcessServer, Receiver, until

pytestmark = pytest.mark.slow
KEY = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy1mb3ItdGVzdHM="
MORE = f"""-- What the next version needs.
{ADDS}
ALTER TABLE event ADD COLUMN later TEXT;
ALTER TABLE attempt ADD COLUMN later INTEGER NOT NULL DEFAULT 7;
CREATE TABLE later (id TEXT NOT NULL PRIMARY KEY, link INTEGER) STRICT;
CREATE INDEX later_by_link ON later (link);
"""


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Python finds the next version: today's with a migration more."""
    folder = tmp_path_factory.mktemp("next")
    package = folder / "tidings"
    # With what Python has compiled, which is valid for the copies, too.
    shutil.copytree(Path(tidings.__file__).parent, package)
    number = migrations()[-1][0] + 1
    (package / "store" / "migrations" / f"{number:04d}_later.sql").write_text(MORE)
    start = package / "__init__.py"
    start.write_text(re.sub(r'__version__ = "[^"]+"', '__version__ = "99.0.0"', start.read_text()))
    yield folder


class _Version(ProcessServer):
    """A server of one version or the other, which is started by hand."""

    def __init__(self, folder: Path, database: str | None, code: Path | None = None, **settings: Any) -> None:
        super().__init__(folder, database=database, secret_key=KEY, **settings)
        if code is not None:
            self._environment["PYTHONPATH"] = str(code)

    def __enter__(self) -> ProcessServer:
        return self

    def version(self) -> str:
        """What it says that it is."""
        found = re.search(r'tidings_info{version="([^"]+)"}', self.api.call("GET", "/metrics").body.decode())
        assert found is not None
        return found[1]


def _sends(server: ProcessServer, receiver: Receiver) -> str:
    event = server.api.publish("step")
    until(lambda: event in {each.id for each in receiver.requests()}, "the event has arrived")
    return event


def test_an_upgrade_can_be_undone_and_nothing_is_lost(tmp_path: Path, database: str | None, next_version: Path) -> None:
    before, after = (_Version(tmp_path, database, code) for code in (None, next_version))
    with Receiver() as receiver:
        sent = list[str]()
        for server in (before, after, before, after):
            with server:
                server.start()
                assert (server.version() == "99.0.0") == (server is after)
                if not sent:
                    server.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
                sent.append(_sends(server, receiver))
                kept = [each["id"] for each in server.api.get("/v1/events?type=step")["data"]]
                assert sorted(kept) == sorted(sent)
        assert [each.id for each in receiver.requests()] == sent, "each arrived once"
    if database is None:
        lines = {each.what: each for each in look_at_database("sqlite:tidings.db", tmp_path / "data")}
        assert lines["schema"].state == "ok"
        assert "but can still run with it, so you can go back to this version." in lines["schema"].detail


@pytest.mark.postgres
def test_two_servers_are_upgraded_one_after_the_other_and_back(
    tmp_path: Path, postgres_url: str, next_version: Path
) -> None:
    old = _Version(tmp_path / "one", postgres_url, standby=True)
    new = _Version(tmp_path / "two", postgres_url, next_version, standby=True)

    def stands_by(server: ProcessServer) -> bool:
        try:
            return server.api.with_key(None).call("GET", "/healthz").status == 200
        except OSError:
            return False

    with Receiver() as receiver, old, new:
        old.start()
        old.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = [_sends(old, receiver)]
        new.launch()
        until(lambda: stands_by(new), "the new version stands by")
        sent.append(old.api.publish("step"))
        old.kill()
        new.wait_until_ready()
        assert new.version() == "99.0.0"
        sent.append(_sends(new, receiver))
        old.launch()
        until(lambda: stands_by(old), "the old version stands by on the new schema")
        assert new.stop() == 0
        old.wait_until_ready()
        sent.append(_sends(old, receiver))
        until(lambda: {each.id for each in receiver.requests()} == set(sent), "all have arrived")


@pytest.mark.postgres
def test_joined_servers_are_upgraded_one_after_the_other_and_back(
    tmp_path: Path, postgres_url: str, next_version: Path
) -> None:
    old = _Version(tmp_path / "one", postgres_url, join=True)
    new = _Version(tmp_path / "two", postgres_url, next_version, join=True)
    with Receiver() as receiver, old, new:
        old.start()
        old.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        new.start()
        versions = {each.address: (each.version, each.role) for each in seen(postgres_url)}
        there = {old.url: (tidings.__version__, "sends"), new.url: ("99.0.0", "takes in")}
        assert versions == there, "both work on the new schema"
        sent = [_sends(server, receiver) for server in (old, new)]
        assert old.stop() == 0
        sent.append(_sends(new, receiver))
        old.start()
        sent += [_sends(server, receiver) for server in (old, new)]
        assert [each.id for each in receiver.requests()] == sent, "each arrived once"
        new.kill()
        sent.append(_sends(old, receiver))
        until(lambda: {each.id for each in receiver.requests()} == set(sent), "all have arrived")
        old.stop()
