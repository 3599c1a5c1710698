"""Routing, replays and an event's own answer decide alike whether a link wants an event."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidings.control.delivery_ids import DeliveryIds
from tidings.control.replaying import Replaying
from tidings.model.access import Caller, Key
from tidings.model.event import Event
from tidings.model.link import Endpoint, Sealed, Webhook
from tidings.model.replay import Replay
from tidings.route.route import Router
from tidings.rules import filter
from tidings.rules.wants import FILTERED, Reason, Wants
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.log import events, feed
from tidings.store.log.events import Publication
from tidings.store.seal import Sealer
from tidings.store.writer import Writer
from tidings.views.events import event_detail

SLOW = {"data": {"a": {"$in": ["y"]}}}
LONG = '{"a": [' + ",".join(["[" + '"x"' + "]"] * 9_000) + "]}"


class HandClock:
    def now(self) -> int:
        return 1_000

    def on_jump(self, wake: object) -> None:
        """Nobody sleeps on it here."""


def endpoint(num: int, tenant: str | None, chosen: tuple[str, ...], pattern: Any = None, after: int = 0) -> Endpoint:
    what = Webhook(url="https://example.com", sealed=Sealed(secrets=()))
    return Endpoint(num=num, id=f"ep_{num}", tenant=tenant, events=chosen, filter=pattern, what=what, after=after)


def event(kind: str = "tasks.done", *, seq: int = 5, data: str = "{}", **more: Any) -> Event:
    return Event(id=f"evt_{seq}", type=kind, time=1, created=1, seq=seq, data=data, **more)


def decided(wants: Wants, it: Event) -> Reason | None:
    """The whole decision on one event."""
    document = filter.document(it.type, it.subject, it.data, it.previous, it.changed)
    return wants.before_filter(it) or wants.filtered(document)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("tasks.done", {}),
    ("users.created", {"subject": "ep_1"}),
    ("endpoint.failing", {"subject": "ep_7"}),
    ("endpoint.failing", {"subject": "ep_9"}),
    ("endpoint.test", {"target": 3}),
]
WHOSE = (None, "x", "*")
OPERATOR = Caller(Key(id="key_1", hash="", name="", scopes=("*",)))
CHOSEN = (("*",), ("tasks.*", "endpoint.failing"), ("users.created",))
ASKED = (
    *itertools.product(WHOSE, CHOSEN, (None, {"data": {"n": 1}}), (0, 7)),
    *itertools.product(WHOSE[:2], CHOSEN[:1], (SLOW,), (0,)),
)
LINKS = [endpoint(num, *asked) for num, asked in enumerate(ASKED, 1)]
TOLD = (*itertools.product(KINDS, (None, "x", "y"), ('{"n": 1}', "{}")), (KINDS[0], "x", LONG))
EVENTS = [
    event(kind, seq=seq, tenant=whose, data=data, **more) for seq, ((kind, more), whose, data) in enumerate(TOLD, 1)
]


@pytest.fixture(scope="module")
def routed(
    module_database: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Db, Catalog, Writer]]:
    folder: Path = tmp_path_factory.mktemp("wants")
    engine = open_engine(module_database or "sqlite:test.db", folder)
    catalog, writer = Catalog(Sealer(b"k" * 32)), Writer(engine, HandClock())
    router = Router(catalog, HandClock(), lambda: 0.0)

    def fill(db: Db) -> None:
        for link in LINKS:
            catalog.put_link(db, link)
        catalog.refresh(db)
        events.append(db, [Publication(tuple(EVENTS))], now=1)
        while router.step(db) is not None:
            pass

    writer.start()
    writer.wait(fill)
    reader = engine.reader()
    yield reader, catalog, writer
    reader.close()
    writer.close()
    engine.close()


def sent(reason: Reason | None) -> bool:
    return reason is None or reason.is_sent


@functools.cache
def wanted() -> set[tuple[int, int]]:
    """Which event each link is sent."""
    return {(it.seq, link.num) for it in EVENTS for link in LINKS if sent(decided(Wants.of(link), it))}


def test_routing_sends_exactly_what_is_wanted(routed: tuple[Db, Catalog, Writer]) -> None:
    db, _, _ = routed
    made = db.query("SELECT event, link FROM delivery", {})
    assert len(made) == len(wanted()) and {(row[0], row[1]) for row in made} == wanted()


@pytest.mark.slow
def test_a_replay_sends_wanted_events_and_earlier_ones(routed: tuple[Db, Catalog, Writer]) -> None:
    db, catalog, writer = routed
    replays = Replaying(writer, catalog, HandClock(), lambda link: None)
    for link in LINKS:
        replay = Replay(id="rpl_1", tenant=None, link=link.num, which="all", since=0, until=10, finish=len(EVENTS))
        reasons = [
            decided(Wants.of(endpoint(link.num, link.tenant, link.events, link.filter)), it)
            for it in EVENTS
            if it.target is None
        ]
        assert replays.count(db, replay, link) == sum(map(sent, reasons))


@pytest.mark.slow
def test_an_event_names_all_other_endpoints_with_the_reason(routed: tuple[Db, Catalog, Writer]) -> None:
    db, catalog, _ = routed
    ids = DeliveryIds(Sealer(b"k" * 32), 0)
    for it in EVENTS:
        stored = feed.by_id(db, it.id, it.tenant)
        assert stored is not None
        detail = event_detail(db, catalog.now, stored, OPERATOR, ids, lambda _: None)
        got = {each.endpoint for each in detail.deliveries}
        assert got == {f"ep_{link}" for seq, link in wanted() if seq == it.seq}
        others = {link.id: link for link in LINKS if link.id not in got and link.tenant in (it.tenant, "*")}
        assert {each.endpoint for each in detail.not_matched} == set(others)
        for each in detail.not_matched:
            assert each.endpoint is not None
            wants = Wants.of(others[each.endpoint])
            reason = decided(wants, it)
            assert reason is not None and not reason.is_sent
            if reason is not FILTERED:
                assert each.reason == wants.explain(reason, it.type)
