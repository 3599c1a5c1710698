"""Ids of deliveries and of requests: they come back, and nobody counts others' by them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.control.delivery_ids import DeliveryIds
from tidings.model.ids import delivery_id, delivery_parts
from tidings.store.base import Db
from tidings.store.seal import PLAIN_UNTIL, Sealer
from tidings.testing import FakeClock, Receiver, TestServer, until
from tidings.web.wire.request_ids import RequestIds

IDS = DeliveryIds(Sealer(b"k" * 32), 0)
NOW = 1_764_000_000_000_000


@given(st.integers(0, (1 << 62) - 1), st.integers(0, 1 << 47))
def test_a_number_can_be_read_back(number: int, created: int) -> None:
    text = IDS.of(number, created * 1000)
    assert IDS.numbers(text) == [number] and IDS.means(text, number, created * 1000)
    assert not IDS.means(text, number ^ 1, created * 1000)
    assert not DeliveryIds(Sealer(b"x" * 32), 0).means(text, number, created * 1000)


def test_numbers_one_after_the_other_look_unlike() -> None:
    shown = [delivery_parts(IDS.of(number, NOW)) for number in range(1_000, 1_300)]
    numbers = [parts[1] for parts in shown if parts is not None]
    assert len(set(numbers)) == 300
    steps = [abs(a - b) for a, b in itertools.pairwise(numbers)]
    assert min(steps) > 1 << 40
    assert sorted(numbers) != numbers


def test_a_malformed_id_is_refused() -> None:
    for text in ("", "dlv_", "evt_01kb0000000000000000000000", "dlv_" + "z" * 26, "dlv_" + "0" * 25, "x" * 5000):
        assert all(not IDS.means(text, number, NOW) for number in IDS.numbers(text))


@pytest.mark.slow
def test_ids_from_before_an_upgrade_still_work_and_no_others(tmp_path: Path) -> None:
    with Receiver() as receiver, TestServer(tmp_path) as server:
        server.api.register(receiver.url("/"))
        server.api.publish("step")
        receiver.wait_for(1)
        [shown] = server.api.get("/v1/deliveries")["data"]
        assert server.server is not None

        def row(db: Db) -> tuple[int, int]:
            found = db.query("SELECT number, created FROM delivery ORDER BY number DESC LIMIT 1", {})[0]
            return found[0], found[1]

        number, created = server.server.writer.wait(row)
        plain = delivery_id(number, created)
        assert shown["id"] != plain
        assert server.api.call("GET", f"/v1/deliveries/{shown['id']}").status == 200
        assert server.api.call("GET", f"/v1/deliveries/{plain}").status == 404
        fact = f"{PLAIN_UNTIL}delivery"
        server.server.writer.wait(lambda db: db.execute("DELETE FROM store WHERE name = :n", {"n": fact}))
        server.restart()
        for ident in (plain, shown["id"]):
            assert server.api.get(f"/v1/deliveries/{ident}")["id"] == shown["id"]
        server.api.publish("step")
        until(lambda: len(server.api.get("/v1/deliveries")["data"]) == 2, "it is routed")
        assert server.server is not None
        number, created = server.server.writer.wait(row)
        assert server.api.call("GET", f"/v1/deliveries/{delivery_id(number, created)}").status == 404


def test_request_ids_do_not_reveal_how_many_came_in_between() -> None:
    ids = RequestIds(FakeClock(NOW))
    run = [ids.next(0.0) for _ in range(1_024)]
    assert len(set(run)) == 1_024 and len({each[:-2] for each in run}) == 1
    assert run != sorted(run) and run != sorted(run, reverse=True)
    assert len({ids.next(0.0) for _ in range(5_000)} | set(run)) == 6_024
