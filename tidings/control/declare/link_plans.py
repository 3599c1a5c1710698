"""Plans of links: what is wanted, the steps, and the names of plans."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tidings.control.connections.connections import PlannedConnections
from tidings.model.errors import Place
from tidings.model.link import AnyLink
from tidings.rules.calls.signing import masked
from tidings.rules.declare.links import plain


class PutLink(msgspec.Struct, frozen=True):
    """The result of a declaration. `is_new`: there was no link with this name."""

    link: AnyLink
    is_new: bool


class ResumedLink(msgspec.Struct, frozen=True):
    """A link that acts again, and how many deliveries had been waiting: they are sent now, or were cancelled."""

    link: AnyLink
    waiting: int


class WantedLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Declarations by name, of links and of the connections that they use. `prune`: delete those not among them.

    None: they stay unchanged.
    """

    links: dict[str, Any] | None = None
    connections: dict[str, Any] | None = None
    prune: bool = False

    def stay_as_they_are(self, names: Iterable[str]) -> set[str]:
        """Those of these links that are neither declared nor deleted."""
        if self.links is None:
            return set(names)
        before = {each.get("was") for each in self.links.values() if isinstance(each, dict)}
        return set() if self.prune else set(names) - self.links.keys() - before


class LinkStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan, as a sentence, for a link or connection. `loses`: how many waiting deliveries it cancels."""

    do: str
    link: str | None = None
    connection: str | None = None
    says: str
    loses: int = 0


class LinkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, which can be carried out if `refusals` is empty. `plan` is its name: if it is applied by this name, it is
    refused if anything has changed since. `loses` describes what would be lost; null if nothing. `stays` and
    `connections_stay` list links and connections that are not declared, and are kept. `warnings`, of a plan only:
    templates that name fields which the events do not have.
    """

    plan: str
    steps: list[LinkStep]
    loses: str | None
    refusals: list[Place]
    stays: list[str]
    connections_stay: list[str] = []
    warnings: list[Place] = []
    applied: bool = False


def plan_name(wanted: WantedLinks, present: Mapping[str, AnyLink], connections: PlannedConnections) -> str:
    """The plan's name: a hash of everything it depends on, without secrets."""
    revisions = sorted(
        (link.num, link.revision, msgspec.json.encode(plain(link)).decode()) for link in present.values()
    )
    reached = sorted((each.name, each.id, each.revision) for each in connections.present.values())
    changes = [sorted(connections.changed.items()), connections.dropped]
    whole = msgspec.json.encode([revisions, reached, changes, masked(wanted.links), wanted.prune])
    return "plan_" + hashlib.sha256(whole).hexdigest()[:24]
