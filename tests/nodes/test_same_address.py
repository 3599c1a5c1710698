"""Two servers that say they are reached at the same address: the second one does not start, or both say so."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest

from tests.nodes.joined import KEY, Node
from tidings.store.base import StoreError
from tidings.store.engines import nodes
from tidings.store.engines.opening import shared_engine
from tidings.testing import TestServer, until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def server(folder: Path, url: str, node_url: str = "") -> TestServer:
    return TestServer(folder, database=url, join=True, secret_key=KEY, node_url=node_url)


@pytest.mark.parametrize("spelled", ["http://10.0.0.5:8080", "http://10.0.0.5:8080/"])
def test_a_second_server_at_an_address_does_not_start(tmp_path: Path, postgres_url: str, spelled: str) -> None:
    with server(tmp_path / "one", postgres_url, "http://10.0.0.5:8080"):
        with pytest.raises(
            StoreError, match=r"tidings@\S+ \(its id is [0-9a-f]{16}\) is registered at http://10"
        ) as found:
            server(tmp_path / "two", postgres_url, spelled).start()
        assert "set node_url to where the other servers reach this one" in str(found.value)
        with server(tmp_path / "three", postgres_url, "http://10.0.0.6:8080"):
            pass


def test_who_was_killed_there_keeps_nobody_from_starting(tmp_path: Path, postgres_url: str) -> None:
    """As a container that is started again: the one before says no longer that it lives."""
    with Node(tmp_path / "one", postgres_url, node_url="http://10.0.0.5:8080") as before:
        before.start()
        before.kill()
        with Node(tmp_path / "two", postgres_url, node_url="http://10.0.0.5:8080") as after:
            after.start()
            assert after.status() == 200
            after.kill()


def test_a_machine_that_is_gone_keeps_nobody_from_starting_for_long(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has told the database, so its session is still there with the pen: but it was not heard of for a while."""
    engine = shared_engine(postgres_url)
    with server(tmp_path / "other", postgres_url, "http://10.0.0.6:8080"):
        held = shared_engine(postgres_url, joined=True, wants_to_send=False)
        with contextlib.closing(held.writer()) as session, contextlib.closing(engine.builder()) as db:
            gone = nodes.Own(id="gone", version="1", address="http://10.0.0.5:8080", joined=True, sends=False)
            nodes.beat(db, gone, session.session)
            with server(tmp_path / "again", postgres_url, "http://10.0.0.5:8080"):
                assert [each.role for each in nodes.seen(db) if each.id == "gone"] == ["takes in"]


def test_nodes_that_find_one_another_at_one_address_later_say_so(
    tmp_path: Path, postgres_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a pause of the one that was there first."""
    monkeypatch.setattr(nodes, "ADDRESS_BEATS", 1)
    with server(tmp_path / "one", postgres_url, "http://10.0.0.5:8080") as one:
        with server(tmp_path / "two", postgres_url, "http://10.0.0.6:8080") as two, caplog.at_level(logging.WARNING):
            assert one.server is not None and two.server is not None
            beat = two.server._beat
            assert beat is not None
            beat.own.address = "http://10.0.0.5:8080"
            until(lambda: len(said(caplog, "is registered at http://10.0.0.5:8080")) == 2, "both say so, once")
        until(lambda: len(said(caplog, "no other server is registered at")) > 0, "and that it is over")


def said(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [each.getMessage() for each in caplog.records if text in each.getMessage()]
