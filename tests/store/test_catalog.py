"""The catalogue's version lives in the store: whoever holds a snapshot can catch up, whichever process wrote."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidings.model.access import Key, Permit, Tenant
from tidings.model.collection import Collection
from tidings.model.event import EventType
from tidings.model.link import AnyLink, EditItem, Link
from tidings.store import catalog as module
from tidings.store.base import Db, Engine
from tidings.store.catalog import Catalog
from tidings.store.seal import Sealer


def tenant(name: str) -> Tenant:
    return Tenant(id=name, name=name, revision=1, created=1, updated=1)


def kind(name: str) -> EventType:
    return EventType(name=name, description="", schema=None, example=None, revision=1, created=1, updated=1)


@pytest.fixture
def other() -> Catalog:
    """The catalogue of another process on the same store."""
    return Catalog(Sealer(b"k" * 32))


def test_another_process_sees_what_was_changed_once_it_catches_up(db: Db, catalog: Catalog, other: Catalog) -> None:
    catalog.load(db)
    other.load(db)
    catalog.put_tenant(db, tenant("acme"))
    catalog.put_event_type(db, kind("tasks.done"))
    catalog.refresh(db)
    assert "acme" not in other.now.tenants
    other.refresh(db)
    assert "acme" not in other.now.tenants, "it changed nothing itself"
    other.catch_up(db)
    assert other.now == catalog.now
    catalog.drop_event_type(db, "tasks.done")
    catalog.refresh(db)
    other.catch_up(db)
    assert "tasks.done" not in other.now.event_types
    assert other.now.version == catalog.now.version


def test_hundreds_of_changes_are_caught_up_with_in_few_statements(
    db: Db, catalog: Catalog, other: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.load(db)
    counts = []
    for count in (3, 30):
        catalog.load(db)
        catalog.put_collections(db, [Collection(name=f"c{n}", created=count) for n in range(count)])
        keys = [Key(id=f"key_{n}", hash=f"{n}", name="", scopes=(), created=count) for n in range(count)]
        catalog.put_keys(db, keys)
        asked: list[str] = []
        for name in ("one", "all"):
            there = getattr(type(db), name)

            def counted(db: Db, statement: str, there: Any = there, **params: Any) -> Any:
                asked.append(statement)
                return there(db, statement, **params)

            monkeypatch.setattr(type(db), name, counted)
        catalog.refresh(db)
        monkeypatch.undo()
        counts.append(len(asked))
        assert len(catalog.now.collections) == len(catalog.now.keys) == count
    assert counts[0] == counts[1] <= 3
    catalog.drop_collections(db, ["c1", "c2"])
    catalog.refresh(db)
    other.catch_up(db)
    assert other.now == catalog.now and len(other.now.collections) == 28
    assert {"c3.created", "c3.updated", "c3.deleted"} <= set(other.now.change_types)
    assert "c2.created" not in other.now.change_types and other.now.change_types["c3.created"].collection == "c3"


def test_a_catalogue_that_fell_far_behind_reads_everything(
    db: Db, catalog: Catalog, other: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHANGES_KEPT", 3)
    catalog.load(db)
    other.load(db)
    for number in range(8):
        catalog.put_tenant(db, tenant(f"t{number}"))
        catalog.refresh(db)
    assert db.query("SELECT COUNT(*) FROM catalog_change", {}) == [(3,)]
    other.catch_up(db)
    assert len(other.now.tenants) == 8
    assert other.now.version == catalog.now.version


def test_more_changes_than_are_read_at_once_are_all_seen(
    db: Db, catalog: Catalog, other: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.load(db)
    other.load(db)
    monkeypatch.setattr(module, "CHANGES_KEPT", 5)
    for number in range(9):
        catalog.put_tenant(db, tenant(f"t{number}"))
    catalog.refresh(db)
    other.catch_up(db)
    assert len(catalog.now.tenants) == len(other.now.tenants) == 9


def test_what_was_rolled_back_is_not_in_the_catalogue_and_its_version_is_given_again(db: Db, catalog: Catalog) -> None:
    catalog.load(db)
    before = catalog.now
    db.begin()
    catalog.put_tenant(db, tenant("acme"))
    db.rollback()
    catalog.refresh(db)
    assert catalog.now is before
    catalog.put_tenant(db, tenant("other"))
    catalog.refresh(db)
    assert (list(catalog.now.tenants), catalog.now.version) == (["other"], before.version + 1)


def test_the_version_outlives_a_restart(engine: Engine, db: Db, catalog: Catalog, other: Catalog) -> None:
    catalog.load(db)
    catalog.put_tenant(db, tenant("acme"))
    catalog.refresh(db)
    again = engine.reader()
    other.load(again)
    again.close()
    assert other.now.version == catalog.now.version == 1


def test_links_are_deleted_in_a_set_and_none_is_read_or_sealed_again(
    db: Db, catalog: Catalog, other: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.load(db)
    made: list[AnyLink] = [
        Link(
            num=num,
            id=f"lnk_{num}",
            kind="item",
            tenant=None,
            name=f"l{num}",
            what=EditItem(collection="tasks", edit="create"),
            mode="enabled",
            revision=1,
            created=1,
            updated=1,
        )
        for num in range(1, 31)
    ]
    catalog.put_links(db, made)
    assert set(catalog.declared_links(db)) == {link.name for link in made}, "the transaction sees its own"
    catalog.refresh(db)
    other.load(db)
    touched: list[str] = []
    for name in ("open", "seal"):
        there = getattr(Sealer, name)

        def noted(*given: Any, there: Any = there, name: str = name) -> Any:
            touched.append(name)
            return there(*given)

        monkeypatch.setattr(Sealer, name, noted)
    kept, *rest = catalog.declared_links(db).values()
    gone = [msgspec.structs.replace(link, deleted=5, mode="paused", reason="x", revision=2) for link in rest]
    catalog.delete_links(db, gone)
    catalog.refresh(db)
    assert touched == []
    assert catalog.declared_links(db) == {kept.name: kept}
    assert [catalog.now.links[link.num] for link in gone] == gone
    other.load(db)
    assert other.now.links == catalog.now.links


def test_permits_are_replaced_in_a_set_and_only_those_that_a_change_touches(db: Db, catalog: Catalog) -> None:
    catalog.load(db)
    permit = Permit(collection="tasks", verbs=("list",), read=("title",))
    keys = [Key(id=f"key_{n}", hash=f"{n}", name="", scopes=("x",), created=1, permits=(permit,)) for n in range(30)]
    catalog.put_keys(db, keys)
    catalog.refresh(db)
    wider = (msgspec.structs.replace(permit, read=("title", "note")),)
    catalog.put_permits(db, [(key.id, wider) for key in keys[:20]])
    assert [key.permits for key in catalog.keys_with_permits(db)].count(wider) == 20, "the transaction sees its own"
    catalog.refresh(db)
    assert catalog.now.keys == {key.id: msgspec.structs.replace(key, permits=wider) for key in keys[:20]} | {
        key.id: key for key in keys[20:]
    }
    assert catalog.now.keys_by_hash["3"].permits == wider
    seen = dict(catalog.now.keys)
    catalog.load(db)
    assert catalog.now.keys == seen


def test_a_key_is_revoked_in_the_transaction_that_made_it_and_dropped_for_everybody(
    db: Db, catalog: Catalog, other: Catalog
) -> None:
    catalog.load(db)
    other.load(db)
    catalog.put_key(db, Key(id="key_a", hash="a", name="", scopes=("events:read",)))
    catalog.revoke_key(db, "key_a", 7)
    catalog.put_key(db, Key(id="key_b", hash="b", name="", scopes=()))
    catalog.refresh(db)
    other.catch_up(db)
    assert other.now.keys["key_a"].revoked == 7 and set(other.now.keys_by_hash) == {"b"}
    catalog.drop_keys(db, ["key_a", "key_b", "key_none"])
    catalog.refresh(db)
    other.catch_up(db)
    assert other.now == catalog.now and not other.now.keys and not other.now.keys_by_hash
