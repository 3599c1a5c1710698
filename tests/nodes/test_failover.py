"""A primary with a synchronous replica: what a failover, a hanging replica, or a pooler does to the servers on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.watched import Watched
from tests.postgres_pair import PostgresPair
from tidings.store.base import StoreBusy
from tidings.store.engines import nodes
from tidings.testing import Receiver, TestServer, until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
EVENT = {"type": "step", "data": {}}


@pytest.fixture(scope="module")
def pair() -> Iterator[PostgresPair]:
    with PostgresPair() as servers:
        yield servers


def test_nothing_that_was_acknowledged_is_lost_in_a_failover(tmp_path: Path, pair: PostgresPair) -> None:
    with Receiver() as receiver, TestServer(tmp_path, database=pair.database()) as server:
        server.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = [server.api.publish("step") for _ in range(50)]
        pair.kill_primary()
        pair.promote()
        until(lambda: server.api.call("POST", "/v1/events", EVENT).status == 202, "it goes on by itself")
        assert [server.api.call("GET", f"/v1/events/{event}").status for event in sent] == [200] * 50
        until(lambda: {each.id for each in receiver.requests()} >= set(sent), "all have arrived")
        assert server.server is not None and not server.server.failed
        pair.rejoin()
        server.api.publish("step")


def test_nobody_is_ended_while_commits_hang(
    tmp_path: Path, pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a replica no beat is committed, so everybody looks frozen; whoever cannot beat may not judge."""
    monkeypatch.setattr(nodes, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(nodes, "FROZEN_SECONDS", 1.0)
    url = pair.database()
    with TestServer(tmp_path, database=url) as server:
        assert server.server is not None
        session = server.server.writer.session
        watch = Watched(url)
        with watch:
            until(lambda: watch.looks > 2, "it watches")
            pair.hold_replica()
            try:
                before = nodes.uptime()
                until(lambda: nodes.uptime() > before + 3, "longer than a frozen server may live")
            finally:
                pair.free_replica()
            until(lambda: server.api.call("POST", "/v1/events", EVENT).status == 202, "commits go on")
        assert not watch.free and server.server.writer.session == session


def test_a_commit_that_does_not_wait_for_the_replica_is_refused(tmp_path: Path, pair: PostgresPair) -> None:
    url = pair.database()
    name = url.rpartition("/")[2]
    pair.execute(f"ALTER DATABASE {name} SET synchronous_commit = local")
    with pytest.raises(StoreBusy, match="synchronous_commit=local, which does not wait for the replica"):
        TestServer(tmp_path, database=url).start()
