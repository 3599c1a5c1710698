"""`serve --join`: a node that works together with others, and restarts within its process if its role changes.

One of them sends: it also routes, and does whatever only one node should do. The others take in. If the sender is
gone, one of them restarts as the sender; a sender that was replaced, or gives its role away, restarts as a node that
takes in. The socket and its connections stay open in the meantime, and requests wait for well under a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import socket
from collections.abc import Callable
from typing import Any

from tidings.listening import STOP_HTTP_SECONDS, Entrance, listening, opened
from tidings.model.moment import Clock
from tidings.server import DRAINED, Server
from tidings.settings import Settings
from tidings.store.base import StoreBusy, StoreError, Superseded
from tidings.store.beats.waiting import Turn
from tidings.store.engines.opening import shared_engine
from tidings.web.front import Front

AGAIN_SECONDS = 0.5
"""How long to wait before starting again, if the database could not be reached."""
TIDY_SECONDS = 1.0
"""How long after a start the memory of the previous server is freed, which takes a tenth of a second."""

log = logging.getLogger("tidings.nodes")


class Joined:
    """One joined node: one `Server` after the other. `stop` may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        public: socket.socket | None = None,
    ) -> None:
        """`public`: a socket that it shares with other processes; `share` sets whether it takes calls there."""
        self.settings, self._clock, self._chance = settings, clock, chance
        self._public = public
        self._front = Front(self._why)
        self._entrances: list[Entrance] = []
        self._shared: Entrance | None = None
        self.on_role: Callable[[bool], None] = lambda sends: None
        """Called whenever it serves again; the argument says whether it is the node that sends."""
        self.on_drain: Callable[[], None] = lambda: None
        """Called, from any thread, if somebody has asked this node to exit."""
        self.port = settings.port
        self.failed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = self._ends = False
        self._draining: int | None = None
        self._wrong: StoreError | None = None
        self._turn: Turn | None = None
        self.server = self._made(wants_to_send=True)
        self._is_open = False

    def open(self, *, new_store: bool = False) -> None:
        """Open the port and the store. Raises StoreError, OSError, or WrongTracing."""
        self._socket = opened(self.settings.host, self.port)
        self.port = self.server.port = self._socket.getsockname()[1]
        try:
            self.server.open(new_store=new_store)
        except BaseException:
            self._socket.close()
            raise
        self._is_open = True

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is called. `ready` is called once requests are taken. Raises StoreError."""
        self._loop, self._stop, self._free = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        if self._stopped:
            self._stop.set()
        front = self._front
        own = Entrance(front, self._socket)
        self._entrances = [own]
        try:
            await self._serve(front)
            await listening(self.settings.host, self.port, own.serving)
            ready()
            while (wants_to_send := await self._change(own.serving)) is not None:
                await self._start_again(front, wants_to_send=wants_to_send)
        finally:
            log.info("stopping: finishing what is in flight and saving the results")
            if self._public is not None:
                # Connections that still wait in its queue are finally refused, or accepted by other processes.
                self._public.close()
            if self._is_open:
                await self.server.finish()
            await asyncio.gather(*(each.ended() for each in self._entrances))
            if self._is_open:
                await self.server.end()

    @property
    def operator_key(self) -> str | None:
        """The operator's key, if this start has made it."""
        return self.server.operator_key

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopped = True
        self._call(lambda: self._stop.set())

    def share(self, *, take_calls: bool) -> None:
        """Start or stop taking calls at the shared socket; from any thread."""
        self._call(self._enter if take_calls else self._leave)

    def _enter(self) -> None:
        if self._shared is None and self._public is not None and self._public.fileno() >= 0:
            self._shared = Entrance(self._front, self._public.dup())
            self._entrances.append(self._shared)

    def _leave(self) -> None:
        if self._shared is not None:
            self._shared.leave()
            self._shared = None

    def close(self) -> None:
        """Finish the last server's work."""
        if self._is_open:
            self._is_open = False
            self.server.close()

    def _made(self, *, wants_to_send: bool) -> Server:
        server = Server(self.settings, self._clock, self._chance, wants_to_send=wants_to_send)
        server.port, server.draining = self.port, self._draining
        server.on_drain = self._drain
        server.on_free = lambda: self._call(lambda: self._free.set())
        return server

    async def _serve(self, front: Front) -> None:
        front.open(await self.server.begin(self.port))
        self.on_role(self.server.sends)
        does = "sends" if self.server.sends else "takes in"
        log.info("on http://%s:%d, this server %s", self.settings.host, self.port, does)

    async def _change(self, serving: asyncio.Task[None]) -> bool | None:
        """Wait until this node has to restart; returns whether it then wants to send, or None if it exits."""
        while True:
            events = (self._stop, self.server.stopping, self._free)
            waiting: list[asyncio.Task[Any]] = [asyncio.create_task(each.wait()) for each in events]
            await asyncio.wait({serving, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            if self._stop.is_set() or serving.done():
                return None
            if self.server.stopping.is_set():
                if isinstance(wrong := self.server.writer.refusal, Superseded):
                    log.warning("this server was replaced as the sender, so it takes in from now on: %s", wrong.detail)
                    return False
                if not self.server.failed and self._draining is not None:
                    return False
                self.failed = self.server.failed
                return None
            self._free.clear()
            if await asyncio.to_thread(self._take_turn):
                log.warning("no server is sending: this one restarts to become the sender")
                return True

    def _take_turn(self) -> bool:
        """Whether it is this node's turn to become the sender."""
        turn = Turn(shared_engine(self.settings.database).builder)
        try:
            if turn.take():
                self._turn = turn
                return True
        except StoreError as wrong:
            log.warning("the database cannot be asked which server sends: %s", wrong)
            turn.end()
        return False

    async def _start_again(self, front: Front, *, wants_to_send: bool) -> None:
        """Close this server, and open the next. Requests wait in the meantime. Raises StoreError."""
        front.close()
        await self.server.finish()
        if not await front.empty(STOP_HTTP_SECONDS):
            log.warning("some requests did not end in time")
        await self.server.end()
        await asyncio.to_thread(self.close)
        try:
            while not self._stop.is_set():
                self.server = self._made(wants_to_send=wants_to_send)
                try:
                    await asyncio.to_thread(self.server.open)
                except StoreBusy as wrong:
                    self._note(wrong)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), AGAIN_SECONDS)
                    continue
                self._note(None)
                self._is_open = True
                await self._serve(front)
                break
        finally:
            if self._turn is not None:
                self._turn.end()
                self._turn = None
        asyncio.get_running_loop().call_later(TIDY_SECONDS, _tidy)

    def _drain(self, seconds: int, is_followed: bool) -> None:
        """Somebody has asked this node to exit: it first gives its role away, if another node takes it.

        From any thread.
        """
        self._draining = seconds
        self.on_drain()

        def act() -> None:
            if not self._ends and self._loop is not None:
                self._ends = True
                self._loop.call_later(seconds, self.stop)
            if is_followed:
                self.server.stopping.set()

        self._call(act)

    def _note(self, wrong: StoreError | None) -> None:
        if wrong is not None and self._wrong is None:
            log.error("this server cannot restart yet: %s", wrong)
        self._wrong = wrong

    def _why(self) -> str:
        if self._draining is not None:
            return f"{DRAINED[0].upper()}{DRAINED[1:]}."
        if self._wrong is None:
            return "This server is changing its role, and will be available again in a moment."
        return f"This server cannot use the database: {self._wrong.detail}."

    def _call(self, act: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(act)


def _tidy() -> None:
    """Free the memory of the last server, which was frozen together with everything that existed at its start."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
