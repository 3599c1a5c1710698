"""Links in the store: rows of every release read as they were written, and are written as they were read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidings.model.link import ClientCertificate, Pacing, Secret, Webhook
from tidings.store.base import Engine, StoreError
from tidings.store.catalog import Catalog
from tidings.store.seal import Sealer

LEAST: dict[str, Any] = {"url": "https://a.example/"}
MOST: dict[str, Any] = {
    "url": "https://a.example/",
    "description": "All of it",
    "events": ["a.*", "b"],
    "filter": {"data": {"a": {"$gt": 1}}},
    "rate": 2.5,
    "max_in_flight": 3,
    "order": "all",
    "order_max_age_seconds": 60,
    "batch": {"max_events": 10, "max_ms": 20, "max_bytes": 2048},
    "body": "thin",
    "fields": ["id", "a.b"],
    "timeout_seconds": 5.0,
    "retry_delays_seconds": [0.0, 1.5],
    "give_up_on": [404, "5xx"],
}
PLAIN: dict[str, Any] = {"secrets": [{"text": "whsec_a", "created": 1, "expires": None}]}
FULL: dict[str, Any] = PLAIN | {
    "headers": {"X-A": "1"},
    "ca": "PEM",
    "client_certificate": {"certificate": "PEM", "key": "PEM"},
}
COLUMNS = (
    *("num", "id", "kind", "tenant", "options", "sealed", "mode", "reason", "revision", "created", "updated"),
    *("deleted", "after_event"),
)


def write(
    engine: Engine, sealer: Sealer, options: dict[str, Any], sealed: dict[str, Any], kind: str = "endpoint"
) -> None:
    box = sealer.seal(json.dumps(sealed).encode(), "ep_1")
    row = (1, "ep_1", kind, "acme", json.dumps(options), box, "paused", "By hand.", 4, 5, 6, None, 7)
    db = engine.writer()
    db.begin()
    db.insert("link", COLUMNS, [row])
    db.commit()
    db.close()


@pytest.mark.parametrize(("options", "sealed"), [(LEAST, PLAIN), (MOST, FULL)])
def test_a_row_is_read_into_parts_and_written_back_as_it_was(
    engine: Engine, options: dict[str, Any], sealed: dict[str, Any]
) -> None:
    sealer = Sealer(bytes(32))
    write(engine, sealer, options, sealed)
    catalog, db = Catalog(sealer), engine.writer()
    catalog.load(db)
    link = catalog.now.links[1]
    assert link is catalog.now.endpoints_by_id["ep_1"] and isinstance(link.what, Webhook)
    assert (link.kind, link.tenant, link.mode, link.reason) == ("endpoint", "acme", "paused", "By hand.")
    assert (link.revision, link.created, link.updated, link.deleted, link.after) == (4, 5, 6, None, 7)
    assert link.what.sealed.secrets == (Secret(text="whsec_a", created=1),)
    if options is MOST:
        assert (link.description, link.events) == ("All of it", ("a.*", "b"))
        assert (link.pacing.rate, link.pacing.order, link.pacing.give_up_on) == (2.5, "all", (404, "5xx"))
        assert (link.what.url, link.what.body, link.what.fields) == ("https://a.example/", "thin", ("id", "a.b"))
        assert link.what.sealed.client_certificate == ClientCertificate(certificate="PEM", key="PEM")
    else:
        assert (link.pacing, link.events, link.filter) == (Pacing(), ("*",), None)
    db.begin()
    catalog.put_link(db, link)
    db.commit()
    again, box = db.query("SELECT options, sealed FROM link", {})[0]
    assert json.loads(again) == options
    assert json.loads(sealer.open(bytes(box), "ep_1")) == sealed
    assert catalog.link(db, 1) == link
    db.close()


def test_a_kind_of_link_that_this_version_does_not_know_is_named(engine: Engine) -> None:
    sealer = Sealer(bytes(32))
    write(engine, sealer, LEAST, PLAIN, kind="telegram")
    db = engine.writer()
    with pytest.raises(StoreError, match="the kind telegram"):
        Catalog(sealer).load(db)
    db.close()
