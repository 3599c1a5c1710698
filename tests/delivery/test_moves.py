"""Every move in the table of states happens in a real flow, and the table is what decides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.delivery.world import World
from tidings.model.delivery import State
from tidings.rules.deliver import lifecycle
from tidings.rules.deliver.lifecycle import MOVES, Cause, Move
from tidings.testing import Reaction, until

Flow = Callable[[World], tuple[str, str]]
"""Leads a delivery through one move; returns its event and its endpoint."""


def failed(world: World, *, status: int = 500, **options: Any) -> tuple[str, str]:
    """A delivery whose first attempt failed."""
    world.receiver.answer(status)
    endpoint = world.register(**options)
    event = world.api.publish("step", subject="a")
    world.after_attempts(event, endpoint, 1)
    return event, endpoint


def success(world: World) -> tuple[str, str]:
    endpoint = world.register()
    event = world.api.publish("step")
    world.ended(event, endpoint)
    return event, endpoint


def unsendable(world: World) -> tuple[str, str]:
    endpoint = world.register()
    assert world.server.server is not None
    catalog, writer = world.server.server.parts.catalog, world.server.server.writer
    link = catalog.now.endpoints_by_id[endpoint]
    # libcurl takes URLs in ASCII only; none such is stored by the API.
    broken = msgspec.structs.replace(
        link, revision=2, what=msgspec.structs.replace(link.what, url="http://127.0.0.1/é")
    )
    writer.wait(lambda db: catalog.put_link(db, broken))
    event = world.api.publish("step")
    world.ended(event, endpoint)
    return event, endpoint


def park(world: World) -> tuple[str, str]:
    event, endpoint = failed(world, order="subject", order_max_age_seconds=1, retry_delays_seconds=[0, 5, 5])
    world.clock.advance(10)
    world.after_attempts(event, endpoint, 2)
    return event, endpoint


def split(world: World) -> tuple[str, str]:
    world.receiver.answer(400)
    endpoint = world.register(batch={"max_events": 2, "max_ms": 60_000})
    event, _ = [world.api.publish("step", {"n": n}) for n in range(2)]
    until(lambda: "in a batch of half the size" in str(world.delivery(event, endpoint)["attempts"][:1]), "it is split")
    return event, endpoint


def edit(world: World) -> tuple[str, str]:
    world.receiver.answer(Reaction(status=500, waits=True), path="/old")
    endpoint = world.register("/old", retry_delays_seconds=[0])
    event = world.api.publish("step")
    world.receiver.wait_for(1, path="/old")
    world.clock.advance(1)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
    world.receiver.release()
    world.ended(event, endpoint)
    return event, endpoint


def recovery(world: World) -> tuple[str, str]:
    """Two probes are under way: the second one is accepted, then the first one fails."""
    world.receiver.answer(500)
    endpoint = world.register()
    events = [world.api.publish("step") for _ in range(12)]

    def written_down() -> int:
        health, came = world.endpoint(endpoint)["health"], len(world.receiver.requests())
        return came if health["next_probe"] and health["fails"] == came else 0

    tried = until(written_down, "only probes are sent")
    world.receiver.answer(Reaction(status=500, waits=True), 204)
    world.clock.advance(10)
    world.receiver.wait_for(tried + 1)
    world.clock.advance(20)
    until(lambda: world.deliveries(endpoint=endpoint, state="delivered"), "it is well again")
    world.receiver.release()
    world.delivered(events, endpoint)
    return events[0], endpoint


def cancel(world: World) -> tuple[str, str]:
    event, endpoint = failed(world)
    world.api.post(f"/v1/deliveries/{world.delivery(event, endpoint)['id']}:cancel")
    world.ended(event, endpoint)
    return event, endpoint


def delete(world: World) -> tuple[str, str]:
    event, endpoint = failed(world)
    world.api.delete(f"/v1/endpoints/{endpoint}")
    until(lambda: len(world.delivery(event, endpoint)["attempts"]) == 2, "it is written down")
    return event, endpoint


def exhausted(world: World) -> tuple[str, str]:
    return failed(world, retry_delays_seconds=[0])


def again(before: Flow) -> Flow:
    """A retry by hand of what the flow leaves; it fails, and waits for another try."""

    def flow(world: World) -> tuple[str, str]:
        event, endpoint = before(world)
        world.receiver.answer(500)
        world.api.patch(f"/v1/endpoints/{endpoint}", {"retry_delays_seconds": [0, 60]})
        found = world.delivery(event, endpoint)
        world.api.post(f"/v1/deliveries/{found['id']}:retry")
        world.after_attempts(event, endpoint, len(found["attempts"]) + 1)
        return event, endpoint

    return flow


def replayed(world: World) -> tuple[str, str]:
    event, endpoint = exhausted(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"retry_delays_seconds": [0, 60]})
    world.clock.advance(1)
    world.api.post("/v1/replays", {"endpoint_id": endpoint, "since": "2020-01-01T00:00:00Z", "which": "failed"})
    world.after_attempts(event, endpoint, 2)
    return event, endpoint


def refused(world: World) -> tuple[str, str]:
    world.api.put("/v1/collections/orders", {"fields": {"title": "string"}})
    item = {"collection": "orders", "put": "{{ data.nothing }}", "data": {}}
    link = world.api.put("/v1/links/orders", {"when": {"event": "step"}, "item": item})["id"]
    event = world.api.publish("step")
    until(lambda: world.api.pages("/v1/deliveries", event=event, state="dead"), "it is written down")
    return event, link


def replace(world: World) -> tuple[str, str]:
    call = {"put": world.receiver.url("/"), "json": {}}
    link = world.api.put("/v1/links/orders", {"when": {"event": "step"}, "call": call, "order": "subject"})["id"]
    world.receiver.answer(500, 204)
    event = world.api.publish("step", subject="s")
    until(lambda: world.api.pages("/v1/deliveries", event=event)[0]["attempts"], "it is tried")
    newer = world.api.publish("step", subject="s")
    until(lambda: world.api.pages("/v1/deliveries", event=newer, state="delivered"), "the newer one is sent")
    return event, link


def replaced_and_retried(world: World) -> tuple[str, str]:
    event, link = replace(world)
    (found,) = world.api.pages("/v1/deliveries", event=event)
    world.receiver.answer(500)
    world.api.post(f"/v1/deliveries/{found['id']}:retry")
    until(lambda: world.api.pages("/v1/deliveries", event=event)[0]["attempts"] == 3, "it is tried again")
    return event, link


FLOWS: dict[tuple[State, Cause], Flow] = {
    ("waiting", "success"): success,
    ("waiting", "failure"): failed,
    ("waiting", "hold"): lambda world: failed(world, status=429),
    ("waiting", "split"): split,
    ("waiting", "park"): park,
    ("waiting", "exhausted"): exhausted,
    ("waiting", "given_up"): lambda world: failed(world, status=422, give_up_on=[422]),
    ("waiting", "refused"): refused,
    ("waiting", "unsendable"): unsendable,
    ("waiting", "cancel"): cancel,
    ("waiting", "delete"): delete,
    ("waiting", "replace"): replace,
    ("waiting", "edit"): edit,
    ("waiting", "recovery"): recovery,
    ("waiting", "retry"): again(failed),
    ("delivered", "retry"): again(success),
    ("dead", "retry"): again(exhausted),
    ("dead", "replay"): replayed,
    ("cancelled", "retry"): again(cancel),
    ("replaced", "retry"): replaced_and_retried,
}


@pytest.mark.few(5)
@pytest.mark.parametrize("move", MOVES, ids=lambda move: f"{move.source}-{move.cause}")
def test_every_move_of_the_table_happens_in_some_delivery(
    world: World, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[State, Cause]] = []
    after, fate = lifecycle.after, lifecycle.fate

    def ask(state: State, cause: Cause) -> State | None:
        asked.append((state, cause))
        return after(state, cause)

    def ask_of_waiting(cause: Cause) -> State:
        asked.append(("waiting", cause))
        return fate(cause)

    monkeypatch.setattr(lifecycle, "after", ask)
    monkeypatch.setattr(lifecycle, "fate", ask_of_waiting)
    event, _ = FLOWS[move.source, move.cause](world)
    assert (move.source, move.cause) in asked
    # An edit is followed by the attempt at the new URL, a recovery by one that succeeds.
    (found,) = world.deliveries(event=event)
    assert found["state"] == ("delivered" if move.cause in ("edit", "recovery") else move.target)
