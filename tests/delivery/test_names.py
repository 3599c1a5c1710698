"""Names whose servers never answer: they cost their own tenant, and nobody else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import Callers
from tests.delivery.world import World
from tests.net.test_names import NameServer
from tidings.net.names import Cares, Names
from tidings.net.reply import CANNOT_USE
from tidings.testing import ApiError, FakeClock, Receiver, TestServer, until

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer({"known.test": "127.0.0.1", "new.test": "127.0.0.1", "wiki.corp": "10.1.2.3", "no.corp": ""})
    yield server
    server.close()


@pytest.fixture
def world(
    tmp_path: Path,
    clock: FakeClock,
    database: str | None,
    receiver: Receiver,
    name_server: NameServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """A server that asks this name server, and does not wait long for it when an endpoint is made."""
    monkeypatch.setattr("tidings.server.Names", lambda: Names(Cares([name_server.where])))
    monkeypatch.setattr("tidings.control.endpoints.edit.RESOLVE_SECONDS", 0.02)
    with TestServer(tmp_path / "tidings", clock=clock, database=database) as server:
        yield World(server, clock, receiver)


@pytest.mark.slow
def test_sixty_names_that_never_answer_delay_no_other_tenant(world: World) -> None:
    for number in range(60):
        world.api.post(
            "/v1/endpoints", {"url": f"http://n{number}.lost.test/", "tenant": "slow", "timeout_seconds": 0.3}
        )
    known = world.api.post("/v1/endpoints", {"url": world.receiver.url("/known", "known.test"), "tenant": "quick"})[
        "id"
    ]
    lost = [world.api.publish("step", tenant="slow") for _ in range(3)]
    begun = time.monotonic()
    new, _ = world.api.register(world.receiver.url("/new", "new.test"), tenant="quick")
    event = world.api.publish("step", tenant="quick")
    world.delivered([event], known)
    world.delivered([event], new)
    assert time.monotonic() - begun < 5
    attempt = world.after_attempts(lost[0], world.deliveries(event=lost[0])[0]["endpoint_id"], 1)["attempts"][0]
    assert (attempt["outcome"], attempt["reason"]) == ("dns_failed", "The name did not resolve within 0.3 s.")


@pytest.mark.slow
def test_an_import_is_not_delayed_by_names_that_never_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.control.endpoints.edit.RESOLVE_SECONDS", 3.0)
    world.api.put("/v1/collections/parts", {"fields": {"name": "string"}})
    answered: list[int] = []

    def register(number: int) -> None:
        world.api.post("/v1/endpoints", {"url": f"http://n{number}.lost.test/", "tenant": "slow"})
        answered.append(number)

    asked = world.server.server.parts.names  # type: ignore[union-attr]
    callers = Callers(20, register)
    until(lambda: asked.share.view().used > 0, "names are looked up")
    done = world.api.call("POST", "/v1/items/parts:import", b"name\na\n", {"Content-Type": "text/csv"})
    assert done.json["created"] == 1
    assert answered == [], "it waited for none of them"
    callers.join()


def test_a_tenant_does_not_learn_what_a_name_resolves_to(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidings.control")
    key = world.api.post("/v1/keys", {"tenant": "acme", "scopes": ["endpoints:read", "endpoints:write"]})["key"]
    tenant = world.api.with_key(key)
    said = set()
    for host in ("wiki.corp", "no.corp"):
        with pytest.raises(ApiError) as refused:
            tenant.post("/v1/endpoints", {"url": f"https://{host}/hook"})
        problem = refused.value.problem
        said.add((refused.value.status, problem["detail"], problem["errors"][0]["code"]))
    assert said == {(422, CANNOT_USE, "refused_address")}
    logged = [record.getMessage() for record in caplog.records if record.name == "tidings.control"]
    assert "10.1.2.3" in next(line for line in logged if line.startswith("tenant acme may not use wiki.corp: "))
    assert "tenant acme may not use no.corp: no such name" in logged
    # The operator may make them; what their attempts say is for the tenant to read.
    attempts = set()
    for host in ("no.corp", "wiki.corp"):
        endpoint = None
        try:
            endpoint = world.api.post("/v1/endpoints", {"url": f"https://{host}/hook", "tenant": "acme"})["id"]
        except ApiError as refused_too:
            assert "10.1.2.3" in refused_too.problem["detail"]
            continue
        found = world.after_attempts(world.api.publish("step", tenant="acme"), endpoint, 1)["attempts"][0]
        attempts.add((found["outcome"], found["reason"]))
    assert attempts == {("dns_failed", CANNOT_USE)}
