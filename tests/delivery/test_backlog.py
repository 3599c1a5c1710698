"""What waits behind a dead endpoint stays in the store, and can be acted on there."""

from __future__ import annotations

from tests.delivery.world import World


def test_a_delivery_far_back_in_the_backlog_can_be_cancelled(world: World) -> None:
    world.receiver.down()
    endpoint = world.register("/dead")
    for _ in range(3):
        world.api.post("/v1/events:batch", {"events": [{"type": "a.b", "data": {}}] * 500})
    newest = world.api.get(f"/v1/deliveries?endpoint={endpoint}&limit=1")["data"][0]
    assert (newest["state"], newest["attempts"]) == ("waiting", 0)
    assert world.api.post(f"/v1/deliveries/{newest['id']}:cancel")["state"] == "cancelled"
    assert world.api.call("POST", f"/v1/deliveries/{newest['id']}:cancel").status == 409
