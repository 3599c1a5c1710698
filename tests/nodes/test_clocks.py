"""What one server has made and another opens, while their clocks differ by some seconds."""

from __future__ import annotations

import pytest

from tidings.intake.forms.tokens import PageTokens
from tidings.model.access import Key
from tidings.model.errors import Unauthorized
from tidings.model.moment import SKEW
from tidings.store.catalog import Catalog, Snapshot
from tidings.store.seal import Sealer
from tidings.testing import FakeClock
from tidings.web.callers.tickets import TICKET_SECONDS, Tickets

SEALER = Sealer(b"k" * 32)
KEY = Key(id="key_1", hash="h" * 64, name="", scopes=())
SECONDS = SKEW // 1_000_000


def clocks(ahead: int) -> tuple[FakeClock, FakeClock]:
    """Two servers' clocks, of which the first is ahead by this many seconds."""
    one, other = FakeClock(2_000_000_000_000_000), FakeClock(2_000_000_000_000_000)
    (one if ahead > 0 else other).advance(seconds=abs(ahead))
    return one, other


def tickets(clock: FakeClock, *, joined: bool) -> Tickets:
    catalog = Catalog(SEALER)
    catalog.now = Snapshot(1, {}, {}, {KEY.id: KEY}, {KEY.hash: KEY}, {}, {}, {}, {}, {})
    return Tickets(SEALER, catalog, clock, joined=joined)


@pytest.mark.parametrize("ahead", [-SECONDS + 1, 0, 1, SECONDS - 1])
def test_a_ticket_is_opened_by_another_server_for_about_a_minute(ahead: int) -> None:
    one, other = clocks(ahead)
    text, _ = tickets(one, joined=True).make(KEY, {"type": "a"})
    there = tickets(other, joined=True)
    assert there.open(text).query == {"type": "a"}
    other.advance(seconds=TICKET_SECONDS + 2 * SECONDS)
    with pytest.raises(Unauthorized):
        there.open(text)


def test_a_ticket_of_a_server_whose_clock_is_far_ahead_is_refused_and_alone_nothing_is_tolerated() -> None:
    one, other = clocks(SECONDS + 1)
    with pytest.raises(Unauthorized):
        tickets(other, joined=True).open(tickets(one, joined=True).make(KEY, {})[0])
    one, other = clocks(1)
    with pytest.raises(Unauthorized):
        tickets(other, joined=False).open(tickets(one, joined=False).make(KEY, {})[0])


def test_a_page_of_a_server_whose_clock_is_ahead_is_as_young_as_it_can_be() -> None:
    one, other = clocks(SECONDS)
    text = PageTokens(SEALER, one).make("form_1")
    opened = PageTokens(SEALER, other).open("form_1", text)
    assert opened is not None and opened.age_seconds == 0 and opened.is_valid
    one.advance(seconds=1)
    assert PageTokens(SEALER, other).open("form_1", PageTokens(SEALER, one).make("form_1")) is None
