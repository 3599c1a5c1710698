"""A declaration over many items holds nobody up: it goes in slices, and what is written meanwhile is in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.control.world import World, opened
from tests.examples import examples, thorough
from tidings.control.collections import Asked, Collections, Wanted
from tidings.control.declare.declaring import Declaring
from tidings.control.declare.discarded import Discarded
from tidings.control.declare.long import WEIGHT_OF_STATEMENT
from tidings.control.indexes import Indexes
from tidings.control.slicing import Slicing
from tidings.intake.items.change import ItemChanges, ItemRequest
from tidings.intake.items.drafts import Drafts
from tidings.intake.items.kinds import Kinds
from tidings.model.access import EVERYTHING, Key
from tidings.model.errors import Conflict, TidingsError
from tidings.rules.declare.declaration import plain
from tidings.store.base import Db, no_rest
from tidings.store.items import indexes, tables, values
from tidings.store.items.conditions import Where
from tidings.store.items.handover import Handover, weight
from tidings.testing import until

pytestmark = pytest.mark.slow

SECONDS = 60.0
ROWS = 3
"""This many rows a slice has here."""
ITEMS = 20
AT_ONCE = 8 * WEIGHT_OF_STATEMENT
"""Enough to make one small collection, and too little to replace that of the things."""
OPERATOR = Key(id="key_operator", hash="", name="operator", scopes=(EVERYTHING,), created=0)
FIELDS: dict[str, Any] = {
    "code": {"type": "string", "unique": True},
    "n": {"type": "integer", "filterable": True},
    "note": "string",
    "owner": "string",
    "gone": "string",
}
BEFORE: dict[str, Any] = {"things": {"fields": FIELDS}, "people": {"fields": {"name": "string"}}}


def changed(**fields: Any) -> dict[str, Any]:
    """The things with some fields changed, added, or (None) dropped."""
    merged = {name: said for name, said in {**FIELDS, **fields}.items() if said is not None}
    return {**BEFORE, "things": {"fields": merged}}


EVERY_KIND = changed(
    n={"type": "number", "filterable": True, "sortable": True},
    note={"type": "string", "searchable": True, "max": 40},
    remark={"type": "string", "was": "gone"},
    gone=None,
    state={"type": "string", "default": "new", "required": True},
)
"""What other values, columns, words and indexes there can be, all at once."""


class Slices(Slicing):
    """Slices of few rows, before each of which something may happen."""

    def __init__(self, world: World, before: Callable[[int], None]) -> None:
        super().__init__(world.writer)
        self.rows = ROWS
        self._before = before
        self.count = 0

    async def step(self, job: Callable[[Db, int], Any]) -> Any:
        self.count += 1
        await asyncio.to_thread(self._before, self.count)
        assert self.rows <= ROWS or not self.count
        self.rows = ROWS
        result = await super().step(job)
        self.rows = ROWS
        return result


class Store:
    """A world with the parts that declare, and items to change."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.collections = Collections(world.catalog, world.clock)
        self.kinds = Kinds(world.engine.dialect)
        self.items = ItemChanges(world.catalog, self.kinds, world.clock)
        self.steps = 0
        self.last: Callable[[Db], Any] = lambda db: db
        """The connection of the last job, as that gets it."""

    def declare(
        self,
        collections: dict[str, Any],
        before: Callable[[int], None] = lambda n: None,
        *,
        drops: bool = True,
        at_once: int = -1,
        prune: bool = False,
    ) -> Any:
        """Carry out a declaration, in slices if it touches more rows than `at_once`."""
        asked = Asked(wish=Wanted(collections=collections, prune=prune), drop_values=drops)

        async def run() -> Any:
            world = self.world
            made = Indexes(world.engine, world.writer, world.catalog)
            paces: list[Slices] = []

            def slicing(writer: Any) -> Slices:
                paces.append(Slices(world, before))
                return paces[-1]

            parts = (world.engine, world.writer, world.readers, world.clock)
            declaring = Declaring(parts, self.collections, made, slicing)
            declaring.at_once = at_once
            try:
                return await asyncio.wait_for(
                    declaring.carry_out(lambda db: asked, lambda db, make: make(self.last(db)), world.writer.call),
                    SECONDS,
                )
            finally:
                self.steps = sum(each.count for each in paces)

        return asyncio.run(run())

    def sweep(self) -> None:
        """What is done beside the work: drop what no collection has, make indexes."""

        async def run() -> None:
            assert await Discarded(self.world.engine, self.world.writer, self.world.readers).sweep()
            made = Indexes(self.world.engine, self.world.writer, self.world.catalog)
            assert await made.settle()
            await made.stop()

        asyncio.run(run())

    def change(self, verb: Any, name: str, ident: str | None, data: dict[str, Any] | None = None) -> str:
        """One change of an item; what happened to it."""

        def job(db: Db) -> None:
            self.items.do(db, verb, self.request(name, ident, data))

        try:
            self.world.writer.wait(job)
        except TidingsError as wrong:
            return wrong.code
        return "done"

    def together(self, name: str, changes: list[tuple[Any, str, dict[str, Any]]]) -> None:
        """Several changes, written in sets."""

        def job(db: Db) -> None:
            drafts = Drafts()
            for verb, ident, data in changes:
                self.items.do(db, verb, self.request(name, ident, data, drafts))
            drafts.write(db)

        self.world.writer.wait(job)

    def request(self, name: str, ident: str | None, data: Any, drafts: Drafts | None = None) -> ItemRequest:
        grant = self.kinds.grant(OPERATOR, self.world.catalog.now.collections[name])
        assert grant is not None
        return ItemRequest(
            grant=grant, key=OPERATOR, request_id="r", id=ident, data=data or {}, drafts=drafts, tenant=""
        )

    def fill(self, count: int = ITEMS) -> None:
        for n in range(count):
            data = {"code": f"c{n}", "n": n, "note": f"word{n}x common", "owner": "ann", "gone": "g" if n % 2 else None}
            assert self.change("put", "things", f"i{n}", data) == "done"
        for name in ("ann", "bob"):
            assert self.change("put", "people", name, {"name": name}) == "done"

    def shown(self, name: str = "things") -> dict[str, dict[str, Any]]:
        """The items as JSON values, by id."""
        collection = self.world.catalog.now.collections[name]
        table = self.kinds.of(collection).table
        rows = self.world.readers.run(lambda db: db.query(f"{table.select} ORDER BY seq", {}))
        fields = {field.name: field for field in collection.fields}
        return {
            item.id: {each: values.shown(fields[each], value) for each, value in item.values.items()}
            for item in map(table.item, rows)
        }

    def found(self, word: str) -> list[str]:
        """The things that `q` finds."""
        table = self.kinds.of(self.world.catalog.now.collections["things"]).table
        where = Where(self.world.engine.dialect)
        table.search(where, [word])
        sql = f"SELECT id FROM {table.name} WHERE {where.text} ORDER BY seq"
        return [row[0] for row in self.world.readers.run(lambda db: db.query(sql, where.values))]

    def tables(self) -> list[str]:
        """Every table of items that there is."""
        sql = {
            "sqlite": r"SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'c\_%' ESCAPE '\'",
            "postgres": r"SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'c\_%'",
        }[self.world.engine.dialect]
        names = [str(row[0]) for row in self.world.readers.run(lambda db: db.query(sql, {}))]
        return sorted(name for name in names if "__words" not in name)

    def is_tidy(self) -> bool:
        """Whether there are just the tables and the indexes that the collections should have."""
        self.sweep()
        wanted = self.world.catalog.now.collections.values()
        differs = self.world.readers.run(lambda db: [indexes.difference(db, each) for each in wanted])
        assert self.tables() == sorted(tables.bare(each) for each in wanted)
        return not any(each.missing or each.unneeded for each in differs)


@contextmanager
def store(folder: Path, url: str) -> Iterator[Store]:
    with opened(folder, url) as world:
        yield Store(world)


@pytest.fixture(autouse=True)
def _passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has changed meanwhile does not all fit into the last job."""
    monkeypatch.setattr(Handover, "last_rows", 2)


@pytest.fixture
def here(world: World) -> Store:
    """A store with things and people."""
    made = Store(world)
    made.declare(BEFORE)
    made.fill()
    return made


def test_others_write_between_the_slices_of_a_declaration(here: Store) -> None:
    written: list[int] = []

    def publish(n: int) -> None:
        here.world.publish(tenant="another")
        written.append(n)

    here.declare(EVERY_KIND, publish)
    assert len(written) >= ITEMS / ROWS
    assert here.shown()["i7"] == {
        "code": "c7", "n": 7.0, "note": "word7x common", "owner": "ann", "remark": "g", "state": "new",
    }  # fmt: skip
    assert here.found("common") == [f"i{n}" for n in range(ITEMS)] and here.found("word7x") == ["i7"]
    assert here.is_tidy()
    # What is new has its own number, and what is unique still is.
    assert here.change("create", "things", None, {"code": "c7"}) == "unique_taken"
    assert here.change("create", "things", "i7", {"code": "x"}) == "id_taken"
    assert here.change("create", "things", "new", {"code": "x"}) == "done"
    assert list(here.shown())[-1] == "new"


def test_writes_during_a_declaration_are_kept(here: Store) -> None:
    def write(n: int) -> None:
        if n == 4:
            assert here.change("edit", "things", "i1", {"n": 100, "note": "edited"}) == "done"
            assert here.change("edit", "things", "i19", {"n": 119}) == "done"
            assert here.change("delete", "things", "i2") == "done"
            assert here.change("delete", "things", "i18") == "done"
            # A unique value and an id move to new items, from some that were taken and some that were not.
            assert here.change("put", "things", "i2", {"code": "c18", "note": "again"}) == "done"
            assert here.change("edit", "things", "i3", {"code": "c2"}) == "done"
            assert here.change("edit", "things", "i17", {"code": "c3"}) == "done"
        if n == 6:
            both: list[Any] = [
                ("edit", "i4", {"n": 104}),
                ("delete", "i5", {}),
                ("put", "late", {"code": "c5", "note": "late"}),
            ]
            here.together("things", [*both, ("edit", "i16", {"gone": "kept"})])

    here.declare(EVERY_KIND, write)
    shown = here.shown()
    assert (shown["i1"]["n"], shown["i1"]["note"], shown["i19"]["n"], shown["i4"]["n"]) == (
        100.0,
        "edited",
        119.0,
        104.0,
    )
    assert "i18" not in shown and "i5" not in shown and shown["i2"]["code"] == "c18" and shown["i3"]["code"] == "c2"
    assert shown["i17"]["code"] == "c3" and shown["late"]["code"] == "c5" and shown["i16"]["remark"] == "kept"
    assert all(item["state"] == "new" for item in shown.values())
    assert here.found("edited") == ["i1"] and here.found("word1x") == [] and here.found("again") == ["i2"]
    assert here.found("late") == ["late"] and here.found("word5x") == []
    assert here.is_tidy()


def test_a_refused_change_leaves_nothing_behind(here: Store) -> None:
    def write(n: int) -> None:
        def job(db: Db) -> None:
            here.items.do(db, "edit", here.request("things", "i1", {"n": 100}))
            here.items.do(db, "delete", here.request("things", "i2", {}))
            raise Conflict("never mind")

        with pytest.raises(Conflict):
            here.world.writer.wait(job)

    here.declare(EVERY_KIND, write)
    assert here.shown()["i1"]["n"] == 1.0 and here.shown()["i2"]["n"] == 2.0 and here.found("word2x") == ["i2"]


WRONG: list[tuple[dict[str, Any], Callable[[Store], str], str]] = [
    (
        changed(n={"type": "integer", "min": 0, "filterable": True}),
        lambda here: here.change("edit", "things", "i3", {"n": -1}),
        "1 item of things has a value in n that no longer fits: i3.",
    ),
    (
        changed(n={"type": "number", "filterable": True}),
        lambda here: here.change("edit", "things", "i3", {"n": 2**53 + 1}),
        "1 item of things has a value in n that no longer fits: i3.",
    ),
    (
        changed(note={"type": "decimal"}),
        lambda here: here.change("put", "things", "new", {"note": "no number"}),
        "1 item of things has a value in note that no longer fits: new.",
    ),
    (
        changed(note={"type": "string", "required": True}),
        lambda here: here.change("edit", "things", "i3", {"note": None}),
        "1 item of things has no note, and it has no default: i3.",
    ),
    (
        changed(note={"type": "string", "unique": True}),
        lambda here: here.change("edit", "things", "i3", {"note": "note 4"}),
        "2 items of things share their note with another one: i3, i4.",
    ),
    (
        changed(owner={"type": "reference", "to": "people"}),
        lambda here: here.change("edit", "things", "i3", {"owner": "nobody"}),
        "1 item of things points with owner to no item of people: i3.",
    ),
    (
        changed(owner={"type": "reference", "to": "people"}),
        lambda here: here.change("delete", "people", "ann"),
        "20 items of things point with owner to no item of people: i0, i1, i2 and more.",
    ),
    (
        changed(gone=None),
        lambda here: here.change("edit", "things", "i3", {"gone": "not lost"}),
        "This change would drop 1 column with 1 value: things.gone. Pass drop_values=true to apply it anyway.",
    ),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
@pytest.mark.parametrize("at", [1, 2, 9])
def test_an_item_that_does_not_fit_is_found_however_late(here: Store, case: int, at: int) -> None:
    wanted, spoil, refusal = WRONG[case]
    for n in range(ITEMS):
        note = f"{n}.5" if wanted["things"]["fields"]["note"] == {"type": "decimal"} else f"note {n}"
        assert here.change("edit", "things", f"i{n}", {"gone": None, "note": note}) == "done"
    shown: list[Any] = []

    def spoiled(n: int) -> None:
        if n == at:
            assert spoil(here) == "done"
            shown.append(here.shown())

    declared = dict(here.world.catalog.now.collections)
    try:
        here.declare(wanted, spoiled, drops=False)
    except Conflict as wrong:
        assert refusal in (wrong.detail, *(place.detail for place in wrong.errors)), wrong
        assert here.world.catalog.now.collections == declared and here.shown() == shown[0]
    else:
        # A check alone is done sooner.
        assert here.steps < at
    assert here.is_tidy()


def test_an_interrupted_declaration_leaves_the_old_or_the_new_one(tmp_path: Path, url: str) -> None:
    with store(tmp_path, url) as here:
        here.declare(BEFORE)
        here.fill()
    whole = False
    for at in range(1, 100):
        with store(tmp_path, url) as here:
            before = here.shown()

            def cut(n: int, at: int = at) -> None:
                if n == at:
                    raise KeyError

            try:
                here.declare(EVERY_KIND, cut)
                whole = True
            except KeyError:
                assert here.shown() == before
        # What was left is found at the next start.
        with store(tmp_path, url) as here:
            assert here.is_tidy()
            names = [field.name for field in here.world.catalog.now.collections["things"].fields]
            assert ("state" in names) is whole and len(here.shown()) == ITEMS
        if whole:
            break
    assert whole and at > ITEMS / ROWS


def test_collections_are_made_renamed_and_dropped_in_slices(here: Store) -> None:
    shown = here.shown()
    wanted = {
        "work": {"was": "things", "fields": FIELDS},
        "things": {"fields": {"x": "string"}},
        "more": {"fields": {}},
    }

    def write(n: int) -> None:
        if n == 1:
            assert here.change("edit", "things", "i1", {"n": 100}) == "done"

    here.declare({**wanted, "people": BEFORE["people"]}, write)
    assert here.shown("work") == {**shown, "i1": {**shown["i1"], "n": 100}}
    assert here.shown("things") == {} and here.shown("more") == {} and len(here.shown("people")) == 2
    assert here.change("put", "things", "a", {"x": "y"}) == "done"
    assert here.is_tidy()
    here.declare({"work": {"fields": {**FIELDS, "n": "number"}}, "things": wanted["things"]})
    assert here.shown("work")["i1"]["n"] == 100.0 and here.is_tidy()


def test_another_declaration_runs_unless_it_concerns_the_same_items(here: Store) -> None:
    world = here.world
    passed, ends = threading.Event(), list[str]()

    def asked(name: str, document: Any) -> Asked:
        return Asked(wish=Wanted(collections={name: document}, single=name), drop_values=True)

    async def run() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def before(n: int) -> None:
            if n == 2:
                loop.call_soon_threadsafe(begun.set)
                assert passed.wait(SECONDS)

        made = Indexes(world.engine, world.writer, world.catalog)
        parts = (world.engine, world.writer, world.readers, world.clock)
        declaring = Declaring(parts, here.collections, made, lambda writer: Slices(world, before))
        declaring.at_once = AT_ONCE

        async def declare(called: str, ask: Callable[[Db], Asked]) -> None:
            await declaring.carry_out(ask, lambda db, make: make(db), world.writer.call)
            ends.append(called)

        def described(db: Db) -> Asked:
            return asked("things", {**plain(here.collections.present(db)["things"]), "description": "said of them"})

        long = asyncio.create_task(declare("long", lambda db: asked("things", EVERY_KIND["things"])))
        await begun.wait()
        same = asyncio.create_task(declare("same", described))
        await declare("other", lambda db: asked("other", {"fields": {"a": "string"}}))
        passed.set()
        await asyncio.wait_for(asyncio.gather(long, same), SECONDS)

    asyncio.run(run())
    assert ends == ["other", "long", "same"]
    things = world.catalog.now.collections["things"]
    assert (things.revision, things.description) == (3, "said of them") and here.shown()["i1"]["remark"] == "g"
    assert here.is_tidy()


def test_writers_do_not_wait_for_readers_of_the_altered_table(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of PostgreSQL reads all tables for a long time."""
    with store(tmp_path, migrated_url) as here:
        here.declare(BEFORE)
        here.fill(4)
        reader = here.world.engine.reader()
        reader.begin(write=False)
        for name in ("things", "people"):
            reader.query(f"SELECT COUNT(*) FROM {tables.table(here.world.catalog.now.collections[name])}", {})
        # Another table takes the place of that which is read.
        here.declare(EVERY_KIND, at_once=2_000)
        assert here.shown()["i1"]["state"] == "new"
        people = {"people": {"fields": {"name": "string", "more": "string"}}}
        tried: list[Any] = []
        end = here.collections.end

        def counted(*given: Any) -> Any:
            tried.append(given)
            return end(*given)

        monkeypatch.setattr(here.collections, "end", counted)
        with ThreadPoolExecutor(1) as threads:
            added = threads.submit(here.declare, people, at_once=2_000)
            until(lambda: here.world.publish(tenant="another") and len(tried) > 3, "it was tried again and again")
            assert not added.done()
            reader.rollback()
            added.result(SECONDS)
        assert here.shown("people")["ann"] == {"name": "ann", "more": None}
        reader.close()
        assert here.is_tidy()


class Counted:
    """A connection that counts its statements."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        self.count += name in ("one", "all", "run", "query", "execute", "insert", "many", "execute_many")
        return getattr(self._db, name)


def several(count: int, **fields: Any) -> dict[str, Any]:
    made = {"name": {"type": "string", "searchable": True}, "n": {"type": "integer", "filterable": True}} | fields
    return {f"many{n}": {"fields": made} for n in range(count)}


ALL_AT_ONCE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "made": ({}, {}),
    "filled": ({"state": {"type": "string", "default": "new"}}, {}),
    "altered in place": ({"state": "string"}, {}),
    "checked": ({"n": {"type": "integer", "filterable": True, "min": 0}}, {}),
    "dropped": ({}, {"prune": True}),
}


@pytest.mark.parametrize("case", ["altered in place", *thorough("made", "filled", "checked", "dropped")])
def test_the_last_job_has_the_same_statements_however_many_collections_change(here: Store, case: str) -> None:
    fields, more = ALL_AT_ONCE[case]
    statements: list[int] = []
    for count in (12, 16):
        if case != "made":
            here.declare({**BEFORE, **several(count)})
        counted: list[Counted] = []

        def last(db: Db, counted: list[Counted] = counted) -> Counted:
            counted.append(Counted(db))
            return counted[-1]

        here.last = last
        here.declare({**BEFORE, **({} if more else several(count, **fields))}, prune=True)
        here.last = lambda db: db
        statements.append(counted[-1].count)
        here.declare(BEFORE, prune=True)
    assert statements[0] == statements[1] < 20
    assert here.is_tidy()


def test_what_is_written_to_many_collections_meanwhile_is_in_them(here: Store) -> None:
    names = list(several(12))
    here.declare(several(12))
    written: dict[str, int] = dict.fromkeys(names, 0)

    def write(n: int) -> None:
        # Before each slice, what was finished before is written again, some of it several times.
        for name in names[n % 5 :: 5] if n < 60 else names[:1] if n < 70 else ():
            verb = "put" if n % 3 else "edit"
            if here.change(verb, name, "a", {"name": f"word{n}x", "n": n}) == "done":
                written[name] = n

    here.declare(several(12, state={"type": "string", "default": "new"}), write)
    assert here.steps > 60
    for name in names:
        assert here.shown(name)["a"] == {"name": f"word{written[name]}x", "n": written[name], "state": "new"}
    assert here.is_tidy()


def test_a_plan_of_many_declarations_rests_between_their_fields(here: Store) -> None:
    rests: list[int] = []

    def plan(db: Db) -> None:
        db.rest = lambda: rests.append(1)
        here.collections.planned(db, Wanted(collections=several(40)))
        single = {"fields": {f"f{n}": "string" for n in range(50)}}
        here.collections.planned(db, Wanted(collections={"one": single}, single="one"))

    here.world.writer.wait(plan)
    here.world.writer.wait(lambda db: setattr(db, "rest", no_rest))
    assert len(rests) == 40 * 2 + 50


def test_a_long_plan_is_made_once(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a reader: it may take a second."""
    made: list[Db] = []
    planned = here.collections.planned

    def counted(db: Db, *given: Any) -> Any:
        made.append(db)
        return planned(db, *given)

    monkeypatch.setattr(here.collections, "planned", counted)
    here.declare({**BEFORE, **several(3)})
    assert len(made) == 1 and made[0] is not here.world.writer._db


def test_a_collection_with_many_indexes_is_made_in_slices(here: Store) -> None:
    fields = {f"f{n}": {"type": "integer", "filterable": True, "unique": True} for n in range(30)}
    written: list[int] = []

    def publish(n: int) -> None:
        here.world.publish(tenant="another")
        written.append(n)

    here.declare({"wide": {"fields": fields}}, publish)
    assert len(written) > 3 * 30 / ROWS
    # That is so in the ordinary way, too.
    here.declare({"wider": {"fields": fields}}, at_once=2_000)
    assert here.steps > 3 * 30 / ROWS
    assert here.is_tidy()


VERBS = st.sampled_from(["put", "edit", "edit", "delete"])
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from(["c0", "c1", "c2", "c3", "new"]),
        "n": st.integers(-3, 3),
        "note": st.sampled_from(["alpha", "beta gamma", "delta"]),
    },
)
IDENTS = st.sampled_from(["i0", "i1", "i2", "i3", "i4", "i5"])
CHANGES = st.lists(st.tuples(st.integers(1, 14), VERBS, IDENTS, GIVEN), max_size=25)


def check_changes(here: Store, changes: list[tuple[int, Any, str, dict[str, Any]]]) -> None:
    """Whether these changes, each made before some slice, come to the same as if they were made afterwards."""
    ends = []
    in_order = sorted(changes, key=lambda change: change[0])
    for meanwhile in (True, False):
        here.declare({"things": {"fields": {}}})
        here.declare(BEFORE)
        for ident in list(here.shown()):
            assert here.change("delete", "things", ident) == "done"
        for n in range(6):
            assert here.change("put", "things", f"i{n}", {"code": f"c{n}", "n": n, "note": "alpha"}) == "done"
        left, told = list(in_order), list[str]()

        def write(n: int, left: list[Any] = left, told: list[str] = told) -> None:
            while left and left[0][0] <= n:
                _, verb, ident, data = left.pop(0)
                told.append(here.change(verb, "things", ident, {} if verb == "delete" else data))

        here.declare(EVERY_KIND, write if meanwhile else lambda n: None)
        write(100)
        found = {word: sorted(here.found(word)) for word in ("alpha", "beta", "gamma", "delta")}
        ends.append((told, here.shown(), found))
    assert ends[0] == ends[1]


def test_changes_during_a_declaration_equal_changes_after_it(here: Store) -> None:
    @settings(
        max_examples=examples(10 if here.world.engine.dialect == "postgres" else 20),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(CHANGES)
    def run(changes: Any) -> None:
        check_changes(here, changes)

    run()
    assert here.is_tidy()


def test_a_few_large_items_count_as_many(world: World) -> None:
    """PostgreSQL packs what repeats itself, and unpacks it to check it."""
    here = Store(world)
    here.declare({"things": {"fields": {"text": {"type": "string", "max": 500_000}, "list": "array"}}})
    for n in range(4):
        assert here.change("put", "things", f"i{n}", {"text": "x y " * 50_000}) == "done"
        assert here.change("put", "things", f"j{n}", {"list": ["x y " * 50_000]}) == "done"
    things = world.catalog.now.collections["things"]
    assert 8 * 100 <= world.readers.run(lambda db: weight(db, things, 2_000)) <= 8 * 102
