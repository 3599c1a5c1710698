"""kill -9 of a real server whose links edit items: every event's edit is made once, and in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.test_item_links import ORDERS
from tests.kills import killed_in_the_middle
from tidings.testing import ProcessServer, until


@pytest.mark.slow
def test_a_kill_leaves_each_edit_made_once(tmp_path: Path, database: str | None) -> None:
    with ProcessServer(tmp_path, database=database) as server:
        server.api.put("/v1/collections/orders", ORDERS)
        made = {"collection": "orders", "create": True, "data": {"title": "x", "pieces": "{{ data.n }}"}}
        server.api.put("/v1/links/made", {"when": {"event": "step"}, "item": made})
        patch = {"collection": "orders", "patch": "one", "data": {"pieces": "{{ data.n }}"}}
        server.api.put("/v1/items/orders/one", {"title": "one"})
        server.api.put("/v1/links/kept", {"when": {"event": "step"}, "item": patch, "order": "all"})
        acknowledged: list[str] = []

        def publish(caller: int) -> None:
            for n in range(100_000):
                acknowledged.append(server.api.publish("step", {"n": caller * 1_000_000 + n}))

        for round_number in range(3):
            most = len(acknowledged) + 30 + 37 * round_number
            with killed_in_the_middle(server, 4, publish):
                until(lambda: len(acknowledged) > most, "work goes on", 30)
        until(lambda: not server.api.pages("/v1/deliveries", state="waiting"), "everything is done", 60)
        created = [each for each in server.api.pages("/v1/events", type="orders.created") if each["cause"]]
        kept = list(reversed(server.api.pages("/v1/events", type="orders.updated")))
        steps = list(reversed(server.api.pages("/v1/events", type="step")))
        items = server.api.pages("/v1/items/orders")
        attempts = [
            server.api.get(f"/v1/deliveries/{each['id']}")["attempts"]
            for each in server.api.pages("/v1/deliveries", limit=50)[:50]
        ]
    assert {each["id"] for each in steps} >= set(acknowledged)
    assert len(created) == len(steps) == len(items) - 1
    assert {each["cause"] for each in created} == {each["id"] for each in steps}
    assert [each["cause"] for each in kept] == [each["id"] for each in steps], "in order, each once"
    assert all(len(each) == 1 for each in attempts)
