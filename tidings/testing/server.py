"""A whole server in the test's own process: in a thread, in a temporary folder, with a clock that the test chooses."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tidings.model.moment import Clock
from tidings.settings import Settings, SettingsError, read_settings
from tidings.testing.api import LOOPBACK, OPERATOR_KEY, Api
from tidings.testing.ports import keep_port

if TYPE_CHECKING:
    from tidings.nodes.joined import Joined
    from tidings.server import Server

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class TestServer:
    """One server; use it in a `with`, or `start` and `stop`. A restart finds the same folder, port and database.

    `chance` returns a number from 0 to 1 that spreads retries; with the default, 0.5, delays are exactly as scheduled.
    `settings` are those of the server, such as `max_body_bytes=2048`.
    """

    __test__ = False  # Its name begins with Test, but pytest must not collect it.

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Clock | None = None,
        database: str | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        **settings: Any,
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="tidings-test-"))
        self._made = None if folder else self.folder
        self.clock = clock
        self._chance = chance
        self._flags = {"port": keep_port(self), "allow_addresses": LOOPBACK, "operator_key": OPERATOR_KEY, **settings}
        self._flags["data"] = str(self.folder)
        if database is not None:
            self._flags["database"] = database
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._wrong: BaseException | None = None
        self._node: Server | Joined | None = None
        self.url = ""
        self.api = Api("http://127.0.0.1:0", OPERATOR_KEY)

    def __enter__(self) -> TestServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)

    def start(self) -> TestServer:
        """Start, and wait until the server accepts requests. Raises the error that prevented the start."""
        settings = read_settings(self._flags, {})
        if settings.workers > 1:
            raise SettingsError("A TestServer is one server in this process. To test workers, use a ProcessServer.")
        self._ready.clear()
        self._wrong = None
        self._thread = threading.Thread(target=self._run, args=(settings,), name="tidings-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError(f"the server did not start within {START_SECONDS:g} s")
        if self._wrong is not None:
            raise self._wrong
        assert self._node is not None
        self._flags["port"] = self._node.port
        self.url = f"http://127.0.0.1:{self._node.port}"
        self.api = Api(self.url, OPERATOR_KEY)
        return self

    def stop(self) -> None:
        """Stop as SIGTERM would: finish the work in progress, save the results, close."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._node is not None
        self._node.stop()
        thread.join(STOP_SECONDS)
        if thread.is_alive():
            raise TimeoutError(f"the server did not stop within {STOP_SECONDS:g} s")
        if self._wrong is not None:
            raise self._wrong

    @property
    def server(self) -> Server | None:
        """The server itself, once it was started; if it has joined others, the server of its current role."""
        node: Any = self._node
        found: Server | None = node.server if self._flags.get("join") else node
        return found

    def restart(self) -> None:
        """Stop and start on the same folder and port."""
        self.stop()
        self.start()

    def _run(self, settings: Settings) -> None:
        # Loaded here, so that those who only want a receiver do not wait for a server's parts.
        try:
            import uvloop

            from tidings.nodes.joined import Joined
            from tidings.server import Server

            made = Joined if settings.join else Server
            server = self._node = made(settings, self.clock, self._chance)
            server.open()
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(server.run(self._ready.set))
            finally:
                server.close()
        except BaseException as wrong:
            self._wrong = wrong
        finally:
            self._ready.set()
