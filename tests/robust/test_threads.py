"""A thread that breaks must not leave a server behind that hangs: it says so, stops, and its exit status is 1."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.robust.stalls import writer_of
from tidings.store.base import Db
from tidings.testing import Receiver, TestServer, until

SOON_SECONDS = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TestServer]:
    server = TestServer(tmp_path / "tidings")
    server.start()
    yield server
    server.stop()


def ends(server: TestServer) -> None:
    """Wait until the server has stopped by itself, as failed."""
    assert server.server is not None and server._thread is not None
    thread, began = server._thread, time.monotonic()
    until(lambda: not thread.is_alive(), "the server stops by itself", SOON_SECONDS)
    assert time.monotonic() - began < SOON_SECONDS
    assert server.server.failed


def broken(*args: Any, **more: Any) -> Any:
    raise RuntimeError("a mistake of ours")


def _events(db: Db) -> list[Any]:
    return db.query("SELECT id FROM event", {})


@pytest.mark.slow
def test_the_deliver_thread_breaks(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.server is not None
    monkeypatch.setattr(server.server.deliver._lanes, "read_head", broken)
    # What the server writes by itself at a start may break it before, and it may stop before it answers.
    with contextlib.suppress(OSError):
        server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
    ends(server)
    assert not server.server.deliver.alive


@pytest.mark.slow
def test_the_deliver_thread_breaks_while_taking_in_a_reply(
    server: TestServer, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setattr("tidings.deliver.results.take_in", broken)
    server.api.register(receiver.url())
    with contextlib.suppress(OSError):
        server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
    ends(server)


@pytest.mark.slow
def test_the_writer_breaks_before_it_answers(server: TestServer) -> None:
    writer = writer_of(server)
    # Not before: what the server writes by itself at a start may still be under way.
    writer.before_replies(lambda db: broken() if _events(db) else None)
    # It was committed, and the caller learns that, or loses the connection: it must not wait forever.
    reply = server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
    assert reply.status == 202
    ends(server)
    assert not writer.alive


@pytest.mark.slow
def test_the_writer_breaks_after_it_answered(server: TestServer) -> None:
    writer = writer_of(server)
    stored: list[Any] = []
    writer.before_replies(lambda db: stored.extend(_events(db)))
    writer.on_commit(lambda: broken() if stored else None)
    assert server.api.call("POST", "/v1/events", {"type": "step", "data": {}}).status == 202
    ends(server)


def test_callers_after_the_writer_broke_get_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestServer(tmp_path / "tidings") as server:
        assert server.server is not None
        # It does not stop, so that we can ask it.
        monkeypatch.setattr(writer_of(server), "_on_failure", lambda: None)
        writer_of(server).on_commit(broken)
        server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
        until(lambda: not writer_of(server).alive, "the writer is gone")
        began = time.monotonic()
        refused = server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
        assert refused.status == 503 and "retry-after" in refused.headers
        assert server.api.call("GET", "/readyz").status == 503
        assert time.monotonic() - began < 2
        assert server.api.call("GET", "/healthz").status == 200


@pytest.mark.slow
def test_readyz_says_that_deliveries_have_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestServer(tmp_path / "tidings") as server:
        assert server.server is not None
        deliver = server.server.deliver
        monkeypatch.setattr(deliver, "_on_failure", lambda: None)
        monkeypatch.setattr(deliver._lanes, "read_head", broken)
        server.api.publish("step")
        until(lambda: not deliver.alive, "the deliver thread is gone")
        refused = server.api.call("GET", "/readyz")
        assert refused.status == 503 and "deliver" in refused.json["detail"]
        # What comes meanwhile is stored, for the next start.
        assert server.api.call("POST", "/v1/events", {"type": "step", "data": {}}).status == 202


@pytest.mark.slow
def test_a_route_stage_that_breaks_stores_nothing_and_says_so(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.server is not None
    router: Any = server.server.parts.routing
    original = router.step
    monkeypatch.setattr(writer_of(server), "_rider", broken)
    refused = server.api.call("POST", "/v1/events", {"type": "step", "data": {}, "id": "one"})
    assert refused.status == 503
    assert server.api.call("GET", "/readyz").status == 503
    assert server.api.call("GET", "/v1/events/one").status == 404
    monkeypatch.setattr(writer_of(server), "_rider", original)
    assert server.api.publish("step", id="one") == "one"
