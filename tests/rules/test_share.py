"""A tenant's share of something limited."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.share import GREED, Share, Turns


def filled(share: Share, tenant: str | None) -> int:
    """How much a tenant holds that takes all it can get."""
    while share.take(tenant):
        pass
    return share.held(tenant)


def test_a_tenant_alone_may_hold_three_quarters() -> None:
    assert filled(Share("flights", 4_000), "a") == 3_000


def test_the_operator_s_own_work_is_one_more_tenant() -> None:
    share = Share("flights", 4_000)
    assert filled(share, None) == 3_000
    assert share.take("a")


def test_whoever_holds_nothing_finds_room_beside_one_that_takes_all_it_can_get() -> None:
    share = Share("streams", 1_000)
    filled(share, "greedy")
    assert filled(share, "quiet") >= 150
    assert share.take("third")


def test_small_totals_keep_one_free() -> None:
    for total in (2, 3, 4):
        share = Share("readers", total)
        filled(share, "greedy")
        assert share.take("quiet"), total


def test_two_that_want_everything_come_to_hold_the_same() -> None:
    share = Share("flights", 700)
    filled(share, "first")
    filled(share, "second")
    for _ in range(1_000):
        # Whatever comes back is asked for by both.
        share.give_back("first" if share.held("first") > share.held("second") else "second")
        share.take("first")
        share.take("second")
    assert abs(share.held("first") - share.held("second")) <= 2
    assert share.held("first") == pytest.approx(300, abs=3)


def test_a_single_large_amount_passes_where_nobody_holds_anything() -> None:
    share = Share("bodies", 10)
    assert share.take("a", 50)
    assert not share.take("b", 1)
    share.give_back("a", 50)
    assert share.take("b", 1)


def test_the_view_names_who_is_held_back() -> None:
    share = Share("flights", 8)
    filled(share, "a")
    assert share.take(None)
    view = share.view()
    assert (view.name, view.used, view.total, view.tenants) == ("flights", 7, 8, 2)
    assert view.refusals == 1
    assert view.held_back[0] == ("a", 6)


@given(
    st.integers(50, 500),
    st.lists(st.tuples(st.sampled_from([None, "a", "b", "c", "d"]), st.integers(1, 9), st.booleans()), max_size=200),
)
def test_something_is_left_for_a_tenant_that_holds_nothing_whatever_the_others_do(
    total: int, steps: list[tuple[str | None, int, bool]]
) -> None:
    share = Share("flights", total)
    held: dict[str | None, int] = {}
    for tenant, amount, takes in steps:
        if takes:
            if share.take(tenant, amount):
                held[tenant] = held.get(tenant, 0) + amount
        elif held.get(tenant, 0) >= amount:
            share.give_back(tenant, amount)
            held[tenant] -= amount
        assert share.used == sum(held.values()) <= total
        assert {name: share.held(name) for name in held} == held
        assert all(
            not count or share.may_take(name) or count + 1 > GREED * (total - share.used - 1)
            for name, count in held.items()
        )
    assert share.used == total or share.take("newcomer")


@given(st.integers(20, 5_000), st.integers(1, 8))
def test_of_any_number_of_greedy_tenants_none_takes_the_last(total: int, tenants: int) -> None:
    share = Share("flights", total)
    for number in range(tenants):
        filled(share, str(number))
    left = total
    for _ in range(tenants):
        left //= 1 + GREED
    assert total - share.used >= left


def test_turns_go_round_the_tenants_whatever_the_length_of_a_line() -> None:
    share = Share("readers", 1)
    turns: Turns[str] = Turns(share)
    for number in range(3):
        turns.add("busy", f"busy {number}")
    turns.add("quiet", "quiet 0")
    turns.add(None, "operator 0")
    served = []
    while (who := turns.next()) is not None:
        served.append(who)
        share.give_back({"busy": "busy", "quiet": "quiet", "operator": None}[who.split()[0]])
    assert served == ["busy 0", "quiet 0", "operator 0", "busy 1", "busy 2"]
    assert turns.waiting == 0


def test_a_tenant_at_its_share_is_passed_over() -> None:
    share = Share("readers", 4)
    turns: Turns[int] = Turns(share)
    for number in range(10):
        turns.add("busy", number)
    turns.add("quiet", 100)
    served = [turns.next() for _ in range(5)]
    assert served == [0, 100, 1, None, None]


def test_whoever_leaves_the_line_takes_nothing() -> None:
    share = Share("readers", 1)
    turns: Turns[object] = Turns(share)
    first, second = object(), object()
    turns.add("a", first)
    turns.add("a", second)
    assert turns.discard("a", first)
    assert turns.next() is second
    assert not turns.discard("a", second)
    assert share.held("a") == 1


def test_a_large_amount_is_not_kept_waiting_by_small_ones_that_come_all_the_time() -> None:
    share = Share("work", 8)
    turns: Turns[str] = Turns(share)
    assert share.take("small") and share.take("small")
    turns.add("large", "the large one", 8)
    turns.add("small", "a small one")
    assert turns.next() is None
    share.give_back("small", 2)
    assert turns.next() == "the large one"
    assert turns.next() is None
    share.give_back("large", 8)
    assert turns.next() == "a small one"
