"""The seam: another kind of link is its own action, and goes through the same lanes, retries and settlements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from tests.delivery.world import World
from tests.robust.stalls import UnknownCommits
from tidings.deliver.actions import ACTIONS
from tidings.deliver.actions.action import Carried, Prepared, Result, Tools
from tidings.deliver.settle import Emit, FollowUp
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import KINDS, Link, Pacing
from tidings.model.moment import Micros
from tidings.net.http import AnswerLimits, HttpRequest, Reply
from tidings.rules.deliver import judgement
from tidings.testing import Reaction, until

pytestmark = pytest.mark.own_server


class Nothing(msgspec.Struct, frozen=True):
    """Nothing is secret."""


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """What a link needs that fetches something whenever an event comes."""

    base: str
    sealed: Nothing = Nothing()


class FetchAction:
    """Asks for what an event names, and tells what came as an event."""

    follows = True

    def __init__(self, link: Link[Fetch], tools: Tools) -> None:
        self.destination = link.what.base
        self.send: Callable[[Any, Callable[[Any], None]], None] = tools.send

    def fitting(self, events: Sequence[Event]) -> int:
        return 1

    def line(self, event: Event) -> str | None:
        return event.subject

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        url = f"{self.destination}/{events[0].subject}"
        wanted = AnswerLimits(keep_bytes=1_000_000, read_bytes=1_000_000, seconds=5)
        return Prepared(HttpRequest(url, ["Accept: application/json"], b"", 5, method="GET", wanted=wanted), "{}", 0)

    def judge(self, reply: Reply, now: Micros) -> Result:
        # 404 is an answer too: there is no such thing.
        fine = reply.failure is None and reply.status in (200, 404)
        outcome, judged = (outcomes.OK, judgement.OK) if fine else (outcomes.BAD_STATUS, judgement.FAULT)
        return Result(outcome, judged, f"It answered {reply.status}.", reply.status, reply.duration_ms, reply.body)

    def follow(self, events: Sequence[Event], reply: Reply, now: Micros) -> FollowUp | None:
        if reply.status == 404:
            return None
        data = msgspec.json.encode({"bytes": len(reply.body), "etag": reply.header("etag")}).decode()
        return Emit((Event(id=f"{events[0].id}.got", type="fetched", time=now, data=data),))


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "fetch", Fetch)
    monkeypatch.setitem(ACTIONS, "fetch", FetchAction)


@pytest.fixture
def link(world: World, kinds: None) -> Iterator[Link[Fetch]]:
    """A link of the new kind."""
    assert world.server.server is not None
    catalog, writer = world.server.server.parts.catalog, world.server.server.writer
    made = Link(
        num=70,
        id="lk_1",
        kind="fetch",
        tenant=None,
        events=("pinged",),
        pacing=Pacing(retry_delays_seconds=(0, 5)),
        what=Fetch(base=world.receiver.url("")),
    )
    writer.wait(lambda db: catalog.put_link(db, made))
    yield made


def fetched(world: World, count: int) -> list[dict[str, Any]]:
    """What came, once it is that many."""
    found = until(
        lambda: len(found := world.api.pages("/v1/events", type="fetched")) >= count and found, f"{count} were fetched"
    )
    assert found and len(found) == count
    return [world.api.get(f"/v1/events/{each['id']}")["data"] for each in found]


@pytest.mark.slow
def test_another_kind_of_link_is_one_action(world: World, link: Link[Fetch]) -> None:
    body = b"x" * 500_000
    answer = Reaction(status=200, body=body, headers={"ETag": '"7"'})
    world.receiver.answer(Reaction(status=500), answer, path="/a")
    event = world.api.publish("pinged", subject="a")
    until(lambda: (world.clock.advance(1), len(world.receiver.requests("/a")) == 2)[1], "it is asked again")
    assert fetched(world, 1) == [{"bytes": 500_000, "etag": '"7"'}]
    assert [each.method for each in world.receiver.requests("/a")] == ["GET", "GET"]
    assert world.api.get("/v1/events/" + event + ".got")["type"] == "fetched"
    assert world.api.pages("/v1/endpoints") == [], "it is no endpoint"


@pytest.mark.slow
def test_failed_attempts_have_no_follow_ups(world: World, link: Link[Fetch]) -> None:
    world.receiver.answer(500, path="/b")
    world.receiver.answer(404, path="/c")
    world.receiver.answer(200, path="/d")
    for subject in ("b", "c", "d"):
        world.api.publish("pinged", subject=subject)
    fetched(world, 1)


@pytest.mark.slow
def test_follow_ups_happen_once_even_if_the_commit_is_not_answered(world: World, link: Link[Fetch]) -> None:
    commits = UnknownCommits(world.server)
    world.receiver.answer(Reaction(status=200, waits=True), path="/e")
    world.api.publish("pinged", subject="e")
    world.receiver.wait_for(1, path="/e")
    commits.lose(1)
    world.receiver.release()
    until(lambda: commits.lost == 1, "the settlement's answer is lost")
    until(lambda: (world.clock.advance(1), world.api.pages("/v1/events", type="fetched"))[1], "it goes on", 20)
    world.receiver.answer(200, path="/f")
    world.api.publish("pinged", subject="f")
    # The stage rests for a second after a failed commit, by this clock.
    until(lambda: (world.clock.advance(1), len(world.receiver.requests("/f")) == 1)[1], "the next one is asked", 20)
    fetched(world, 2)
    assert len(world.receiver.requests("/e")) == 1


def test_every_kind_of_link_has_an_action() -> None:
    assert set(ACTIONS) == set(KINDS)
