"""The one place where the parts meet: open the store, start the stages, listen, and stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidings import __version__
from tidings.control.bulk.running import BulkWork
from tidings.control.collections import Collections
from tidings.control.connections.connections import Connections
from tidings.control.declarations import Declarations
from tidings.control.declare.declaring import Declaring
from tidings.control.declare.whole import WholeFile
from tidings.control.deliveries import Deliveries
from tidings.control.delivery_ids import DeliveryIds
from tidings.control.endpoints.cancelling import Cancelling
from tidings.control.endpoints.edit import EndpointEdits
from tidings.control.endpoints.endpoints import Endpoints
from tidings.control.event_types import EventTypes
from tidings.control.hooks.declared import DeclaredHooks
from tidings.control.hooks.hooks import Hooks
from tidings.control.indexes import Indexes
from tidings.control.keys import Keys, ensure_operator
from tidings.control.link_trials import LinkTrials
from tidings.control.links import Links
from tidings.control.portal.links import PortalLinks
from tidings.control.replaying import Replaying
from tidings.control.replays import Replays
from tidings.control.standing.tallies import TallyReading
from tidings.control.tenants import Tenants
from tidings.control.timers.runs import TimerRuns
from tidings.control.timers.stage import LinkTimers
from tidings.control.upkeep.reach import Reach
from tidings.control.upkeep.retention import Retention
from tidings.control.upkeep.timekeeper import Timekeeper
from tidings.deliver.actions.try_out import Trials
from tidings.deliver.stage import Deliver
from tidings.intake.hooks.fetched import Fetched
from tidings.intake.hooks.let_in import SecondLook
from tidings.intake.hooks.receive import HookReceiver
from tidings.intake.items.batches import Batches
from tidings.intake.items.change import ItemChanges
from tidings.intake.items.imports import ImportLimits, Imports
from tidings.intake.items.kinds import Kinds
from tidings.intake.items.link_edits import LinkEdits
from tidings.intake.publish import Publisher
from tidings.listening import ended, http_server, listening, opened, reached_at, share_processor
from tidings.model.moment import Clock, SystemClock
from tidings.net.fetch import Fetcher
from tidings.net.helping.client import HelpedClient, Helpers
from tidings.net.http import HttpClient
from tidings.net.names import Names
from tidings.route.route import Router
from tidings.rules.network import address
from tidings.rules.network.origin import public_url
from tidings.settings import Settings
from tidings.store.base import Engine, Superseded, Taken
from tidings.store.beats.beat import Beat
from tidings.store.catalog import Catalog
from tidings.store.engines.nodes import Own
from tidings.store.readers import Readers
from tidings.store.receipts import ReceiptHeads
from tidings.store.seal import Sealer, plain_until
from tidings.store.writer import Writer
from tidings.stored import OpenStore
from tidings.structs import learn_structs
from tidings.tasks import Tasks
from tidings.tracing import start_if_asked
from tidings.web.app import App
from tidings.web.callers.open_calls import OpenCalls
from tidings.web.callers.tickets import Tickets
from tidings.web.elsewhere import among_others
from tidings.web.items import operations as item_menu
from tidings.web.menus import Menus
from tidings.web.parts import FormParts, Parts
from tidings.web.wire.cursors import Cursors
from tidings.web.wire.feed import Feed

if TYPE_CHECKING:
    from tidings.store.joined.others import Others

GARBAGE_THRESHOLD = 20_000
DRAINED = "this server is being drained, and exits soon"

log = logging.getLogger("tidings.server")


class Server:
    """One node. `run` serves until `stop`; `operator_key` is set if one was made at this start."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        *,
        wants_to_send: bool = True,
    ) -> None:
        """`wants_to_send`: if this node has joined others and none of them sends, it becomes the sender."""
        self.settings = settings
        self._import_limits = ImportLimits(settings.max_whole_import_bytes, settings.max_whole_import_lines)
        self.clock = clock or SystemClock()
        self.operator_key: str | None = None
        self.port, self.failed = settings.port, False
        self._beat: Beat | None = None
        self._others: Others | None = None
        self._chance = chance
        self.draining: int | None = None
        """After how many seconds this server exits, if it was asked to drain."""
        self.on_drain: Callable[[int, bool], None] = lambda seconds, is_followed: self.stop_in(seconds)
        self.on_free: Callable[[], None] = lambda: None  # from a thread, as long as it takes in and no other node sends
        self._reach: Reach | None = None
        self._stored = OpenStore(settings, wants_to_send=wants_to_send)
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, *, new_store: bool = False) -> None:
        """Open the store and put the parts together. Raises StoreError, or WrongTracing, with a sentence for people.

        `new_store`: accept an empty database in a folder that was used before.
        """
        learn_structs()
        try:
            self._open(new_store)
        except BaseException:
            self._stored.release()
            raise

    def _open(self, new_store: bool) -> None:
        settings, self._tracing = self.settings, start_if_asked(os.environ, self.clock)
        engine, sealer = self._stored.open(new_store)
        self._engine = engine
        networks = self._networks = address.parse_networks(settings.allow_addresses)
        catalog = Catalog(sealer)
        writer = self.writer = Writer(engine, self.clock, self._fail)
        # Among joined nodes, the writer's session has decided which one sends.
        sends = self.sends = engine.sends or not engine.joined
        self._start_beat(engine)
        readers = self._readers = Readers(engine)
        feed = self._feed = Feed(readers)
        router = Router(catalog, self.clock)
        reach = self._reach = Reach(self._stored.lock, self._stored.before, self.clock, lambda: router.position)
        self._names, self._kinds = Names(), Kinds(engine.dialect)
        self._fetcher = Fetcher(lambda: self._http_client(networks))
        self._items = ItemChanges(catalog, self._kinds, self.clock)
        self._edit = LinkEdits(self._items, catalog, self._kinds).make
        helpers = Helpers(settings.share_sending) if engine.joined else None
        deliver = self.deliver = self._deliver_stage(engine, catalog, router, helpers)
        cancelling = self._cancelling = Cancelling(catalog, writer, self.clock, deliver)
        self._replaying = self._replays(catalog)
        retention = Retention(writer, self.clock, *settings.days_kept, catalog=catalog)
        timers = LinkTimers(writer, catalog, self.clock)
        router.on_kick = timers.news
        timekeeper = Timekeeper(writer, self.clock, timers.moved, reach.note, sends=sends)
        self._indexes = Indexes(engine, writer, catalog)
        writer.keep_up(catalog)
        for listener in (deliver.committed, feed.committed, reach.committed):
            writer.on_commit(listener)
        catalog.on_change(lambda snapshot, changed: feed.nudge())
        writer.start(router.step if sends else None)
        for job in (catalog.load, timekeeper.open):
            writer.wait(job)
        self._stored.keep_mark(writer, sealer)
        gaps = writer.wait(lambda db: reach.open(db, engine))
        self._cursors = Cursors(sealer, writer.wait(lambda db: plain_until(db, "event")), gaps)
        self._delivery_ids = DeliveryIds(sealer, writer.wait(lambda db: plain_until(db, "delivery")))
        edits, ids = self._endpoint_edits(catalog, networks), self._delivery_ids
        endpoints = Endpoints(catalog, readers, self.clock, edits, self._cancelling, deliver, ids)
        self._stored.note_use()
        self.operator_key = ensure_operator(settings.operator_key, catalog, self.clock, writer.wait)
        self._follow_others(engine, catalog, feed, router)
        together = self._together(catalog, sealer, feed, router, endpoints)
        others = None if helpers is None else (engine.node or "", sealer, helpers, self._fetcher)
        parts = self.parts = together if others is None else among_others(together, *others)
        if self._beat is not None:
            self._beat.imports, self._beat.parts = lambda: parts.imports.under_way, lambda: parts.sends_parts
        self._tasks = Tasks(cancelling, self._replaying, timekeeper, timers, retention, self._indexes, self._declaring)

    def _deliver_stage(self, engine: Engine, catalog: Catalog, router: Router, helpers: Helpers | None) -> Deliver:
        client = functools.partial(self._http_client, self._networks, helpers)
        around = (self._edit, self.settings.source, self._chance, self._fail, self._may_send, lambda: router.position)
        traced = None if self._tracing is None else self._tracing.action
        return Deliver(engine, self.writer, catalog, self.clock, client, *around, traced)

    def _start_beat(self, engine: Engine) -> None:
        """If nodes share the database, report that this one works."""
        if engine.node is not None:
            own = Own(id=engine.node, version=__version__, joined=engine.joined, sends=self.sends)
            own.draining = self.draining
            own.address = self.settings.node_url or (reached_at(self.settings.host, self.port) if self.port else None)
            beat = self._beat = Beat(engine.builder, own, lambda: self.writer.session, self.writer.speak, self._reached)
            beat.on_drain, beat.on_free, beat.on_nodes = self._drain, lambda: self.on_free(), self.writer.spacing.share
            beat.start()

    def _follow_others(self, engine: Engine, catalog: Catalog, feed: Feed, router: Router) -> None:
        """If this node has joined others, learn what they write."""
        if engine.joined:
            # Imported here: it loads PostgreSQL's driver.
            from tidings.store.joined.others import Others

            self._others = Others(self.settings.database, engine, (self.writer, self._readers, catalog), feed, router)
            self._others.start()

    def _endpoint_edits(self, catalog: Catalog, networks: address.Networks) -> EndpointEdits:
        """The part that creates and edits endpoints."""
        settings = self.settings
        parts, most = (catalog, self.clock, networks, self._names), settings.max_endpoints_per_tenant
        post, proxied = Trials(self.deliver.try_out).post, bool(settings.outbound_proxy)
        return EndpointEdits(*parts, allow_http=settings.allow_http, most_per_tenant=most, proxied=proxied, post=post)

    def _replays(self, catalog: Catalog) -> Replaying:
        bulk = BulkWork(self.writer, self._readers, catalog, self.clock, self.deliver)
        return Replaying(self.writer, catalog, self.clock, self.deliver.notice, bulk=bulk)

    def _http_client(self, networks: address.Networks, helpers: Helpers | None = None) -> HttpClient:
        """The client for outgoing HTTP requests; `helpers`: other nodes to which it leaves some of them."""
        settings, refusal = self.settings, lambda ip: address.refusal(ip, networks)
        make = HttpClient if helpers is None else functools.partial(HelpedClient, helpers, self._may_send)
        agent, proxy = f"Tidings/{__version__}", settings.outbound_proxy or None
        return make(refusal, agent, settings.ca_file or None, self._names, proxy=proxy)

    def _declared(self, catalog: Catalog, jobs: tuple[Writer, Readers, Clock]) -> tuple[Collections, Links]:
        """The declarations of a file, and the part that carries them out."""
        collections, connections = Collections(catalog, self.clock), Connections(catalog, self.clock, self._networks)
        links = Links(catalog, self._readers, self.clock, self._cancelling, self.deliver, connections)
        self.whole_file = WholeFile(collections, links)
        self._declaring = Declaring((self._engine, *jobs), collections, self._indexes)
        return collections, links

    def _together(self, catalog: Catalog, sealer: Sealer, feed: Feed, router: Router, endpoints: Endpoints) -> Parts:
        """The parts that operations work with."""
        settings, kinds, items, heads = self.settings, self._kinds, self._items, ReceiptHeads(sealer)
        publisher, public = Publisher(self.writer, catalog, self.clock), public_url(settings.public_url)
        stores, jobs = (self.writer, publisher, catalog, self.clock), (self.writer, self._readers, self.clock)
        receiver = HookReceiver(*stores, Fetched(self._fetcher.content), heads, settings.max_hook_bytes)
        collections, links = self._declared(catalog, jobs)
        return Parts(
            settings=settings,
            clock=self.clock,
            catalog=catalog,
            tickets=Tickets(sealer, catalog, self.clock, joined=self._engine.joined),
            cursors=self._cursors,
            delivery_ids=self._delivery_ids,
            writer=self.writer,
            readers=self._readers,
            publisher=publisher,
            hooks=Hooks(catalog, self._readers, self.clock, heads, settings.max_hook_bytes),
            declared_hooks=DeclaredHooks(catalog, self._readers, self.clock, settings.max_hook_bytes),
            receiver=receiver,
            second_look=SecondLook(receiver, publisher, catalog, self.clock, public.whole if public else ""),
            forms=FormParts.of(*stores, sealer, self._readers, receiver),
            keys=Keys(catalog, self.clock),
            portal=PortalLinks(catalog, self._readers, self.clock),
            tenants=Tenants(catalog, self.clock),
            event_types=EventTypes(catalog, self.clock),
            endpoints=endpoints,
            links=links,
            link_trials=LinkTrials(links, *jobs, self._edit, catalog.connection, Trials(self.deliver.try_out)),
            timer_runs=TimerRuns(links, catalog, self._readers, self.clock),
            deliveries=Deliveries(catalog, self._readers, self.clock, self.deliver, self._delivery_ids),
            tallies=TallyReading(catalog, self._readers, self.clock),
            replays=Replays(catalog, self._readers, self._replaying),
            collections=collections,
            declarations=Declarations(catalog, self._readers, self.whole_file, self._declaring),
            indexes=self._indexes,
            deliver=self.deliver,
            feed=feed,
            routing=router,
            open_calls=OpenCalls(settings.max_open_streams, settings.max_open_streams_per_key),
            kinds=kinds,
            items=items,
            batches=Batches(items, catalog, kinds),
            imports=Imports(items, catalog, kinds, self.clock, settings.folder, self._import_limits),
            menus=Menus(item_menu.make),
            names=self._names,
            sends=self.sends,
            others=self._others,
            unfit=self._unfit,
        )

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, then finish the work in progress. `ready` is called once requests are accepted."""
        socket = opened(self.settings.host, self.port)
        app = await self.begin(socket.getsockname()[1])
        http = http_server(app, socket)
        serving = asyncio.create_task(http.serve())
        await listening(self.settings.host, self.port, serving)
        log.info("listening on http://%s:%d, storing in %s", self.settings.host, self.port, self._engine.where)
        ready()
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        log.info("stopping: finishing what is in flight and saving the results")
        await self.finish()
        await ended(http, serving)
        await self.end()

    async def begin(self, port: int) -> App:
        """Start everything. Returns the application that takes requests on this port. Raises StoreError."""
        self._loop, self.port = asyncio.get_running_loop(), port
        self.stopping = asyncio.Event()
        if self.failed:
            self.stopping.set()
        if self.draining is not None:
            self.on_drain(self.draining, False)
        # Everything loaded so far lives forever; re-scanning it would cost a few percent per event.
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        self._feed.attach(self._loop)
        if self.sends:
            self.deliver.start()
        app = App(self.parts if self._tracing is None else self._tracing.attach(self.parts))
        await app.start()
        self._app = app
        self._tasks.start(self._loop, sends=self.sends)
        if self.settings.one_processor:
            share_processor([threading.get_native_id(), self.writer.native_id, self.deliver.native_id], port)
        return app

    async def finish(self) -> None:
        """End long polls, streams and other long work, so that their requests end. New requests are still taken."""
        self._tasks.declaring.break_off()
        await self._app.stop()

    async def end(self) -> None:
        """Stop the background tasks, after the last request."""
        await self._tasks.stop()

    def stop(self) -> None:
        """Ask `run` to return; may be called from a signal handler or another thread."""
        if self._loop is not None:
            # A stage may break after the loop has ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.stopping.set)

    @property
    def superseded(self) -> bool:
        """Whether another server writes to the database, or has done so since this one did."""
        return isinstance(self.writer.refusal, Superseded | Taken)

    def _unfit(self) -> str | None:
        if self.draining is not None:
            return DRAINED
        return None if self._beat is None else self._beat.wrong_clock

    def _reached(self, event: int) -> None:
        self._engine.note_reached(event)
        if not self.sends and self._reach is not None:
            self._reach.reached(event)

    def _drain(self, seconds: int, is_followed: bool) -> None:
        """Somebody has asked this server to exit."""
        log.warning("this server was asked to exit in %d s; /readyz sends new callers elsewhere", seconds)
        self.draining = seconds
        if self._loop is not None:
            self.on_drain(seconds, is_followed)

    def stop_in(self, seconds: float) -> None:
        """Ask `run` to return after a while; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self.stopping.set)

    def _may_send(self) -> bool:
        return self._beat is None or self._beat.proven()

    def _fail(self) -> None:
        """A stage died unexpectedly: exit so that the supervisor restarts us."""
        self.failed = True
        self.stop()

    def close(self) -> None:
        """Finish in order: requests in flight, then writes, then the connections."""
        self.deliver.stop()
        self._fetcher.stop()
        self._names.close()
        if self._beat is not None:
            self._beat.stop()
        if self._others is not None:
            self._others.close()
        self.writer.close()
        if self._beat is not None:
            self._beat.close()
        if self._reach is not None:
            self._reach.note()
        self._readers.close()
        self._engine.close()
        self._stored.release()
        if self._tracing is not None:
            self._tracing.stop()
        if self._loop is not None:
            log.info("stopped")
