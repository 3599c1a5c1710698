"""The application that the HTTP server of a joined node calls: while the node restarts in another role, callers
wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from tidings.web.app import App
from tidings.web.standby import StandbyApp

WAIT_SECONDS = 3.0
"""How long a request waits for the node to come back before it gets a 503."""


class Front:
    """The RSGI application around the node's successive ones."""

    def __init__(self, why: Callable[[], str]) -> None:
        """`why`: a sentence about what it waits for."""
        self._app: App | None = None
        self._meanwhile = StandbyApp(why)
        self._opened = asyncio.Event()
        self._under_way = 0
        self._empty = asyncio.Event()

    def open(self, app: App) -> None:
        """From now on, this application answers, including requests that wait."""
        self._app = app
        self._opened.set()

    def close(self) -> None:
        """From now on, new requests wait; those in progress continue."""
        self._app = None
        self._opened.clear()

    async def empty(self, seconds: float) -> bool:
        """Wait until no request is in progress; returns whether that was reached."""
        self._empty.clear()
        with contextlib.suppress(TimeoutError):
            while self._under_way:
                await asyncio.wait_for(self._empty.wait(), seconds)
        return not self._under_way

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        if self._app is None and scope.path not in ("/healthz", "/readyz"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), WAIT_SECONDS)
        app = self._app
        if app is None:
            await self._meanwhile.__rsgi__(scope, proto)
            return
        self._under_way += 1
        try:
            await app.__rsgi__(scope, proto)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._empty.set()
