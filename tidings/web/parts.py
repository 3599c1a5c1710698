"""The parts that operations work with, put together by server.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from tidings.control.collections import Collections
from tidings.control.declarations import Declarations
from tidings.control.deliveries import Deliveries
from tidings.control.delivery_ids import DeliveryIds
from tidings.control.endpoints.endpoints import Endpoints
from tidings.control.event_types import EventTypes
from tidings.control.forms.declared import DeclaredForms
from tidings.control.forms.forms import Forms
from tidings.control.hooks.declared import DeclaredHooks
from tidings.control.hooks.hooks import Hooks
from tidings.control.indexes import Indexes
from tidings.control.keys import Keys
from tidings.control.link_trials import LinkTrials
from tidings.control.links import Links
from tidings.control.portal.links import PortalLinks
from tidings.control.replays import Replays
from tidings.control.standing.tallies import TallyReading
from tidings.control.svix.applications import Applications
from tidings.control.svix.endpoints import AppEndpoints
from tidings.control.svix.tokens import AppTokens
from tidings.control.tenants import Tenants
from tidings.control.timers.runs import TimerRuns
from tidings.deliver.elsewhere import DeliverElsewhere, stored_lanes
from tidings.deliver.stage import Deliver
from tidings.intake.forms.let_in import RefusedForms
from tidings.intake.forms.receive import FormReceiver
from tidings.intake.forms.tokens import PageTokens
from tidings.intake.hooks.let_in import SecondLook
from tidings.intake.hooks.receive import HookReceiver
from tidings.intake.items.batches import Batches
from tidings.intake.items.change import ItemChanges
from tidings.intake.items.imports import Imports
from tidings.intake.items.kinds import Kinds
from tidings.intake.publish import Publisher
from tidings.model.moment import Clock
from tidings.net.helping.client import Helpers
from tidings.net.names import Names
from tidings.rules.histogram import REQUEST_SECONDS, Histograms
from tidings.rules.nodes.helping import PARTS
from tidings.rules.share import ShareView
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers
from tidings.store.receipts import ReceiptHeads
from tidings.store.seal import Sealer
from tidings.store.writer import Writer
from tidings.views.deliveries import LaneOf
from tidings.web.callers.forwarded import ForwardedSeal
from tidings.web.callers.open_calls import OpenCalls
from tidings.web.callers.tickets import Tickets
from tidings.web.menus import Menus
from tidings.web.traces import RequestTraces
from tidings.web.wire.bodies.reading import BodyReader
from tidings.web.wire.bodies.work import Work
from tidings.web.wire.cursors import Cursors
from tidings.web.wire.feed import Feed
from tidings.web.wire.forwarding import Forwarding
from tidings.web.wire.helping import HelpDoor, HelpWanted

if TYPE_CHECKING:
    from tidings.store.joined.others import Others


class Routing(Protocol):
    """The figures of the route stage, which only the writer runs."""

    @property
    def routed(self) -> int:
        """How many deliveries it made since the start."""

    @property
    def cut_off(self) -> int:
        """How many filters have used up their steps since the start."""

    @property
    def aside(self) -> int:
        """How many tenants are aside now."""


@dataclass(frozen=True, slots=True)
class FormParts:
    """The parts that deal with forms."""

    control: Forms
    declared: DeclaredForms
    receiver: FormReceiver
    refused: RefusedForms

    @classmethod
    def of(
        cls,
        writer: Writer,
        publisher: Publisher,
        catalog: Catalog,
        clock: Clock,
        sealer: Sealer,
        readers: Readers,
        hooks: HookReceiver,
    ) -> FormParts:
        """Put the parts together. They share with hooks the room for refused requests and the thread for large ones."""
        tokens = PageTokens(sealer, clock)
        receiver = FormReceiver(
            writer, publisher, catalog, clock, ReceiptHeads(sealer), hooks.refusals, hooks.beside, tokens
        )
        declared = DeclaredForms(catalog, readers, clock)
        return cls(Forms(catalog, clock), declared, receiver, RefusedForms(receiver, catalog, clock))


@dataclass(frozen=True, slots=True)
class SvixParts:
    """The parts behind the door for users who come from Svix."""

    applications: Applications
    endpoints: AppEndpoints
    tokens: AppTokens

    @classmethod
    def of(cls, catalog: Catalog, clock: Clock, sealer: Sealer, tenants: Tenants, endpoints: Endpoints) -> SvixParts:
        """Put together."""
        applications = Applications(catalog, clock, tenants, endpoints)
        return cls(applications, AppEndpoints(catalog, endpoints), AppTokens(sealer, catalog, clock))


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything an operation may use."""

    settings: Any
    clock: Clock
    catalog: Catalog
    tickets: Tickets
    cursors: Cursors
    delivery_ids: DeliveryIds
    writer: Writer
    readers: Readers
    publisher: Publisher
    hooks: Hooks
    declared_hooks: DeclaredHooks
    receiver: HookReceiver
    second_look: SecondLook
    forms: FormParts
    keys: Keys
    portal: PortalLinks
    tenants: Tenants
    event_types: EventTypes
    endpoints: Endpoints
    links: Links
    link_trials: LinkTrials
    timer_runs: TimerRuns
    deliveries: Deliveries
    tallies: TallyReading
    replays: Replays
    collections: Collections
    declarations: Declarations
    indexes: Indexes
    deliver: Deliver | DeliverElsewhere
    feed: Feed
    routing: Routing
    open_calls: OpenCalls
    kinds: Kinds
    items: ItemChanges
    batches: Batches
    imports: Imports
    menus: Menus
    names: Names
    sends: bool
    """Whether this node runs the deliver stage; if not, another joined node does."""
    unfit: Callable[[], str | None]
    """Returns why callers should go to another server; None if they need not."""
    others: Others | None = None
    """The other joined nodes; None if this one works alone."""
    bodies: BodyReader = field(default_factory=BodyReader)
    work: Work = field(default_factory=Work)
    answers: dict[tuple[str, int], int] = field(default_factory=dict)
    """How many responses were sent, by operation and status."""
    request_seconds: Histograms = field(default_factory=lambda: Histograms(REQUEST_SECONDS))
    """How long responses took, by operation, without streams and long polls."""
    traces: RequestTraces | None = None
    """The part that traces requests, if they are traced."""
    spans: Mapping[str, int] = field(default_factory=dict)
    """How many spans were sent, could not be sent, or were dropped, if requests are traced."""
    forwarded: ForwardedSeal | None = None
    """Opens the header with which other nodes pass requests on, if several nodes work."""
    forwarding: Forwarding | None = None
    """Passes requests on to the node that sends, if that is not this one."""
    helping: HelpDoor | None = None
    """Where this node sends requests for the one that sends, if that is another joined node."""
    helpers: Helpers | None = None
    """The nodes that send requests for this one, if it sends and has joined others."""
    help_wanted: HelpWanted | None = None
    """Finds helpers."""
    svix: SvixParts = field(init=False)

    def __post_init__(self) -> None:
        sealer = self.tickets.sealer("application portal tokens")
        svix = SvixParts.of(self.catalog, self.clock, sealer, self.tenants, self.endpoints)
        object.__setattr__(self, "svix", svix)

    @property
    def sends_parts(self) -> int | None:
        """For how many parts of the endpoints this joined node sends; None if it works alone."""
        if self.helpers is not None:
            return PARTS - len(self.helpers.of)
        return None if self.helping is None else self.helping.parts

    async def lanes_of(self, links: Iterable[int], tenant: str | None) -> LaneOf:
        """The lanes of these links: from the deliver stage, or as the sender stored them."""
        if self.sends:
            return cache(self.deliver.lane)
        asked, now = set(links), self.clock.now()
        if not asked:
            return self.deliver.lane
        stored = await self.readers.call(lambda db: stored_lanes(db, asked, now), tenant)
        return stored.get

    def lanes_in(self, db: Db) -> LaneOf:
        """The lanes of links, for a reader's job that asks for the lanes one after the other."""
        if self.sends:
            return self.deliver.lane
        now = self.clock.now()
        return cache(lambda link: stored_lanes(db, (link,), now).get(link))

    def shares(self) -> list[ShareView]:
        """Everything that tenants share, as it is now."""
        shared = [each.share for each in (self.open_calls, self.bodies, self.work, self.readers, self.names)]
        shared += [*self.receiver.shares, self.forms.receiver.share]
        return [*(share.view() for share in shared), *self.deliver.shares()]
