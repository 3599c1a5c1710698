"""Replays: the right deliveries once each, also when the server stops in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.control.world import World
from tidings.control import deliveries, replaying
from tidings.control.bulk.starting import bounded
from tidings.model.errors import Conflict, Invalid, NotFound
from tidings.model.link import Endpoint
from tidings.model.moment import HOUR
from tidings.model.replay import Replay, Which
from tidings.rules.reading.refused import Refused
from tidings.store import journal
from tidings.store.log import replays as stored


def begin(world: World, endpoint: Endpoint, which: Which, since: int = 0, until: int | None = None) -> Replay:
    """Store a replay; it is not run yet."""
    jobs = world.replays()
    until = world.clock.now() + 1 if until is None else until
    replay = world.readers.run(lambda db: jobs.prepare(db, endpoint, which, since, until))
    return world.writer.wait(lambda db: jobs.add(db, replay))


def now(world: World, replay: Replay) -> Replay:
    found = world.readers.run(lambda db: stored.read(db, replay.id))
    assert found is not None
    return found


def work(world: World, until: Callable[[], bool]) -> None:
    """Let the task of replays run until a condition holds, then stop it as a stop of the server would."""

    async def run() -> None:
        jobs = world.replays()
        jobs.start(asyncio.get_running_loop())
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(until):
                await asyncio.sleep(0.005)
        await jobs.stop()

    asyncio.run(run())
    # A step that was submitted before the stop is still written.
    world.writer.wait(lambda db: None)


def finish(world: World, replay: Replay) -> Replay:
    work(world, lambda: now(world, replay).state != "running")
    return now(world, replay)


@pytest.mark.slow
def test_which_failed_selects_the_dead_deliveries(world: World) -> None:
    endpoint, other = world.endpoint(), world.endpoint()
    world.publish(count=3)
    begun = world.clock.advance(60)
    world.publish(count=10)
    ended = world.clock.advance(60)
    world.publish(count=3)
    for row in world.list():
        world.attempt(row.number, "cancelled" if row.number % 5 == 0 else "dead")
    mine = world.list(links=frozenset([endpoint.num]), since=begun, until=ended)
    dead = [row.number for row in mine if row.state == "dead"]
    replay = begin(world, endpoint, "failed", begun, ended)
    assert replay.total == len(dead)
    done = finish(world, replay)
    assert (done.state, done.looked_at, done.sent) == ("done", len(dead), len(dead))
    waiting = world.list(state="waiting")
    assert sorted(row.number for row in waiting) == sorted(dead)
    assert all(row.due == world.clock.now() and row.attempts == 1 for row in waiting)
    assert "waiting" not in world.states(other) and endpoint.num in world.deliver.noticed
    assert finish(world, begin(world, endpoint, "failed", begun, ended)).sent == 0


def test_a_bulk_job_does_not_count_deliveries_that_are_no_longer_there(world: World) -> None:
    world.endpoint()
    world.writer.wait(lambda db: journal.move(db, "delivery", 1_000_000))
    world.publish(count=3)
    job = Replay(id="rpl_1", tenant=None, link=0, which="retry", since=0, until=world.clock.now() + 1, filter="{}")
    assert world.readers.run(lambda db: bounded(db, job)).total == 3


@pytest.mark.slow
def test_which_all_makes_new_deliveries_of_wanted_events(world: World) -> None:
    world.publish("a.b", count=4, data='{"n":1}')
    world.publish("a.b", count=3, data='{"n":2}')
    world.publish("c.d", count=2, data='{"n":1}')
    world.publish("a.b", count=2, data='{"n":1}', tenant="t1")
    endpoint = world.endpoint(events=("a.*",), filter={"data": {"n": 1}})
    jobs = world.replays()
    asked = world.readers.run(lambda db: jobs.prepare(db, endpoint, "all", 0, world.clock.now() + 1))
    assert world.readers.run(lambda db: jobs.count(db, asked, endpoint)) == 4
    assert world.count("delivery") == 0
    done = finish(world, begin(world, endpoint, "all"))
    assert (done.total, done.looked_at, done.sent) == (11, 11, 4)
    assert world.states(endpoint) == {"waiting": 4}
    everybody = world.endpoint(tenant="*")
    assert finish(world, begin(world, everybody, "all")).sent == 11


def test_tests_and_events_about_the_endpoint_are_not_replayed(world: World) -> None:
    endpoint, other = world.endpoint(events=("*", "endpoint.*")), world.endpoint()
    world.writer.wait(world.edits.test(other))
    world.publish("endpoint.failing", subject=endpoint.id)
    world.publish("endpoint.failing", subject=other.id)
    assert finish(world, begin(world, endpoint, "all")).sent == 1


@pytest.mark.slow
def test_a_stop_in_the_middle_neither_loses_nor_doubles(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "ROWS_PER_STEP", 7)
    world.publish(count=100)
    endpoint = world.endpoint()
    replay = begin(world, endpoint, "all")
    for share in (10, 50, 80):
        work(world, lambda: now(world, replay).sent >= share)
        between = now(world, replay)
        assert between.sent == world.count("delivery")
    done = finish(world, replay)
    assert (done.state, done.sent) == ("done", 100)
    events = [row.event for row in world.list()]
    assert len(events) == len(set(events)) == 100


def test_a_replay_can_be_cancelled(world: World) -> None:
    endpoint = world.endpoint()
    replay = begin(world, endpoint, "all")
    jobs = world.replays()
    assert world.writer.wait(lambda db: jobs.cancel(db, replay.id)).state == "cancelled"
    with pytest.raises(Conflict):
        world.writer.wait(lambda db: jobs.cancel(db, replay.id))
    with pytest.raises(NotFound):
        world.writer.wait(lambda db: jobs.cancel(db, "rpl_no"))


def test_a_replay_of_a_deleted_endpoint_ends(world: World) -> None:
    endpoint = world.endpoint()
    world.publish(count=3)
    replay = begin(world, endpoint, "all")
    world.writer.wait(world.edits.delete(endpoint))
    assert finish(world, replay).state == "cancelled"


def test_a_replay_needs_a_range_and_an_endpoint_that_sends(world: World) -> None:
    endpoint = world.endpoint()
    with pytest.raises(Invalid):
        begin(world, endpoint, "all", since=world.clock.now() + HOUR)
    world.writer.wait(world.edits.pause(endpoint, None))
    with pytest.raises(Conflict):
        begin(world, endpoint, "all")


def test_replays_are_listed_newest_first(world: World) -> None:
    endpoint, theirs = world.endpoint(), world.endpoint(tenant="t1")
    made = []
    for each in (endpoint, endpoint, theirs):
        world.clock.advance(1)
        made.append(begin(world, each, "all").id)

    def page(**more: object) -> list[str]:
        past, limit, up = more.pop("past", None), more.pop("limit", 10), more.pop("oldest_first", False)
        query = stored.ReplayQuery(**more)  # type: ignore[arg-type]
        found = world.readers.run(lambda db: stored.page(db, query, past, limit, oldest_first=up))  # type: ignore[arg-type]
        if past is None and limit == 10:
            assert world.readers.run(lambda db: stored.count(db, query)) == len(found)
        return [each.id for each in found]

    assert page() == made[::-1] and page(oldest_first=True) == made
    assert page(past=made[2], limit=1) == [made[1]]
    assert page(past=made[0], limit=1, oldest_first=True) == [made[1]]
    assert page(tenant="t1") == [made[2]] and page(link=endpoint.num) == [made[1], made[0]]
    assert page(state="done") == []


def retry(world: World, number: int) -> None:
    world.writer.wait(lambda db: deliveries.retry(db, world.catalog, world.clock, number))


@pytest.mark.parametrize("state", ["dead", "cancelled", "delivered"])
def test_a_retry_begins_a_new_round(world: World, state: str) -> None:
    world.endpoint()
    world.publish()
    (row,) = world.list()
    world.attempt(row.number, "waiting", due=world.clock.now() + HOUR)
    world.attempt(row.number, state)
    retry(world, row.number)
    (row,) = world.list(state="waiting")
    assert (row.due, row.attempts) == (world.clock.now(), 2)
    (stored_row,) = world.readers.run(lambda db: db.all("waiting_of", delivery=row.number))
    assert stored_row[4:6] == (2, 2)


def test_retrying_a_waiting_delivery_makes_it_due(world: World) -> None:
    endpoint = world.endpoint()
    world.publish(count=2)
    later, untried = (row.number for row in world.list())
    world.attempt(later, "waiting", due=world.clock.now() + HOUR)
    retry(world, later)
    retry(world, untried)
    assert {row.due for row in world.list(state="waiting")} == {world.clock.now()}
    assert world.count("waiting") == 1
    world.writer.wait(world.edits.pause(endpoint, None))
    with pytest.raises(Conflict):
        retry(world, later)
    with pytest.raises(NotFound):
        retry(world, 999)


def test_a_step_and_a_count_end_by_time(world: World) -> None:
    endpoint = world.endpoint(filter={"data": {"a": {"$in": ["y"]}}})
    world.publish(count=9, data='{"a":["x"]}')
    ticks = iter(range(1_000_000))
    jobs = replaying.Replaying(world.writer, world.catalog, world.clock, lambda link: None, lambda: next(ticks) * 0.015)
    until = world.clock.now() + 1
    replay = world.readers.run(lambda db: jobs.prepare(db, endpoint, "all", 0, until))
    world.writer.wait(lambda db: jobs.add(db, replay))
    world.writer.wait(lambda db: jobs._step(db, replay.id))
    assert now(world, replay).looked_at == 2
    while now(world, replay).state == "running":
        world.writer.wait(lambda db: jobs._step(db, replay.id))
    assert now(world, replay).looked_at == 9
    ticks = iter(range(0, 1_000_000, 1_000))
    with pytest.raises(Refused, match="takes too long"):
        world.readers.run(lambda db: jobs.count(db, replay, endpoint))
