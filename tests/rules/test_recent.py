"""The last minutes in reports on health: rates, whose fault failures are, and when all will be sent."""

from __future__ import annotations

from tests.rules.test_tally import of
from tidings.model.moment import HOUR, MINUTE, SECOND, from_text
from tidings.store.log.standing import SIZE_MAX, Backlog
from tidings.views.health.recent import Recent

NOW = from_text("2026-11-21T03:00:00Z")


def recent(sizes: dict[int, int] | None = None, **sums: list[int]) -> Recent:
    by_link = {int(name.removeprefix("link")): cell for name, cell in sums.items()}
    return Recent(NOW - 5 * MINUTE, NOW, by_link, sizes or {})


def waits(count: int, *, is_more: bool = False) -> Backlog:
    return Backlog(oldest=None, count=count, is_more=is_more, failure=None)


def test_rates_are_those_of_all_links() -> None:
    rates = recent(link0=of(accepted=600, delivered=270, rejected=30), link1=of(delivered=1)).rates()
    assert (rates.accepted, rates.delivered, rates.failed, rates.success_rate) == (2.0, 0.9, 0.1, 0.9)
    assert recent().rates().success_rate is None


def test_when_all_will_be_sent_follows_from_what_waits_and_how_fast_it_goes() -> None:
    found = recent({1: 21_000}, link1=of(delivered=1_500))
    end = found.expected_end(1, found.backlog(1, waits(1_000, is_more=True)))
    assert end == (NOW + 70 * MINUTE, 5.0)
    assert found.end_in_words(end[0]) == "by about 04:10 UTC"
    assert found.end_in_words(NOW + 72 * HOUR) == "in about 3 days"
    assert found.expected_end(2, waits(10)) is None
    assert found.expected_end(1, waits(1_000, is_more=True)) is None
    assert recent({1: SIZE_MAX}).backlog(1, waits(1_000, is_more=True)).is_more
    assert recent(link1=of(delivered=9)).expected_end(1, waits(5)) is None
    assert recent(link1=of(delivered=300)).expected_end(1, waits(3)) == (NOW + 3 * SECOND, 1.0)


def test_it_is_their_fault_if_the_others_get_theirs() -> None:
    failing = of(rejected=50)
    assert recent(link0=of(delivered=100, rejected=50), link1=failing).others_are_fine([1])
    assert not recent(link0=of(rejected=50), link1=failing).others_are_fine([1])
    assert not recent(link0=of(delivered=100, unreachable=150), link1=failing).others_are_fine([1])
    assert not recent().others_are_fine([1])
