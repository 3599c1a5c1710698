"""Private addresses: refused when an endpoint is created, and again when an attempt would connect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.world import World
from tidings.testing import ApiError, FakeClock, Receiver, TestServer

pytestmark = pytest.mark.sqlite_only

SPELLINGS = (
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://localhost/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "http://224.0.0.1/",
    "http://0.0.0.0/",
    "http://[fd00::1]/",
    "http://[fe80::1]/",
)


@pytest.fixture
def guarded(tmp_path: Path, clock: FakeClock, database: str | None) -> TestServer:
    """A server as it is by default: no private range is open. Not started."""
    return TestServer(tmp_path / "guarded", clock=clock, database=database, allow_addresses="")


@pytest.mark.slow
def test_private_addresses_are_refused_at_creation(guarded: TestServer) -> None:
    with guarded:
        for url in SPELLINGS:
            with pytest.raises(ApiError) as refused:
                guarded.api.post("/v1/endpoints", {"url": url})
            assert refused.value.status == 422, url
            assert refused.value.problem["errors"][0]["pointer"] == "/url", refused.value.problem
            assert refused.value.problem["detail"].endswith("."), url
        assert guarded.api.get("/v1/endpoints")["data"] == []


@pytest.mark.slow
def test_private_addresses_are_refused_in_an_edit(guarded: TestServer) -> None:
    with guarded:
        endpoint = guarded.api.post("/v1/endpoints", {"url": "http://nobody.invalid/"})["id"]
        with pytest.raises(ApiError) as refused:
            guarded.api.patch(f"/v1/endpoints/{endpoint}", {"url": "http://127.0.0.1/"})
        assert refused.value.status == 422
        assert guarded.api.get(f"/v1/endpoints/{endpoint}")["url"] == "http://nobody.invalid/"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
@pytest.mark.few(2)
def test_private_addresses_are_refused_in_the_attempt(
    tmp_path: Path, clock: FakeClock, database: str | None, receiver: Receiver, host: str
) -> None:
    """The range was open when the endpoint was made, and is closed when the attempt is."""
    folder = tmp_path / "tidings"
    with TestServer(folder, clock=clock, database=database, allow_addresses="127.0.0.0/8,::1/128") as open_server:
        endpoint = open_server.api.post("/v1/endpoints", {"url": receiver.url(host=host)})["id"]
    with TestServer(folder, clock=clock, database=database, allow_addresses="") as server:
        world = World(server, clock, receiver)
        event = world.api.publish("step")
        found = world.after_attempts(event, endpoint, 1)["attempts"][0]
        assert found["outcome"] == "refused_address"
        assert "TIDINGS_ALLOW_ADDRESSES=" in found["reason"]
        assert receiver.connections == 0


def test_an_opened_range_opens_only_itself(world: World) -> None:
    world.register()
    with pytest.raises(ApiError, match="422"):
        world.api.post("/v1/endpoints", {"url": "http://10.0.0.1/"})
