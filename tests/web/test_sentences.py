"""How an endpoint's page says how the endpoint does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tidings.model import moment
from tidings.model.moment import DAY
from tidings.views.endpoints import EndpointView
from tidings.views.health.links import unsettled
from tidings.views.standing.sentences import endpoint_in_words
from tidings.views.standing.tallies import LinkTally
from tidings.web.openapi.examples import ANSWERS

NOW = moment.from_text("2026-11-29T18:50:00Z")
WELL = {"failing_since": None, "fails": 0, "next_probe": None}
FAILING = {
    "failing_since": "2026-11-29T18:45:00.000Z",
    "fails": 12,
    "next_probe": "2026-11-29T18:50:30.000Z",
    "disables_at": "2026-12-04T18:45:00.000Z",
}


def said(dead: str = "", now: int = NOW, tally: dict[str, Any] | None = None, **endpoint: Any) -> str:
    found = msgspec.convert({**ANSWERS["EndpointView"], "health": WELL, **endpoint}, EndpointView)
    shown: dict[str, Any] = {**ANSWERS["LinkTally"], "waiting": 0, "waiting_is_more": False, "next_attempt": None}
    shown["total"] = {**shown["total"], "attempts": 1, "success_rate": 1.0}
    return endpoint_in_words(found, msgspec.convert(shown | (tally or {}), LinkTally), dead, now)


def test_a_failing_endpoint_says_why_what_waits_and_when_it_will_be_disabled() -> None:
    waits = {"waiting": 41, "next_attempt": "2026-11-29T18:50:30.000Z", "last_failure": "The endpoint answered 503."}
    assert said("21", tally=waits, health=FAILING) == (
        "It has been failing since 18:45 UTC. The endpoint answered 503. 21 became dead. 41 deliveries are waiting; "
        "the next attempt is at 18:50:30 UTC. "
        "It will be disabled on 2026-12-04 at 18:45 UTC unless a delivery succeeds before then."
    )
    nothing = said(health=FAILING, now=NOW + 6 * DAY)
    assert "attempt is" not in nothing and "disabled" not in nothing, "nothing waits, and the time has passed"


@pytest.mark.parametrize(
    ("rate", "attempts", "sentence"),
    [
        (1.0, 1, "It is healthy: 100.0% of 1 attempt in 24 hours succeeded. 1 delivery is waiting."),
        (0.594, 101, "It is healthy again; 59.4% of 101 attempts in 24 hours succeeded. 1 delivery is waiting."),
    ],
)
def test_an_endpoint_that_recovers_is_well_again(rate: float, attempts: int, sentence: str) -> None:
    total = {**ANSWERS["LinkTally"]["total"], "attempts": attempts, "success_rate": rate}
    assert said(tally={"total": total, "waiting": 1}) == sentence


def test_an_endpoint_that_accepts_nothing_is_not_well() -> None:
    """It answers, so that it does not count as failing before ten messages were refused."""
    total = {**ANSWERS["LinkTally"]["total"], "attempts": 2, "success_rate": 0.0}
    refused = {"total": total, "last_failure": "The endpoint answered 500."}
    assert said(tally=refused) == "Both attempts in 24 hours failed. The endpoint answered 500."
    assert said(tally=refused | {"total": total | {"attempts": 1}}).startswith("The only attempt in 24 hours failed.")
    of_late = {"total": total | {"attempts": 100, "success_rate": 0.98}, "last_failure": None}
    assert said(tally=of_late, health={**WELL, "fails": 2}) == "It refused the last 2 deliveries."


@pytest.mark.parametrize(
    ("lanes", "sentences"),
    [
        ([("e", 1, 60), ("e", 4, 100)], ["2 endpoints have been failing for 40 s"]),
        ([("l", 12, 10)], ["1 link has been failing for 2 min"]),
        ([("e", 2, None), ("e", 1, None)], ["1 endpoint refused the last deliveries"]),
        ([("paused", 9, 10)], []),
    ],
)
def test_all_is_not_well_while_something_fails(lanes: list[tuple[str, int, int | None]], sentences: list[str]) -> None:
    links: dict[int, Any] = {}
    views: dict[int, Any] = {}
    for num, (kind, fails, since) in enumerate(lanes):
        mode = "paused" if kind == "paused" else "enabled"
        links[num] = SimpleNamespace(name="x" if kind == "l" else "", deleted=None, mode=mode)
        views[num] = SimpleNamespace(fails=fails, failing_since=since and since * 1_000_000)
    snapshot: Any = SimpleNamespace(links=links)
    now = 100_000_000 if kind == "e" else 130_000_000
    assert unsettled(snapshot, views, now) == sentences


def test_a_reason_without_a_full_stop_gets_one() -> None:
    assert said(state="paused", reason="maintenance until noon", tally={"waiting": 2}) == (
        "It is paused: maintenance until noon. 2 deliveries are waiting."
    )
