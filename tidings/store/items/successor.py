"""A table that replaces another, and how each of its rows is made from a row of the old one.

A declaration that changes columns, values, words or indexes alters no table: another one is made, filled, and then read
and written instead. So there is one way for every change, on both engines, and it works in slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidings.model.collection import Collection, Field
from tidings.model.moment import Micros
from tidings.rules.declare.plan import AddField, ConvertField, DropField, FillField, Pair, Plan, RenameField, Step
from tidings.rules.items.search_words import words
from tidings.rules.reading import decimals
from tidings.store.base import Db, Dialect
from tidings.store.items import tables, values

ITEM = "item"
"""The name by which statements refer to a row of the old table."""
_CONVERTED = {
    ("integer", "number", "sqlite"): "CAST({column} AS REAL)",
    ("integer", "number", "postgres"): "{column}::double precision",
    **dict.fromkeys(
        [("integer", "decimal", "sqlite"), ("number", "decimal", "sqlite"), ("string", "decimal", "sqlite")],
        "decimal_key({column})",
    ),
    # Through text, because casting a double keeps only fifteen digits.
    **dict.fromkeys(
        [("integer", "decimal", "postgres"), ("number", "decimal", "postgres"), ("string", "decimal", "postgres")],
        "({column}::text)::numeric",
    ),
    ("decimal", "string", "sqlite"): "decimal_text({column}, {scale})",
    ("decimal", "string", "postgres"): "round({column}, {scale})::text",
    ("date", "datetime", "sqlite"): "unixepoch({column}) * 1000000",
    ("date", "datetime", "postgres"): "(EXTRACT(EPOCH FROM {column}::timestamp) * 1000000)::bigint",
}
"""How columns are converted whose types are stored differently. A date becomes midnight in UTC."""


def is_needed(plan: Plan, pair: Pair, dialect: Dialect) -> bool:
    """Whether a changed collection needs another table.

    If not, its table is kept, or altered without touching its rows.
    """
    steps = plan.steps_of(pair)
    if _searched(pair) or any(_rewrites(step, dialect) for step in steps):
        return True
    if dialect == "sqlite":
        # It goes through all rows for each of these, and for an index.
        if any(isinstance(step, AddField | DropField | RenameField) for step in steps):
            return True
        before = {index.name for index in tables.indexes(pair.before, dialect)}
        return any(index.name not in before for index in tables.indexes(pair.after, dialect))
    # Indexes other than unique ones are built next to the writer (control/indexes.py).
    sources = [(field, pair.source(field.name)) for field in pair.after.fields]
    return any(
        (field.unique and not (was and was.unique)) or (field.to is not None and was is not None and was.to is None)
        for field, was in sources
    )


def _rewrites(step: Step, dialect: Dialect) -> bool:
    """Whether a step changes values that are there."""
    if isinstance(step, ConvertField):
        before, after = step.before.type, step.after.type
        return before == after or (before, after, dialect) in _CONVERTED
    return isinstance(step, FillField) or (isinstance(step, AddField) and step.field.default is not None)


def _searched(pair: Pair) -> bool:
    """Whether `q` now searches different fields."""
    before = {field.name for field in pair.before.fields if field.searchable}
    sources = [pair.source(field.name) for field in pair.after.fields if field.searchable]
    return before != {None if source is None else source.name for source in sources}


class Successor:
    """One such table: the new table of `collection`, with the rows of the table `source`.

    Its rows are made as the plan's steps for the pair say. Rows that the steps change get the time `now`.
    """

    def __init__(
        self, plan: Plan, pair: Pair, collection: Collection, source: str, dialect: Dialect, now: Micros
    ) -> None:
        self.collection, self.source = collection, source
        self.name = tables.table(collection)
        self._dialect = dialect
        self._words = tables.words_table(self.name)
        self._params: dict[str, Any] = {"now": now}
        self._changes: list[str] = []
        steps = plan.steps_of(pair)
        made = {field.name: self._made(pair, field, steps) for field in collection.fields}
        self._searched = [made[field.name] for field in collection.fields if field.searchable]
        self._columns = [*tables.OWN_COLUMNS, *(tables.column(name) for name in made)]
        self._shown = [*self._own(), *made.values()]
        kept = not _searched(pair) and not any(isinstance(step, FillField) and step.field.searchable for step in steps)
        self._keeps_words = kept and dialect == "postgres"
        """Whether rows keep their words."""
        if self._searched and self._keeps_words:
            self._columns.append("words")
            self._shown.append("words")

    def make(self, db: Db) -> None:
        """Make the table, empty, with all of its indexes."""
        for sql in tables.complete(self.collection, self._dialect):
            db.execute(sql, {})

    def fill(self, db: Db, where: str, params: dict[str, Any]) -> None:
        """Make rows from those that match `where` (SQL over `item`). Raises UniqueViolation."""
        found = self._found_words(db, where, params)
        columns, shown, source = self._columns, self._shown, f"{self.source} AS {ITEM}"
        params = {**self._params, **params}
        if found and self._dialect == "postgres":
            columns, shown = [*columns, "words"], [*shown, "array_to_tsvector(string_to_array(found.text, ' '))"]
            source += (
                " JOIN unnest(CAST(:words_seqs AS bigint[]), CAST(:words_texts AS text[])) AS found (seq, text) "
                f"ON found.seq = {ITEM}.seq"
            )
            params |= {"words_seqs": [seq for seq, _ in found], "words_texts": [text for _, text in found]}
        sql = f"INSERT INTO {self.name} ({', '.join(columns)}) SELECT {', '.join(shown)} FROM {source} WHERE {where}"  # noqa: S608 -- our own names
        db.execute(sql, params)
        if found and self._dialect == "sqlite":
            db.insert(self._words, ["rowid", "words"], found)

    def forget(self, db: Db, seqs: Sequence[int]) -> None:
        """Remove these rows again."""
        db.execute((f"DELETE FROM {self.name} WHERE seq IN {tables.listed(self._dialect)}"), tables.listing(seqs))  # noqa: S608 -- our own names
        if self._searched and self._dialect == "sqlite":
            db.execute_many((f"DELETE FROM {self._words} WHERE rowid = :seq"), [{"seq": seq} for seq in seqs])  # noqa: S608 -- our own names

    def take_numbers(self, db: Db) -> None:
        """Number the next item as the previous table would have, so that no number is used twice."""
        names = {"source": self.source, "name": self.name}
        if self._dialect == "postgres":
            there = "nextval(pg_get_serial_sequence(:source, 'seq'))"
            db.query(f"SELECT setval(pg_get_serial_sequence(:name, 'seq'), {there})", names)
            return
        bare = {key: name.strip('"') for key, name in names.items()}
        db.execute("DELETE FROM sqlite_sequence WHERE name = :name", {"name": bare["name"]})
        db.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT :name, seq FROM sqlite_sequence WHERE name = :source", bare
        )

    # --- statements ---------------------------------------------------------------------------------------------------

    def _own(self) -> list[str]:
        """Our own columns: a changed item gets a new revision, as its entity tag must change."""
        if not self._changes:
            return [f"{ITEM}.{name}" for name in tables.OWN_COLUMNS]
        later = "max" if self._dialect == "sqlite" else "greatest"
        revision = " + ".join(["revision", *(f"CASE WHEN {each} THEN 1 ELSE 0 END" for each in self._changes)])
        updated = f"CASE WHEN {' OR '.join(self._changes)} THEN {later}(updated, CAST(:now AS BIGINT)) ELSE updated END"
        return [f"{ITEM}.seq", "id", "tenant", revision, "created", updated]

    def _made(self, pair: Pair, field: Field, steps: Sequence[Step]) -> str:
        """The SQL of a field's value."""
        own = [step for step in steps if _field(step) == field.name]
        source = pair.source(field.name)
        if source is None:
            if field.default is not None:
                self._changes.append("TRUE")
            return self._default(field)
        made = column = tables.column(source.name)
        for step in own:
            if isinstance(step, ConvertField) and _rewrites(step, self._dialect):
                form = _CONVERTED.get((step.before.type, step.after.type, self._dialect), "{column}")
                made = form.format(column=column, scale=decimals.scale(step.before))
                self._changes.append(f"{column} IS NOT NULL")
            elif isinstance(step, FillField):
                made = f"COALESCE({made}, {self._default(field)})"
                self._changes.append(f"{column} IS NULL")
        return made

    def _default(self, field: Field) -> str:
        if field.default is None:
            return "NULL"
        name = f"d{len(self._params)}"
        self._params[name] = values.stored(field, field.default, self._dialect)
        return values.assigned(field, self._dialect, name)

    def _found_words(self, db: Db, where: str, params: dict[str, Any]) -> list[tuple[int, str]]:
        if not self._searched or self._keeps_words:
            return []
        sql = f"SELECT {ITEM}.seq, {', '.join(self._searched)} FROM {self.source} AS {ITEM} WHERE {where}"  # noqa: S608 -- our own names
        return [(row[0], words(row[1:])) for row in db.query(sql, {**self._params, **params})]


def _field(step: Step) -> str | None:
    """The field that a step is about."""
    if isinstance(step, ConvertField):
        return step.after.name
    return step.field.name if isinstance(step, FillField) else None
