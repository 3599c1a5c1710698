"""Reading items on behalf of callers: which items exist for a caller, in which order, and which members it sees.

The functions here return jobs for a reader's connection. The jobs always refuse what the caller's grant does not
include: the API offers nothing else, but a page could ask for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tidings.intake.items.change import RETRY_AFTER_SECONDS, check_verb, look_up, seen
from tidings.intake.items.kinds import Kind, Kinds
from tidings.model.access import READING, Key
from tidings.model.collection import OWN_FIELDS, Field, Item
from tidings.model.errors import Forbidden, Invalid, Unavailable
from tidings.rules.items.condition import Compare
from tidings.rules.items.field import asked_field, is_bound
from tidings.rules.items.permit import Grant
from tidings.rules.items.search_words import words
from tidings.rules.reading import decimals
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog
from tidings.store.items import item_pages
from tidings.store.items.conditions import Where
from tidings.store.items.item_pages import CREATED, Order, Position

T = TypeVar("T")
Document = dict[str, Any]

EXPANDED = "expanded"
"""The name of the member that contains the items to which references point."""
TARGETS_MAX = 500
"""The maximum number of references that one statement looks up."""


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of items, as a caller asks for it. `question`: the question that it asks; empty for none.

    `after`: the position at which the previous page ended. `fields`: the members to show; None for all that it may
    read.
    """

    limit: int
    question: str = ""
    compares: tuple[Compare, ...] = ()
    words: str | None = None
    tenant: str | None = None
    sort: Sequence[str] = (f"-{CREATED}",)
    fields: Sequence[str] | None = None
    expand: Sequence[str] = ()
    count: bool = False
    after: Position | None = None


class ItemPage(msgspec.Struct, frozen=True):
    """A page of items. `end`: where the next page starts; None if there is none.

    `count`: the number on all pages, if requested; None if too many to count.
    """

    documents: list[Any]
    end: Position | None
    count: int | None


class PageJob:
    """Reads one page. `is_single`: with one statement, which sees one moment without a transaction."""

    def __init__(self, reading: ItemReading, asked: ItemList, where: Where, order: Sequence[Order]) -> None:
        self._reading, self._asked, self._where, self._order = reading, asked, where, order
        is_plain = not asked.expand and not asked.count
        self.is_single = is_plain and item_pages.is_one_statement(order, asked.after)

    def __call__(self, db: Db) -> ItemPage:
        """Run in a read transaction, or without one if it is single."""
        asked, table, order = self._asked, self._reading.kind.table, self._order
        total = table.count(db, self._where) if asked.count else None
        found = item_pages.page(db, table, self._where, order, asked.after, asked.limit + 1)
        rows = found[: asked.limit]
        end = item_pages.position(table, order, rows[-1]) if len(found) > asked.limit else None
        return ItemPage(self._reading.documents(db, rows, asked.fields, asked.expand), end, total)


class ItemReading:
    """One caller's access for reading one collection.

    `expands`: the references that it may expand, each with the caller's grant in the collection they point to.
    """

    def __init__(self, catalog: Catalog, grant: Grant, kind: Kind, expands: Mapping[str, tuple[Grant, Kind]]) -> None:
        self._catalog = catalog
        self.grant = grant
        self.kind = kind
        self.expands = expands
        self.members = members_of(grant)
        self._visible = frozenset((*OWN_FIELDS, *grant.read, EXPANDED))
        self._may_filter = frozenset(grant.filter)
        self._questions = {each.name: frozenset(map(_asked, each.parameters)) for each in grant.questions}
        self._may_sort = frozenset((CREATED, *grant.sort))
        self._nullable = {field.name: not field.required for field in grant.collection.fields}

    @classmethod
    def of(cls, catalog: Catalog, kinds: Kinds, key: Key, grant: Grant) -> ItemReading:
        """The access of a key that has this grant."""
        return cls(catalog, grant, kinds.of(grant.collection), _expands(catalog, kinds, key, grant))

    def one(
        self, id: str, tenant: str | None, fields: Sequence[str] | None, expand: Sequence[str]
    ) -> Callable[[Db], tuple[Item, Document]]:
        """The job that reads one item, and what the caller sees of it. Raises Forbidden; the job raises NotFound.

        `tenant`: its tenant, if several have an item with this id.
        """
        check_verb(self.grant, "get")
        self._check_shown(fields, expand)

        def read(db: Db) -> tuple[Item, Document]:
            item = look_up(db, self.kind.table, self.grant, seen(self.grant), id, tenant)
            document = self.kind.rules.document(item, self._chosen(fields))
            for name in expand:
                self._expand(db, [(item.tenant, item.values[name])], [document], name)
            return item, document

        return self.steady(read, expand)

    def page(self, asked: ItemList) -> tuple[Callable[[Db], ItemPage], bool]:
        """The job that reads a page, and whether it is a single statement. Raises Forbidden, Invalid."""
        self._check_list(asked)
        order = self._order(asked)
        job = PageJob(self, asked, self._where(asked), order)
        return self.steady(job, asked.expand), job.is_single

    def position(self, asked: ItemList, given: Sequence[Any]) -> Position | None:
        """A position as it was given, which could be anything; None if no page of this list can end there."""
        fields = [asked_field(self.grant.collection, part.name) for part in self._order(asked) if not part.is_seq]
        has_place = len(given) == len(fields) + 1 and type(given[-1]) is int and 0 <= given[-1] < 1 << 62
        if not has_place or not all(_fits(field, value) for field, value in zip(fields, given, strict=False)):
            return None
        return [
            decimals.read(value) if field is not None and field.type == "decimal" and value is not None else value
            for field, value in zip([*fields, None], given, strict=True)
        ]

    def steady(self, read: Callable[[Db], T], expand: Sequence[str] = ()) -> Callable[[Db], T]:
        """`read`, but refused if the declaration of a collection that it reads changes in the meantime."""
        return unless_redeclared(self._catalog, [self.kind, *(self.expands[name][1] for name in expand)], read)

    def documents(self, db: Db, rows: Sequence[Row], fields: Sequence[str] | None, expand: Sequence[str]) -> list[Any]:
        """What the caller sees of some rows."""
        rules, table, members = self.kind.rules, self.kind.table, self._chosen(fields)
        if members is None and not expand:
            return [rules.shaped(row, table.unpack) for row in rows]
        documents = [rules.document_of(row, table.unpack, members) for row in rows]
        for name in expand:
            self._expand(db, [(row[2], table.value(row, name)) for row in rows], documents, name)
        return documents

    # --- what may be asked --------------------------------------------------------------------------------------------

    def _check_list(self, asked: ItemList) -> None:
        """Raise Forbidden if the caller may not ask for such a list."""
        if not asked.question:
            check_verb(self.grant, "list")
            self._check(asked.words is None or self.grant.words, "search items")
            self._check_names((compare.field for compare in asked.compares), self._may_filter, "filter by")
        else:
            compared = frozenset((compare.field, compare.op) for compare in asked.compares)
            is_asked = asked.words is None and self._questions.get(asked.question) == compared
            self._check(is_asked, f"ask {asked.question[:64]} like this")
        self._check_names((name.removeprefix("-") for name in asked.sort), self._may_sort, "sort by")
        self._check_shown(asked.fields, asked.expand)

    def _check_shown(self, fields: Sequence[str] | None, expand: Sequence[str]) -> None:
        if fields is not None:
            self._check_names(fields, self._visible, "read")
        if expand:
            self._check_names(expand, self.expands, "expand")

    def _check_names(self, names: Iterable[str], among: Iterable[str], verb: str) -> None:
        for name in names:
            self._check(name in among, f"{verb} {name[:64]}")

    def _check(self, is_permitted: bool, what: str) -> None:
        if not is_permitted:
            raise Forbidden(f"This key may not {what} in {self.grant.collection.name}.")

    # --- what is read -------------------------------------------------------------------------------------------------

    def _where(self, asked: ItemList) -> Where:
        """The condition that combines the request's filters with what the caller may see. Raises Invalid."""
        table = self.kind.table
        where = Where(table.dialect)
        where.add(seen(self.grant))
        if asked.tenant is not None:
            where.add(Compare("tenant", "eq", asked.tenant))
        for compare in asked.compares:
            where.add(compare)
        if asked.words is not None:
            found = words([asked.words]).split()
            if not found:
                raise Invalid.of_parameter("q", "no_word", "q must contain at least one word.")
            table.search(where, found)
        return where

    def _order(self, asked: ItemList) -> list[Order]:
        by_time = any(compare.field == CREATED for compare in asked.compares)
        return [
            Order(name := given.removeprefix("-"), given.startswith("-"), self._nullable.get(name, False), by_time)
            for given in asked.sort
        ]

    def _chosen(self, fields: Sequence[str] | None) -> Sequence[str] | None:
        """The members to show; None for all."""
        return self.members if fields is None else [name for name in fields if name != EXPANDED]

    def _expand(
        self, db: Db, references: Sequence[tuple[str, str | None]], documents: list[Document], name: str
    ) -> None:
        """Add the target of each item's reference (its tenant, the id), if the caller may see it."""
        its, kind = self.expands[name]
        idents = list({ident for _, ident in references if ident is not None})
        targets: dict[tuple[str, str | None], Any] = {}
        for start in range(0, len(idents), TARGETS_MAX):
            for target in kind.table.several(db, idents[start : start + TARGETS_MAX], seen(its)):
                targets[target.tenant, target.id] = kind.rules.document(target, members_of(its))
        for reference, document in zip(references, documents, strict=True):
            document.setdefault(EXPANDED, {})[name] = targets.get(reference)


def members_of(grant: Grant) -> Sequence[str] | None:
    """The members of an item that a caller sees; None for all."""
    return None if grant.whole else (*OWN_FIELDS, *grant.read)


def unless_redeclared(catalog: Catalog, kinds: Sequence[Kind], read: Callable[[Db], T]) -> Callable[[Db], T]:
    """`read`, whose result or refusal counts only if all of these are still current; otherwise it raises Unavailable.

    It may have read columns that are gone, or of another type. And on PostgreSQL, a reader with an older snapshot that
    waited for a rewritten table finds it empty.
    """

    def run(db: Db) -> T:
        try:
            return read(db)
        finally:
            for kind in kinds:
                if not catalog.is_current(kind.collection):
                    raise Unavailable(
                        f"The collection {kind.collection.name} is being changed. Try again.",
                        retry_after_seconds=RETRY_AFTER_SECONDS,
                    )

    return run


def _expands(catalog: Catalog, kinds: Kinds, key: Key, grant: Grant) -> dict[str, tuple[Grant, Kind]]:
    """The references that this key may read, into collections that it may read."""
    found = {}
    for field in grant.collection.fields:
        target = catalog.now.collections.get(field.to or "")
        if field.name in grant.read and target is not None:
            its = kinds.grant(key, target)
            if its is not None and its.verbs & set(READING):
                found[field.name] = (its, kinds.of(target))
    return found


def _asked(parameter: str) -> tuple[str, str]:
    """The field and the operator that a question's parameter asks with."""
    field, _, op = parameter.partition("__")
    return field, op or "eq"


def _fits(field: Field | None, value: Any) -> bool:
    """Whether the field's column can be compared with a value of a position."""
    if value is None:
        return True
    kinds: dict[str, type] = {"integer": int, "datetime": int, "number": float, "boolean": bool}
    if field is None or type(value) is not kinds.get(field.type, str):
        return False
    if field.type == "decimal":
        return is_bound("decimal", value)
    if type(value) is str:
        return "\0" not in value
    return type(value) is not int or INTEGER_MIN <= value <= INTEGER_MAX
