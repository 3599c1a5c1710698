"""A whole file of declarations: its collections and links, planned and carried out together."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.control.collections import Collections, Make, Planned, Shown, Wanted
from tidings.control.declare.link_plans import WantedLinks
from tidings.control.links import Links
from tidings.model.collection import Collection
from tidings.store.base import Db


class WholeFile:
    """Plans and carries out, inside jobs of a reader or of the writer."""

    def __init__(self, collections: Collections, links: Links) -> None:
        self._collections, self._links = collections, links

    def look(self, db: Db, wish: Wanted, links: WantedLinks | None) -> Shown:
        """The plan, shown; links are checked against the collections as they will be. Raises Invalid."""
        planned = self._collections.planned(db, wish)
        shown = self._collections.look(db, planned)
        if links is None:
            return shown
        return msgspec.structs.replace(shown, links=self._links.look(db, links, _after(planned), _renamed(planned)))

    def end(
        self, db: Db, wish: Wanted, links: WantedLinks | None, make: Make, *, links_plan: str | None, drop_values: bool
    ) -> Shown:
        """Carry both out in one job, whole or not at all: `make` the collections. Raises Invalid or Conflict."""
        if links is not None and links_plan is not None:
            self._links.check_plan(db, links, links_plan)
        shown = make(db)
        if links is None:
            return shown
        return msgspec.structs.replace(shown, links=self._links.carry_out(db, links, drop_waiting=drop_values))

    def read(self, db: Db, links: WantedLinks) -> None:
        """Read the declarations of links, for the write job that follows. Raises Invalid."""
        self._links.read(db, links)

    def sweep(self) -> None:
        """Once it is carried out: cancel the waiting deliveries of deleted links."""
        self._links.sweep()

    def apply(
        self, db: Db, wish: Wanted, links: WantedLinks | None, *, only_if: Callable[[Shown], bool] = lambda shown: True
    ) -> Shown:
        """Plan, and carry out if `only_if` accepts the plan, whatever is lost. Raises Invalid or Conflict."""
        shown = self.look(db, wish, links)
        if not only_if(shown):
            return shown
        drop = shown.loses is not None or (shown.links is not None and shown.links.loses is not None)
        make = self._make(wish, drop_values=drop)
        return self.end(db, wish, links, make, links_plan=None, drop_values=drop)

    def _make(self, wish: Wanted, *, drop_values: bool) -> Make:
        return lambda db: self._collections.apply(db, wish, drop_values=drop_values)


def _after(planned: Planned) -> dict[str, Collection]:
    """The collections once a plan is carried out."""
    plan = planned.plan
    gone = {*plan.dropped, *(pair.before.name for pair in plan.pairs)}
    found = {name: collection for name, collection in planned.present.items() if name not in gone}
    made = {collection.name: collection for collection in (*plan.created, *(pair.after for pair in plan.pairs))}
    return found | made


def _renamed(planned: Planned) -> dict[str, str]:
    """The new names of collections that a plan renames, by their old ones."""
    return {pair.before.name: pair.after.name for pair in planned.plan.pairs if pair.before.name != pair.after.name}
