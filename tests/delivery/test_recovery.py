"""An endpoint that is well again gets everything at once, retries too; what it never accepts is given up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.delivery.simulated import Answer, Simulated
from tidings.deliver.settle import Settlement
from tidings.model import moment
from tidings.model.moment import SECOND
from tidings.rules.deliver.health import Recovery
from tidings.views.deliveries import DeliveryDetail, wait_in_words

WELL_AT = 200.0


@pytest.mark.slow
def test_the_first_success_after_an_outage_releases_all_waiting_deliveries(
    tmp_path: Path, database: str | None
) -> None:
    world = Simulated(tmp_path, lambda data, at: Answer(500 if 1 < at < WELL_AT else 204), database)
    world.publish({"g": -1})
    world.run(2)
    for good in range(28):
        world.publish({"g": good})
        world.run(0.2)
    world.run(WELL_AT - world.now)
    tried = [at for at, _, status in world.log if status == 500]
    world.run(30)
    world.close()
    assert len(tried) > 28 and len(world.arrived) == 29
    # Probes are no further apart than a tenth of the time since the last success.
    assert max(late + 2 for late in world.arrived.values()) < WELL_AT * 1.1 + 6


@pytest.mark.slow
def test_a_delivery_that_is_never_accepted_is_released_once_and_given_up(tmp_path: Path, database: str | None) -> None:
    """An outage every two minutes: it gets its schedule, and once another one."""

    def receives(data: list[dict[str, Any]], at: float) -> Answer:
        return Answer(500 if "bad" in data[0] or at % 120 < 60 else 204)

    world = Simulated(tmp_path, receives, database, retry_delays_seconds=(0.0, 5.0, 600.0, 600.0))
    world.publish({"bad": 0})
    for minutes in range(30):
        world.publish(*({"g": minutes * 20 + n} for n in range(20)))
        world.run(120)
    bad = [at for at, data, _ in world.log if "bad" in data[0]]
    world.close()
    assert len(world.arrived) == 600 and max(world.arrived.values()) < 80
    assert 4 < len(bad) <= 8 and max(bad) < 3_000, bad


def test_a_failing_endpoints_delivery_says_its_own_time_as_its_own() -> None:
    at = 1_800_000_000 * SECOND
    nothing: dict[str, Any] = dict.fromkeys(DeliveryDetail.__struct_fields__)
    due: dict[str, Any] = {**nothing, "due": moment.to_text(at), "waiting_because": "failing"}
    said = wait_in_words(DeliveryDetail(**due), at - SECOND)
    assert said == "Its endpoint is failing, so only probes are sent; it may be one from 08:00:00 UTC on."
    assert wait_in_words(DeliveryDetail(**due), at) == "Its endpoint is failing, so only probes are sent."


def test_an_edit_hastens_more_than_a_recovery() -> None:
    early, late = Settlement(), Settlement()
    early.hasten(1, 5)
    early.hasten(1, Recovery(7, 2))
    early.hasten(2, Recovery(7, 2))
    late.hasten(2, Recovery(9, 7))
    late.hasten(1, Recovery(9, 7))
    early.merge(late)
    assert early.hastened == {1: 9, 2: Recovery(9, 2)}
    early.move(10)
    assert early.hastened == {1: 19, 2: Recovery(19, 12)}


@pytest.mark.slow
def test_while_it_may_not_send_the_stage_looks_a_few_times_a_second(tmp_path: Path) -> None:
    """A server that does not reach its database may not send, and something of an endpoint with a rate is due."""
    world = Simulated(tmp_path, lambda data, at: Answer(), rate=1.0)
    world.publish(*({"g": n} for n in range(10)))
    world.run(3)
    sent, looks = len(world.log), 0

    def may_not() -> bool:
        nonlocal looks
        looks += 1
        assert looks < 1_000, "it looks again and again, without a pause"
        return False

    world.stage._may_send = may_not
    world.run(20)
    assert 0 < sent == len(world.log) < 10
    world.stage._may_send = lambda: True
    world.run(20)
    assert len(world.log) == 10
    world.close()
