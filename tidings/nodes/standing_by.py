"""`serve --standby`: wait, answering health checks, until the server that works on the same database has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from tidings import __version__
from tidings.listening import http_server, listening, opened, url_of
from tidings.settings import Settings
from tidings.store.base import StoreBusy, StoreError
from tidings.store.beats.waiting import Standby
from tidings.store.engines.migrate import is_empty, plan
from tidings.store.engines.nodes import LOOK_SECONDS, Own
from tidings.store.engines.opening import lock_folder, shared_engine
from tidings.store.seal import load_sealer
from tidings.web.standby import StandbyApp

STOP_HTTP_SECONDS = 1.0

log = logging.getLogger("tidings.nodes")


class StandingBy:
    """The wait of one server. `stop` ends it from any thread."""

    def __init__(self, settings: Settings) -> None:
        """Raises StoreError if the database cannot be shared, or if this server could not work on it."""
        self._settings = settings
        self._engine = shared_engine(settings.database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._stopped = False
        self._wrong: StoreError | None = None

    def check(self) -> None:
        """Find out now what would stop this server at its turn, such as a different secret key. Raises StoreError."""
        self._settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_folder(self._settings.folder).release()
        self._engine.check_safety()
        db = self._engine.reader()
        try:
            if not is_empty(db):
                if (refusal := plan(db).refusal) is not None:
                    raise StoreError(f"this database {refusal}; start that version, or restore a backup")
                load_sealer(db, self._settings.secret_key or None, self._settings.folder)
        finally:
            db.close()

    async def wait(self, ready: Callable[[str], None]) -> bool:
        """Wait for the turn; False if `stop` was called. `ready` gets the URL once health checks are answered there."""
        self._loop = asyncio.get_running_loop()
        if self._stopped:
            return False
        node = self._engine.node
        assert node is not None
        watch = Standby(self._engine.builder, Own(id=node, version=__version__))
        if await asyncio.to_thread(self._look, watch):
            watch.close()
            return True
        host = self._settings.host
        socket = opened(host, self._settings.port)
        port = socket.getsockname()[1]
        http = http_server(StandbyApp(self._why), socket)
        serving = asyncio.create_task(http.serve())
        await listening(host, port, serving)
        ready(url_of(host, port))
        try:
            while not self._stop.is_set():
                if await asyncio.to_thread(self._look, watch):
                    return True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), LOOK_SECONDS)
            return False
        finally:
            http.stop()  # type: ignore[no-untyped-call]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(serving, STOP_HTTP_SECONDS)
            watch.close()

    def stop(self) -> None:
        """End the wait."""
        self._stopped = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)

    def _look(self, watch: Standby) -> bool:
        try:
            free = watch.look()
        except StoreError as wrong:
            if self._wrong is None:
                log.error("the database cannot be asked which server works: %s", wrong)
            self._wrong = wrong
            return False
        if watch.own.draining is not None:
            log.warning("this server was asked to exit")
            self.stop()
            return False
        if self._wrong is not None:
            log.warning("the database answers again")
            self._wrong = None
        return free

    def _why(self) -> str:
        if self._wrong is None:
            return "This server is standing by while another server is active, and takes over when that server is gone."
        unreachable = isinstance(self._wrong, StoreBusy)
        return f"This server is standing by, and {'cannot reach' if unreachable else 'cannot use'} the database."
