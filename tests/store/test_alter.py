"""Plans carried out: the tables follow the declarations, and nothing is lost that the plan did not say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.declarations import COLLECTION_NAMES, VALUES, worlds
from tests.examples import examples
from tidings.model.collection import Collection
from tidings.rules.declare import plan as rules
from tidings.rules.declare.declaration import plain, read
from tidings.rules.declare.plan import AddField, ConvertField, DropCollection, DropField, FillField, Plan
from tidings.rules.items.search_words import words
from tidings.store.base import Db, Engine, StoreError
from tidings.store.engines.opening import open_engine
from tidings.store.items import alter, indexes, tables, values
from tidings.store.items.inspect import Findings, inspect

NOW = 1_763_690_000_000_000
LATER = NOW + 1


def there(world: dict[str, Any]) -> dict[str, Collection]:
    return {each.collection.name: each.collection for each in read(world)}


def planned(before: dict[str, Any], after: dict[str, Any], **more: Any) -> Plan:
    beside = () if more.get("prune") else before
    return rules.plan(there(before), read(after, beside=beside), lambda name: f"/{name}", **more)


def apply(db: Db, before: dict[str, Any], after: dict[str, Any], **more: Any) -> tuple[Plan, Findings]:
    """Carry the plan out, unless it is refused."""
    plan = planned(before, after, **more)
    found = inspect(db, plan)
    if not plan.refusals and not found.refusals:
        alter.carry_out(db, plan, LATER)
    return plan, found


def insert(db: Db, collection: Collection, ident: str, row: dict[str, Any], tenant: str = "") -> None:
    """An item by SQL, with its words."""
    fields = [field for field in collection.fields if row.get(field.name) is not None]
    columns = [tables.column(field.name) for field in fields]
    marks = [values.assigned(field, db.dialect, f"v{n}") for n, field in enumerate(fields)]
    given = {f"v{n}": values.stored(field, row[field.name], db.dialect) for n, field in enumerate(fields)}
    names = ", ".join(["id", "tenant", "revision", "created", "updated", *columns])
    marked = ", ".join([":id", ":tenant", "1", f"{NOW}", f"{NOW}", *marks])
    db.execute(
        f"INSERT INTO {tables.table(collection)} ({names}) VALUES ({marked})",
        {"id": ident, "tenant": tenant, **given},
    )
    if tables.has_words(collection):
        seq = db.query(f"SELECT MAX(seq) FROM {tables.table(collection)}", {})[0][0]
        texts = [row.get(field.name) for field in collection.fields if field.searchable]
        found = words(texts)
        if db.dialect == "sqlite":
            db.insert(tables.words_table(tables.table(collection)), ["rowid", "words"], [(seq, found)])
        else:
            made = "array_to_tsvector(string_to_array(:words, ' '))"
            db.execute(
                f"UPDATE {tables.table(collection)} SET words = {made} WHERE seq = :seq",
                {"words": found, "seq": seq},
            )


def rows(db: Db, collection: Collection) -> dict[str, dict[str, Any]]:
    """Items by id, as JSON values, with `revision` and `updated`."""
    columns = ["id", "revision", "updated", *(values.selected(field, db.dialect) for field in collection.fields)]
    found = {}
    for ident, revision, updated, *kept in db.query(
        f"SELECT {', '.join(columns)} FROM {tables.table(collection)} ORDER BY seq", {}
    ):
        document = {
            field.name: values.shown(field, value) for field, value in zip(collection.fields, kept, strict=True)
        }
        found[ident] = {"revision": revision, "updated": updated, **document}
    return found


def words_of(db: Db, collection: str, word: str) -> list[str]:
    table = f'"c_{collection}"'
    if db.dialect == "sqlite":
        words = tables.words_table(table)
        sql = f"SELECT id FROM {table} WHERE seq IN (SELECT rowid FROM {words} WHERE {words} MATCH :word) ORDER BY seq"
    else:
        sql = f"SELECT id FROM {table} WHERE words @@ CAST(:word AS tsquery) ORDER BY seq"
    return [row[0] for row in db.query(sql, {"word": word})]


def schema(db: Db) -> dict[str, Any]:
    """Every table of items with its columns and indexes, whatever their order is."""
    found: dict[str, Any] = {}
    if db.dialect == "sqlite":
        names = db.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'c\\_%' ESCAPE '\\'", {})
        for (name,) in names:
            columns = db.query('SELECT name, type, "notnull" FROM pragma_table_xinfo(:name)', {"name": name})
            made = db.query("SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = :name", {"name": name})
            found[name] = (sorted(columns), sorted(str(row[0]) for row in made))
        return found
    sql = "SELECT table_name, column_name, data_type, collation_name, is_nullable FROM information_schema.columns"
    for name, *column in db.query(f"{sql} WHERE table_schema = 'public' AND table_name LIKE 'c\\_%'", {}):
        found.setdefault(name, ([], []))[0].append(column)
    for name, made in db.query("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'", {}):
        if name in found and "_pkey" not in made:
            found[name][1].append(made)
    return {name: (sorted(columns), sorted(made)) for name, (columns, made) in found.items()}


def settle_indexes(db: Db, world: dict[str, Any]) -> None:
    """What control/indexes.py does alongside the writer."""
    for collection in there(world).values():
        differs = indexes.difference(db, collection)
        for name in differs.unneeded:
            db.execute(f"DROP INDEX {name}", {})
        for index in differs.missing:
            db.execute(index.sql(collection), {})


@st.composite
def worlds_with_rows(draw: st.DrawFn) -> Any:
    """Two worlds, and rows for the first; some fields and collections of the second were called otherwise."""
    before, after = draw(worlds()), draw(worlds())
    filled = {}
    for name, collection in there(before).items():
        row = {field.name: st.none() | VALUES[field.type] for field in collection.fields if not field.unique}
        filled[name] = draw(st.lists(st.fixed_dictionaries(row), max_size=4))
    for name, declaration in after.items():
        if name not in before and draw(st.booleans()):
            free = [each for each in before if each not in after and "was" not in str(after)]
            if free:
                declaration["was"] = free[0]
        source = before.get(declaration.get("was", name), {"fields": {}})["fields"]
        for field, said in list(declaration["fields"].items()):
            old = [each for each in source if each not in declaration["fields"]]
            if draw(st.booleans()) and isinstance(said, dict) and field not in source and old:
                kind = source[old[0]] if isinstance(source[old[0]], str) else source[old[0]]["type"]
                if kind == said["type"] and old[0] not in str(declaration["fields"]):
                    said["was"] = old[0]
    return before, after, filled


def check(db: Db, before: dict[str, Any], after: dict[str, Any], filled: dict[str, list[Any]]) -> None:
    """Apply `before`, insert, apply `after`; compare with a fresh `after`."""
    db.begin()
    try:
        apply(db, {}, before)
        for name, items in filled.items():
            for n, row in enumerate(items):
                insert(db, there(before)[name], f"i{n}", row, tenant="abc" if n % 2 else "")
        olds = {name: rows(db, collection) for name, collection in there(before).items()}
        plan, found = apply(db, before, after, prune=True)
        if plan.refusals or found.refusals:
            assert {name: rows(db, collection) for name, collection in there(before).items()} == olds
            return
        settle_indexes(db, after)
        compare_items(db, before, after, olds, plan, found)
        changed = schema(db)
        assert apply(db, after, after, prune=True)[0].steps == ()
        db.rollback()
        db.begin()
        apply(db, {}, after)
        assert schema(db) == changed
    finally:
        db.rollback()


def compare_items(db: Db, before: Any, after: Any, olds: Any, plan: Plan, found: Findings) -> None:
    """Every value is where it belongs, or the plan said that it would be lost."""
    pairs = {pair.after.name: pair for pair in plan.pairs}
    lost = 0
    for name, collection in there(after).items():
        pair = pairs.get(name)
        source = pair.before.name if pair else name if name in before and name not in plan.dropped else None
        news = rows(db, collection)
        old_rows = olds[source] if source and collection not in plan.created else {}
        assert news.keys() == old_rows.keys()
        for ident, old in old_rows.items():
            new = news[ident]
            for field in collection.fields:
                was = pair.source(field.name) if pair else field
                value = old[was.name] if was else None
                if value is None:
                    default = values.stored(field, field.default, db.dialect)
                    assert new[field.name] in (None, values.shown(field, default))
                elif was and (was.type, field.type) == ("date", "datetime"):
                    assert new[field.name] == f"{value}T00:00:00.000Z"
                elif was and field.type == "decimal":
                    assert Decimal(new[field.name]) == Decimal(str(value))
                else:
                    assert new[field.name] == value
            kept = {was.name for field in collection.fields if (was := pair.source(field.name) if pair else field)}
            lost += sum(
                1 for each, value in old.items() if each not in kept | {"revision", "updated"} and value is not None
            )
            shown = {each: value for each, value in new.items() if each not in ("revision", "updated")}
            if any(shown.get(each) != value for each, value in old.items() if each in shown and each in kept):
                assert new["revision"] > old["revision"] and new["updated"] == LATER
        for field in collection.fields:
            if field.searchable:
                for ident, new in news.items():
                    for word in words([new[field.name]]).split():
                        assert ident in words_of(db, name, f'"{word}"' if db.dialect == "sqlite" else f"'{word}'")
    counted = zip(plan.steps, found.counts, strict=True)
    said = {type(step): 0 for step in plan.steps}
    for step, count in counted:
        said[type(step)] += count
        assert count == 0 or isinstance(step, DropField | DropCollection | FillField | ConvertField | AddField)
    assert said.get(DropField, 0) == lost
    assert said.get(DropCollection, 0) == sum(len(olds[name]) for name in plan.dropped)


@pytest.mark.slow
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(worlds_with_rows())
def test_any_declaration_becomes_any_other_on_sqlite(tmp_path_factory: Any, case: Any) -> None:
    check(_sqlite(tmp_path_factory), *case)


_opened: dict[str, Db] = {}


def _sqlite(factory: Any) -> Db:
    if "sqlite" not in _opened:
        folder: Path = factory.mktemp("alter")
        _opened["sqlite"] = open_engine("sqlite:test.db", folder).writer()
    return _opened["sqlite"]


@pytest.mark.slow
@pytest.mark.postgres
def test_any_declaration_becomes_any_other_on_postgres(migrated_url: str, tmp_path: Path) -> None:
    db = open_engine(migrated_url, tmp_path).writer()

    @settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
    @given(worlds_with_rows())
    def run(case: Any) -> None:
        check(db, *case)

    run()
    db.close()


@pytest.mark.slow
@pytest.mark.postgres
def test_statements_follow_a_table_there_and_back(migrated_url: str, tmp_path: Path) -> None:
    db = open_engine(migrated_url, tmp_path).writer()
    # The driver looks at what ALTER and ROLLBACK did only where they are new to it.
    for _ in range(2):
        for kind in ("BIGINT", "DOUBLE PRECISION", "TEXT"):
            db.begin()
            db.execute("CREATE TABLE t (v BIGINT)", {})
            db.execute(f"ALTER TABLE t ALTER v TYPE {kind}", {})
            db.rollback()
    for kind in ("BIGINT", "DOUBLE PRECISION", "TEXT"):
        db.begin()
        db.execute("CREATE TABLE t (v BIGINT)", {})
        db.execute("INSERT INTO t VALUES (1)", {})
        # Often enough for the driver to prepare it.
        assert [db.query("SELECT v FROM t", {})[0][0] for _ in range(7)] == [1] * 7
        db.execute(f"ALTER TABLE t ALTER v TYPE {kind}", {})
        assert db.query("SELECT v FROM t", {}) == [("1" if kind == "TEXT" else 1,)]
        db.rollback()
    db.close()


@pytest.mark.slow
@pytest.mark.postgres
def test_statements_forget_a_table_whose_making_was_rolled_back(migrated_url: str, tmp_path: Path) -> None:
    db = open_engine(migrated_url, tmp_path).writer()
    # The driver looks at what ROLLBACK did only where that is new to it.
    db.begin()
    db.rollback()
    for kind in ("BIGINT", "DOUBLE PRECISION", "TEXT"):
        db.begin()
        db.execute(f"CREATE TABLE t (v {kind})", {})
        # Often enough for the driver to prepare it.
        assert [db.query("SELECT v FROM t", {}) for _ in range(7)] == [[]] * 7
        db.rollback()
    db.close()


BEFORE: dict[str, Any] = {
    "tasks": {
        "fields": {
            "title": {"type": "string", "searchable": True, "filterable": True},
            "note": "string",
            "amount": {"type": "integer", "filterable": True},
            "due": {"type": "date", "sortable": True},
            "owner": {"type": "reference", "to": "people"},
        },
        "questions": {"q": ["title", "amount__gte"]},
    },
    "people": {"fields": {"name": {"type": "string", "unique": True}}},
}


@pytest.fixture
def filled(db: Db) -> Db:
    """Three tasks and two people, in a transaction that is open."""
    db.begin()
    apply(db, {}, BEFORE)
    tasks, people = (there(BEFORE)[name] for name in ("tasks", "people"))
    insert(db, people, "ann", {"name": "Ann"})
    insert(db, people, "bob", {"name": "Bob"})
    row = {"title": "Größe one", "note": "n", "amount": 3, "due": "2026-01-02", "owner": "ann"}
    insert(db, tasks, "a", row)
    insert(db, tasks, "b", {"title": "Two", "note": "n", "amount": 2**53 + 1})
    insert(db, tasks, "c", {"title": "Two", "owner": "nobody"}, tenant="acme")
    return db


def changed(**fields: Any) -> dict[str, Any]:
    """The tasks with some fields changed, added, or (None) dropped."""
    merged = {**BEFORE["tasks"]["fields"], **fields}
    tasks = {"fields": {name: said for name, said in merged.items() if said is not None}}
    return {**BEFORE, "tasks": tasks}


def sentences(db: Db, after: dict[str, Any], **more: Any) -> list[str]:
    plan = planned(BEFORE, after, **more)
    return [f"{place.pointer} {place.code} {place.detail}" for place in (*plan.refusals, *inspect(db, plan).refusals)]


def test_what_does_not_fit_is_counted_with_examples(filled: Db) -> None:
    title = {**BEFORE["tasks"]["fields"]["title"]}
    assert sentences(filled, changed(title={**title, "max": 3})) == [
        "/tasks/fields/title items_fits 1 item of tasks has a value in title that no longer fits: a."
    ]
    assert sentences(filled, changed(title={**title, "unique": True})) == []
    filled.execute("UPDATE \"c_tasks\" SET tenant = '' WHERE id = 'c'", {})
    assert sentences(filled, changed(title={**title, "unique": True})) == [
        "/tasks/fields/title items_unique 2 items of tasks share their title with another one: b, c."
    ]
    assert sentences(filled, changed(note={"type": "string", "required": True})) == [
        "/tasks/fields/note items_required 1 item of tasks has no note, and it has no default: c."
    ]
    assert sentences(filled, changed(new={"type": "string", "required": True})) == [
        "/tasks/fields/new items_required 3 items of tasks have no new, and it has no default: a, b, c."
    ]
    assert sentences(filled, changed(amount="number")) == [
        "/tasks/fields/amount items_fits 1 item of tasks has a value in amount that no longer fits: b."
    ]
    assert sentences(filled, changed(title={"type": "enum", "values": ["Two"]})) == [
        "/tasks/fields/title items_fits 1 item of tasks has a value in title that no longer fits: a."
    ]
    assert sentences(filled, changed(owner={"type": "reference", "to": "tasks"})) == [
        "/tasks/fields/owner items_exists 2 items of tasks point with owner to no item of tasks: a, c."
    ]
    assert sentences(filled, changed(note={"type": "reference", "to": "people"})) == [
        "/tasks/fields/note items_exists 2 items of tasks point with note to no item of people: a, b."
    ]
    assert sentences(filled, changed(due={"type": "date", "min": "2026-02-01"})) == [
        "/tasks/fields/due items_fits 1 item of tasks has a value in due that no longer fits: a."
    ]


def test_a_table_without_room_for_columns_is_reported(filled: Db) -> None:
    wanted = changed(more="string")
    if filled.dialect == "postgres":
        used = int(filled.query("SELECT MAX(attnum) FROM pg_attribute WHERE attrelid = 'c_tasks'::regclass", {})[0][0])
        names = [f"gone{number}" for number in range(1_600 - used)]
        filled.execute(f"ALTER TABLE c_tasks {', '.join(f'ADD {name} int' for name in names)}", {})
        filled.execute(f"ALTER TABLE c_tasks {', '.join(f'DROP {name}' for name in names)}", {})
        [told] = sentences(filled, wanted)
        assert "too_many_columns The table of tasks has had 1,600 columns, including dropped ones" in told
    else:
        assert sentences(filled, wanted) == []


def test_what_is_lost_is_counted(filled: Db) -> None:
    plan = planned(BEFORE, changed(note=None, due=None))
    assert inspect(filled, plan).counts == (2, 1, 0)
    plan = planned(BEFORE, {"tasks": changed(owner=None)["tasks"]}, prune=True)
    assert [type(step).__name__ for step in plan.steps] == ["DropCollection", "DropField", "ChangeCollection"]
    assert inspect(filled, plan).counts == (2, 2, 0)


@pytest.mark.slow
def test_renames_and_conversions_keep_what_is_there(filled: Db) -> None:
    filled.execute('UPDATE "c_tasks" SET "f_amount" = 7 WHERE id = \'b\'', {})
    after = {
        "jobs": {
            "was": "tasks",
            "fields": {
                "name": {**BEFORE["tasks"]["fields"]["title"], "was": "title"},
                "amount": {"type": "number", "filterable": True},
                "due": {"type": "datetime", "sortable": True},
                "owner": {"type": "reference", "to": "persons"},
                "state": {"type": "enum", "values": ["new"], "default": "new", "required": True},
                "note": "string",
            },
            "questions": {"q": ["name", "amount__gte"]},
        },
        "persons": {"was": "people", "fields": {"name": {"type": "string", "unique": True}}},
    }
    plan, found = apply(filled, BEFORE, after)
    assert plan.refusals == () and found.refusals == ()
    jobs = rows(filled, there(after)["jobs"])
    assert jobs["a"] == {
        "revision": 4,
        "updated": LATER,
        "name": "Größe one",
        "amount": 3.0,
        "due": "2026-01-02T00:00:00.000Z",
        "owner": "ann",
        "state": "new",
        "note": "n",
    }
    assert type(jobs["a"]["amount"]) is float
    assert jobs["c"]["revision"] == 2 and jobs["c"]["amount"] is None
    assert words_of(filled, "jobs", "grosse") == ["a"]
    assert words_of(filled, "jobs", "two") == ["b", "c"]
    assert rows(filled, there(after)["persons"])["bob"]["name"] == "Bob"
    settle_indexes(filled, after)
    after_schema = schema(filled)
    filled.rollback()
    filled.begin()
    apply(filled, {}, {name: plain(each) for name, each in there(after).items()})
    assert schema(filled) == after_schema


@pytest.mark.slow
def test_words_follow_the_fields_that_are_searched(filled: Db) -> None:
    two = changed(note={"type": "string", "searchable": True})
    apply(filled, BEFORE, two)
    assert words_of(filled, "tasks", "n") == ["a", "b"] and words_of(filled, "tasks", "two") == ["b", "c"]
    none = changed(title="string")
    apply(filled, two, none)
    apply(filled, none, BEFORE)
    assert words_of(filled, "tasks", "two") == ["b", "c"]
    # A default that fills what is missing is found as well.
    filled_in = changed(note={"type": "string", "searchable": True, "required": True, "default": "new"})
    apply(filled, two, filled_in)
    assert words_of(filled, "tasks", "new") == ["c"] and words_of(filled, "tasks", "two") == ["b", "c"]
    apply(filled, filled_in, none)
    apply(filled, none, BEFORE)
    # The words of one field become those of another one that takes its name.
    swapped = changed(title={"type": "string", "searchable": True, "was": "note"}, note=None)
    apply(filled, BEFORE, changed(title=None))
    apply(filled, changed(title=None), swapped)
    assert words_of(filled, "tasks", "n") == ["a", "b"]


def test_a_failed_step_rolls_everything_back(engine: Engine, db: Db) -> None:
    db.begin()
    apply(db, {}, BEFORE)
    insert(db, there(BEFORE)["tasks"], "a", {"title": "x", "note": "n"})
    db.commit()
    db.begin()
    before, items = schema(db), rows(db, there(BEFORE)["tasks"])
    plan = planned(BEFORE, {**changed(note=None, new={"type": "string", "default": "d"}), "more": {}})
    # Somebody's table gets in the way of the last step.
    db.execute("CREATE TABLE in_the_way (id INTEGER)", {})
    name = tables.indexes(there({"more": {}})["more"], db.dialect)[0].name
    db.execute(f"CREATE INDEX {name} ON in_the_way (id)", {})
    with pytest.raises(StoreError), db.savepoint():
        alter.carry_out(db, plan, LATER)
    assert schema(db) == before and rows(db, there(BEFORE)["tasks"]) == items
    db.rollback()


@pytest.mark.slow
def test_on_postgres_indexes_that_need_no_other_table_wait(filled: Db) -> None:
    after = changed(note={"type": "string", "filterable": True})
    _, found = apply(filled, BEFORE, after)
    assert found.refusals == ()
    assert bool(indexes.difference(filled, there(after)["tasks"]).missing) is (filled.dialect == "postgres")
    title = {**BEFORE["tasks"]["fields"]["title"], "unique": True}
    unique = changed(title=title, note={"type": "string", "filterable": True})
    apply(filled, after, unique)
    assert indexes.difference(filled, there(unique)["tasks"]).missing == ()


def test_names_of_words_and_of_collections_never_meet(db: Db) -> None:
    searched = {"fields": {"a": {"type": "string", "searchable": True}}}
    world = dict.fromkeys(("x", "x_words", "x_words_data", "x_data"), searched)
    db.begin()
    apply(db, {}, world)
    assert len(rows(db, there(world)["x_words"])) == 0
    assert set(COLLECTION_NAMES)
    db.rollback()
