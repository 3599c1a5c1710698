"""Lists of deliveries: the right ones, newest first, whatever the page size and the place they are read from."""

from __future__ import annotations

import pytest

from tests.control.world import World
from tidings.deliver.settle import Settlement
from tidings.model.link import LinkState
from tidings.model.moment import HOUR
from tidings.store.base import Db
from tidings.store.catalog import Snapshot
from tidings.store.log import lists
from tidings.store.log.lists import DeliveryRow


def test_every_state_is_found_and_shown(world: World) -> None:
    one, other = world.endpoint(), world.endpoint()
    world.publish(count=10)
    numbers = [row.number for row in world.list(links=frozenset([one.num]))]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == 10
    for number, state in zip(numbers, ["delivered", "dead", "cancelled", "replaced"], strict=False):
        world.attempt(number, state)
    due = world.clock.now() + HOUR
    world.attempt(numbers[4], "waiting", due=due)
    assert world.states(one) == {"delivered": 1, "dead": 1, "cancelled": 1, "replaced": 1, "waiting": 6}
    assert world.states(other) == {"waiting": 10}
    for state, expected in (("delivered", 1), ("dead", 1), ("cancelled", 1), ("replaced", 1), ("waiting", 16)):
        assert len(world.list(state=state)) == expected
        assert [row.state for row in world.list(state=state)] == [state] * expected
        mine = world.list(state=state, links=frozenset([one.num]))
        assert len(mine) == world.states(one)[state]
    assert {row.number: row.due for row in world.list(state="waiting")}[numbers[4]] == due


def test_pages_neither_skip_nor_repeat(world: World) -> None:
    endpoints = [world.endpoint() for _ in range(3)]
    world.publish(count=40)
    everything = [row.number for row in world.list()]
    assert everything == sorted(set(everything), reverse=True) and len(everything) == 120
    links = frozenset(each.num for each in endpoints[:2])
    assert [row.number for row in world.list(links=links, limit=9)] == [
        row.number for row in world.list(limit=1000) if row.link in links
    ]


@pytest.mark.slow
@pytest.mark.parametrize("merged_max", [50, 1])
def test_what_ended_or_waits_is_listed_alike_for_some_links_and_for_all(
    world: World, monkeypatch: pytest.MonkeyPatch, merged_max: int
) -> None:
    endpoints = [world.endpoint() for _ in range(3)]
    world.publish(count=12)
    states = ["dead", "waiting", "cancelled", "dead", "replaced", "delivered"]
    for at, row in enumerate(world.list()):
        world.attempt(row.number, states[at // 3 % 6], due=world.clock.now() + HOUR if at // 3 % 6 == 1 else None)
    monkeypatch.setattr(lists, "LINKS_MERGED_MAX", merged_max)
    for links in (frozenset([endpoints[1].num]), frozenset(each.num for each in endpoints[1:])):
        for state in ("dead", "waiting", "cancelled", "replaced", None):
            for oldest_first in (False, True):
                asked = {"oldest_first": oldest_first, **({} if state is None else {"state": state})}
                every = [row.number for row in world.list(**asked, limit=1000) if row.link in links]
                assert [row.number for row in world.list(**asked, links=links, limit=2)] == every
                assert len(every) >= 2 * len(links)


def test_an_endpoint_without_dead_deliveries_is_listed_without_reading_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, quiet = world.endpoint(), world.endpoint()
    world.publish(count=10)
    for row in world.list(links=frozenset([other.num])):
        world.attempt(row.number, "dead")
    read: list[int] = []
    whole = lists.rows_of

    def noted(db: Db, snapshot: Snapshot, numbers: set[int]) -> list[DeliveryRow]:
        read.extend(numbers)
        return whole(db, snapshot, numbers)

    monkeypatch.setattr(lists, "rows_of", noted)
    assert world.list(state="dead", links=frozenset([quiet.num])) == [] == read


def test_by_time_and_by_event(world: World) -> None:
    world.endpoint()
    first = world.publish(count=5)
    middle = world.clock.advance(60)
    second = world.publish(count=5)
    end = world.clock.advance(60)
    world.publish(count=5)
    assert {row.event_id for row in world.list(since=middle, until=end)} == set(second)
    assert {row.event_id for row in world.list(until=middle)} == set(first)
    assert [row.event_id for row in world.list(event=first[2])] == [first[2]]
    assert world.list(since=end + HOUR) == [] and world.list(event="evt_no") == []


def test_waiting_is_found_in_the_backlog_of_a_link_that_lags(world: World) -> None:
    slow = world.endpoint()
    world.publish(count=20)
    numbers = sorted(row.number for row in world.list())

    def lag(db: object) -> None:
        state = LinkState(link=slow.num, cursor=numbers[4], fails=3, failing_since=1, last_failure=1, open=True)
        settlement = Settlement()
        settlement.states[slow.num] = state
        settlement.apply(db, world.catalog, world.clock.now())  # type: ignore[arg-type]
        db.run("cursor_move", name="deliver", journal=db.journal, position=numbers[-1])  # type: ignore[attr-defined]

    for number in numbers[:5]:
        world.attempt(number, "delivered", "ok")
    world.writer.wait(lag)
    assert sorted(row.number for row in world.list(state="waiting")) == numbers[5:]
    assert world.readers.run(lambda db: lists.waiting_count(db, slow.num)) == 15


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_the_first_number_of_a_time_is_found(world: World, count: int) -> None:
    times = []
    for _ in range(count):
        times.append(world.clock.advance(10))
        world.publish()
    for index, at in enumerate(times):
        for since, expected in ((at - 1, index + 1), (at, index + 1), (at + 1, index + 2)):
            found = world.readers.run(lambda db: lists.number_since(db, "first_event_since", since))
            assert found == expected


@pytest.mark.slow
def test_deliveries_waiting_for_a_deleted_endpoint_are_cancelled(world: World) -> None:
    endpoint = world.endpoint()
    world.publish(count=4)
    numbers = [row.number for row in world.list()]
    world.attempt(numbers[0], "delivered", "ok")
    world.attempt(numbers[1], "waiting", due=world.clock.now() + HOUR)
    deleted = world.writer.wait(world.edits.delete(endpoint))
    assert world.states(endpoint) == {"delivered": 1, "cancelled": 3}

    async def sweep() -> None:
        world.cancelling.sweep(deleted)
        await next(iter(world.cancelling._sweeps.values()))

    world.run(sweep())
    assert world.states(endpoint) == {"delivered": 1, "cancelled": 3}
    assert len(world.list(state="cancelled")) == 3 and world.count("waiting") == 0
    assert world.now(endpoint).mode == "disabled"
