"""Answers of the writer for event loops: those of a whole group wake a loop once."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import msgspec

Answer = tuple[asyncio.Future[Any], Any, Exception | None]

log = logging.getLogger("tidings.writer")


class GroupAnswers:
    """The answers of a group that is being written, by event loop. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._of: dict[asyncio.AbstractEventLoop, list[Answer]] = {}

    def add(self, awaited: Awaited, result: Any, wrong: Exception | None) -> None:
        """Keep an answer until `tell`."""
        self._of.setdefault(awaited.loop, []).append((awaited.future, result, wrong))

    def tell(self) -> None:
        """Hand all of them to their loops."""
        if not self._of:
            return
        resolved, self._of = self._of, {}
        for loop, entries in resolved.items():
            try:
                loop.call_soon_threadsafe(_resolve, entries)
            except RuntimeError:
                log.warning("%d results arrived after the event loop had closed", len(entries))


class Awaited(msgspec.Struct, gc=False):
    """The reply of a job that an event loop awaits."""

    thread: threading.Thread
    """The writer's."""
    resolved: GroupAnswers
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def __call__(self, result: Any, wrong: Exception | None) -> None:
        if threading.current_thread() is self.thread:
            self.resolved.add(self, result, wrong)
        else:
            _resolve([(self.future, result, wrong)])


def _resolve(entries: list[Answer]) -> None:
    for future, result, wrong in entries:
        if future.done():
            continue
        if wrong is not None:
            future.set_exception(wrong)
        else:
            future.set_result(result)
