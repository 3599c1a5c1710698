"""Imports, first half: each line of a file is checked on its own, as it is read, by the rules of a single creation.

What only the store knows (ids, unique values, references) is checked in the second half, intake/items/import_store.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from tidings.intake.items.drafts import Weights, too_heavy
from tidings.intake.items.kinds import Kind
from tidings.intake.items.spool import Ready, Spool
from tidings.model.access import TENANT_RULE, is_tenant
from tidings.model.errors import Place
from tidings.model.ids import new_ids
from tidings.model.moment import Clock
from tidings.rules.items.condition import ALWAYS, fixed, holds
from tidings.rules.items.file_lines import Bad, Given
from tidings.rules.items.item import ID, ID_RULE
from tidings.rules.items.permit import Grant

ERRORS_MAX = 50
"""The maximum number of bad lines that are reported in full; further ones are only counted."""
PLACES_MAX = 10
"""The maximum number of errors that are reported per line."""


OnConflict = Literal["refuse", "replace", "merge", "skip"]
"""What to do with a line whose id already exists."""


class Refusals(msgspec.Struct):
    """The bad lines of a file: how many, and what is wrong with the first ones."""

    count: int = 0
    places: list[Place] = []

    def add(self, line: int, places: Sequence[Place]) -> None:
        """Add a line, and its errors."""
        self.count += 1
        if self.count <= ERRORS_MAX:
            self.places += [msgspec.structs.replace(place, line=line) for place in places[:PLACES_MAX]]

    def unreadable(self, places: Sequence[Place]) -> None:
        """The rest of the file cannot be read. This is reported first, because it may have caused the other errors."""
        self.count += 1
        self.places = [*places[:ERRORS_MAX], *self.places]

    def join(self, other: Refusals) -> None:
        """Add those of other lines of the same file."""
        self.count += other.count
        self.places = sorted([*self.places, *other.places], key=lambda place: place.line or 0)
        told = sorted({place.line or 0 for place in self.places})[:ERRORS_MAX]
        self.places = [place for place in self.places if told and (place.line or 0) <= told[-1]]


class Checker:
    """Checks the lines of one file for one caller, and spools the good ones. May run in any thread, one at a time.

    `tenant`: the items' tenant if a line does not give one. `on_conflict`: what to do if the id exists. `whole`:
    nothing is stored if one line is bad, so from then on nothing is spooled. `weight_max`: what all items may weigh.
    """

    def __init__(
        self,
        kind: Kind,
        grant: Grant,
        clock: Clock,
        spool: Spool,
        *,
        tenant: str,
        on_conflict: OnConflict,
        whole: bool,
        weight_max: int,
    ) -> None:
        self.read = 0
        # Every line is written only if all are new.
        self._weights = Weights(kind.table) if whole and on_conflict == "refuse" else None
        self._weight_left = weight_max
        self.refusals = Refusals()
        self.grant = grant
        self._kind, self._clock, self._spool = kind, clock, spool
        self._on_conflict, self._whole = on_conflict, whole
        self._usual_tenant = str(fixed(grant.writes).get("tenant", grant.tenant or tenant))
        self._writable = frozenset(grant.write)
        self._may_name_tenant = not grant.tenant
        self._has_rule = grant.writes != ALWAYS
        filled = {name: value for name, value in fixed(grant.writes).items() if name in kind.rules.names}
        self._base = {
            **kind.rules.defaults,
            **{name: kind.rules.as_json(name, value) for name, value in filled.items()},
        }
        self._encode = msgspec.json.Encoder().encode

    def columns(self) -> dict[str, str]:
        """The names that a line may have, each with its type."""
        types = {field.name: field.type for field in self._kind.collection.fields if field.name in self._writable}
        tenant = {"tenant": "tenant"} if self._may_name_tenant else {}
        return {"id": "id", **tenant, **types}

    def check(self, lines: Sequence[Given | Bad]) -> None:
        """Check some lines."""
        self.read += len(lines)
        idents = new_ids("itm", self._clock.now(), len(lines))
        for given, ident in zip(lines, idents, strict=True):
            wrong = [given.place] if type(given) is Bad else self._check(given, ident)  # type: ignore[arg-type]
            if wrong:
                self.refusals.add(given.line, wrong)

    def _check(self, given: Given, ident: Any) -> list[Place]:
        """Check one line and spool it; returns what is wrong with it. `ident`: its id, unless it has its own."""
        data, wrong = given.values, list(given.wrong)
        own_id = False
        if "id" in data and (named := data.pop("id")) is not None:
            own_id, ident = True, named
            if type(ident) is not str or not ID.fullmatch(ident):
                wrong.append(Place(pointer="/id", code="id", detail=ID_RULE))
        tenant = self._tenant(data, wrong) if "tenant" in data else self._usual_tenant
        if not data.keys() <= self._writable:
            wrong += self._misnamed(data)
            data = {name: value for name, value in data.items() if name in self._writable}
        rules = self._kind.rules
        values = rules.stored({**self._base, **data} if self._base else data, "", wrong)
        if given.wrong:
            return beside(wrong, given.wrong)
        partly = self._on_conflict == "merge" and own_id
        if wrong and not (partly and all(place.code == "missing" for place in wrong)):
            return wrong
        fits = not self._has_rule or (values and holds(self.grant.writes, {**values, "id": ident, "tenant": tenant}))
        if wrong or (partly and not fits):
            # Whether the line is enough depends on the existing item.
            values = {}
        elif not fits:
            return [Place(pointer="", code="row_not_permitted", detail=_ROW)]
        if not (self._whole and self.refusals.count):
            if self._weights is not None:
                self._weight_left -= self._weights.of(values)
                if self._weight_left < 0:
                    raise too_heavy()
            shown = self._encode(rules.shown(values)).decode()[1:] if values else ""
            kept = data if self._on_conflict in ("replace", "merge") and own_id else None
            self._spool.add(Ready(given.line, ident, own_id, tenant, list(values.values()), shown, kept))
        return []

    def _tenant(self, data: dict[str, Any], wrong: list[Place]) -> str:
        """The tenant of the line's item."""
        named = data.pop("tenant") if self._may_name_tenant else None
        if named is None:
            return self._usual_tenant
        if type(named) is not str or not is_tenant(named):
            wrong.append(Place(pointer="/tenant", code="tenant", detail=TENANT_RULE))
            return ""
        return named

    def _misnamed(self, data: dict[str, Any]) -> list[Place]:
        found = []
        for name in data:
            if name in self._writable:
                continue
            if name in self.grant.read:
                detail = f"This key may read {name}, but not write it."
                found.append(Place(pointer=f"/{name}", code="field_not_permitted", detail=detail))
            else:
                found.append(self._kind.rules.unknown(name, "", self.grant.write))
        return found


def beside(found: Sequence[Place], first: Sequence[Place]) -> list[Place]:
    """The first errors, and those of the others that are in other fields: a value that is already wrong is not checked
    again.
    """
    fields = {_field(place) for place in first}
    return [*first, *(place for place in found if _field(place) not in fields)]


def _field(place: Place) -> str:
    return (place.pointer or "/").split("/")[1]


_ROW = "This key may not write this item: its row rule does not match the result."
