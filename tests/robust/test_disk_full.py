"""A disk that is really full: 503 with Retry-After, nothing half stored, no result lost, and on by itself after it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

ROOM_BYTES = 48 * 1024 * 1024
LIMIT_BYTES = 256 * 1024
BODY = "x" * 2000


pytestmark = pytest.mark.slow


class Room:
    """Where a server's data lies, and how to take away and give back its room."""

    def __init__(self, server: ProcessServer) -> None:
        self.server = server

    def fill(self) -> None:
        """Let nothing more be written."""
        raise AssertionError

    def free(self) -> None:
        """Give the room back."""
        raise AssertionError

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """What is started in here finds it full, if it is."""
        yield


class SmallDisk(Room):
    """A file system of a few MB (needs root)."""

    def fill(self) -> None:
        ballast = self.server.folder / "data" / "ballast"
        with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 16, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        (self.server.folder / "data" / "ballast").unlink()


class FileLimit(Room):
    """The limit that an ordinary user can set: files of the process cannot grow beyond a size."""

    limited = False

    def fill(self) -> None:
        self.limited = True
        self._limit(LIMIT_BYTES)

    def free(self) -> None:
        self.limited = False
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        if self.server.process is not None:
            hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if self.limited:
            resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=["limit", "disk"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    server = ProcessServer(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    mounted = False
    if request.param == "disk":
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small disk; the limit on files is tested in its place")
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "tmpfs", data],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            pytest.skip(f"a small disk cannot be mounted here ({made.stderr.strip()}); the limit on files is tested")
        mounted = True
    try:
        server.start()
        yield SmallDisk(server) if mounted else FileLimit(server)
    finally:
        server.kill()
        if mounted:
            subprocess.run(["umount", "-l", data], check=False)


def publish_until_refused(room: Room, acknowledged: list[str]) -> None:
    """Publish until the disk is full; what was acknowledged is added."""
    for n in range(3000):
        reply = room.server.api.call("POST", "/v1/events", {"type": "step", "data": {"n": n, "x": BODY}})
        if reply.status == 503:
            assert int(reply.headers["retry-after"]) > 0
            assert "Nothing was stored" in reply.json["detail"] and "disk" in reply.json["detail"]
            return
        assert reply.status == 202, reply
        acknowledged.append(reply.json["id"])
    raise AssertionError("the disk did not fill")


def goes_on(room: Room) -> None:
    """Wait until a publish is accepted again, without a restart."""
    until(
        lambda: room.server.api.call("POST", "/v1/events", {"type": "other", "data": {}}).status == 202,
        "it goes on",
        15,
    )


def test_a_full_disk_loses_nothing(room: Room) -> None:
    api = room.server.api
    with Receiver() as receiver:
        endpoint, _ = api.register(receiver.url("/held"), events=["held"])
        other, _ = api.register(receiver.url("/step"), events=["step"])
        receiver.answer(Reaction(waits=True), path="/held")
        held = [api.publish("held", {"n": n}) for n in range(8)]
        acknowledged = [api.publish("step", {"n": n, "x": BODY}) for n in range(150)]
        receiver.wait_for(8, path="/held")
        room.fill()
        publish_until_refused(room, acknowledged)
        batch = [{"type": "step", "id": f"batch-{n}", "data": {"n": n, "x": BODY}} for n in range(300)]
        assert api.call("POST", "/v1/events:batch", {"events": batch}).status == 503
        ready = api.call("GET", "/readyz")
        assert ready.status == 503 and ready.json["detail"].startswith("Writes are refused: the disk"), ready
        # The result of attempts cannot be stored now; reading continues, and nobody ends.
        receiver.release()
        assert api.call("GET", "/healthz").status == 200
        assert api.get("/v1/events", limit=1)["data"]
        assert api.call("GET", f"/v1/endpoints/{endpoint}").status == 200
        until(lambda: "could not be written" in room.server.log, "the log says so")
        time.sleep(2.5)  # Longer than the rest after a refusal: nothing may be sent again meanwhile.
        assert len(receiver.requests("/held")) == 8
        room.free()
        until(lambda: api.call("GET", "/readyz").status == 200, "it is ready again by itself")
        goes_on(room)
        until(lambda: delivered(room, endpoint) >= set(held), "what was held is settled", 20)
        until(lambda: delivered(room, other) >= set(acknowledged), "everything acknowledged is delivered", 30)
        assert len(receiver.requests("/held")) == 8
        found = [api.call("GET", f"/v1/events/batch-{n}").status for n in (0, 1, 150, 299)]
        assert found == [404] * 4
        sent = [each.id for each in receiver.requests("/step")]
        assert sorted(sent) == sorted(set(sent)), "no delivery was made twice"
        assert set(sent) == set(acknowledged), "and none of a refused event"


def test_a_page_of_a_poll_that_does_not_fit_is_read_again_and_nothing_is_repeated(room: Room) -> None:
    api, records = room.server.api, {f"k{n}": 0 for n in range(200)}

    def page(_: Received) -> Reaction:
        body = json.dumps({"items": [{"id": key, "v": v, "x": BODY} for key, v in records.items()]}).encode()
        return Reaction(
            status=200, body=body, headers={"Content-Type": "application/json"}, waits=not peer.requests()[1:]
        )

    with Receiver() as peer:
        peer.answer_by(page)
        api.put("/v1/connections/source", {"base": peer.url("").rstrip("/")})
        pull = {
            "when": {"every": "1s"},
            "call": {"via": "source", "get": "/"},
            "emit": {"type": "source.item", "each": "items", "key": "id"},
            "retry_delays_seconds": [0, *[1] * 19],
        }
        api.put("/v1/links/pull", pull)
        peer.wait_for(1)
        room.fill()
        publish_until_refused(room, [])
        peer.release()
        until(lambda: "could not be written" in room.server.log, "the log says so", 20)
        room.free()
        goes_on(room)

        def seen(kind: str) -> list[str]:
            return sorted(each["subject"] for each in api.pages("/v1/events", type=f"source.item.{kind}"))

        until(lambda: seen("created"), "the page is stored", 30)
        assert seen("created") == sorted(records), "all of it, each once"
        records["k7"] = 1
        until(lambda: seen("updated"), "the next run sees a change", 20)
        assert (seen("updated"), seen("created"), seen("deleted")) == (["k7"], sorted(records), [])


def test_a_restart_while_it_is_full(room: Room) -> None:
    with Receiver() as receiver:
        endpoint, _ = room.server.api.register(receiver.url("/"), events=["step"])
        receiver.down()
        acknowledged = [room.server.api.publish("step", {"n": n, "x": BODY}) for n in range(150)]
        room.fill()
        publish_until_refused(room, acknowledged)
        room.server.kill()
        receiver.up()
        with room.starting():
            try:
                room.server.start()
            except RuntimeError:
                sentence = room.server.log.strip().splitlines()[-1]
                assert sentence.startswith("tidings: ") and "disk" in sentence
        assert "Traceback" not in room.server.log
        if room.server.process is not None:
            assert room.server.api.call("GET", "/v1/events").status == 200
        room.free()
        if room.server.process is None:
            room.server.start()
        goes_on(room)
        until(lambda: delivered(room, endpoint) >= set(acknowledged), "everything acknowledged is delivered", 60)


def test_a_stop_while_it_is_full(room: Room) -> None:
    with Receiver() as receiver:
        endpoint, _ = room.server.api.register(receiver.url("/"), events=["step"])
        receiver.answer(Reaction(delay_seconds=0.05))
        acknowledged = [room.server.api.publish("step", {"n": n, "x": BODY}) for n in range(150)]
        room.fill()
        publish_until_refused(room, acknowledged)
        began = time.monotonic()
        assert room.server.stop() == 0
        assert time.monotonic() - began < 10
        room.free()
        room.server.start()
        until(lambda: delivered(room, endpoint) >= set(acknowledged), "everything acknowledged is delivered", 60)


def delivered(room: Room, endpoint: str) -> set[str]:
    """The events that an endpoint got, as stored."""
    found = room.server.api.pages("/v1/deliveries", endpoint=endpoint, state="delivered", limit=1000)
    return {each["event_id"] for each in found}
