"""After an outage, a good event that failed in it is tried early. The clock waits for each probe, however slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.delivery.test_poison import poisoned, publish
from tests.delivery.world import World
from tidings.testing import until


def after_each_probe(world: World, endpoint: str, seconds: float, look: Callable[[], object]) -> None:
    """Move the clock on until `look` finds something, but not before what was due is tried."""

    def has_probed() -> bool:
        due = world.endpoint(endpoint)["health"]["next_probe"]
        return due is None or world.seconds_until(due) > 0

    def found() -> bool:
        until(has_probed, "what was due is tried", 20)
        if look():
            return True
        world.clock.advance(seconds)
        return False

    until(found, "it is there", 30)


@pytest.mark.slow
def test_a_good_event_that_failed_in_an_outage_does_not_wait_for_everything_before_it(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    publish(world, 16, good=False)
    until(lambda: world.endpoint(endpoint)["health"]["fails"] >= 16, "all have failed")
    [good] = publish(world, 1, good=True)
    after_each_probe(world, endpoint, 5, lambda: world.delivery(good, endpoint)["attempts"])
    publish(world, 600, good=False)
    fresh = publish(world, 1, good=True)
    world.receiver.answer_by(poisoned("500"))
    # Nearly all that follows is poisoned: each probe is a tenth further from the last success than the one before.
    world.clock.advance(75)
    begun = len(world.receiver.requests())
    world.delivered(fresh, endpoint)
    after_each_probe(world, endpoint, 0.1, lambda: world.delivery(good, endpoint)["state"] == "delivered")
    assert len(world.receiver.requests()) - begun < 50
