"""Fragments of pages that follow what happens: one picture a second, drawn once for all viewers of the same page.

A template marks a fragment with `<!--live:NAME-->` and `<!--/live-->`, inside an element with `data-live="NAME"`. As
long as somebody views it, the page is redrawn each second, and only what has changed is sent. So ten viewers cost as
much as one, and no viewers cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

import msgspec

from tidings.model.errors import TidingsError

PERIOD_SECONDS = 1.0
SILENCE_SECONDS = 15.0
"""Something is sent at least this often, so that proxies do not close the stream, and closed browsers are noticed."""
BEHIND_MAX = 4
"""A viewer that is this many pictures behind is disconnected; the viewer's browser connects again."""
_FRAGMENT = re.compile(r"<!--live:([a-z-]+)-->(.*?)<!--/live-->", re.DOTALL)

Draw = Callable[[], Awaitable[str]]
Parts = dict[str, str]

log = logging.getLogger("tidings.web")


def fragments(page: str) -> Parts:
    """The fragments of a page, by name."""
    return {name: html.strip() for name, html in _FRAGMENT.findall(page)}


class _Picture:
    """A page that somebody is viewing."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.now: Parts = {}
        self.viewers: set[asyncio.Queue[bytes | None]] = set()
        self.task: asyncio.Task[None] | None = None


class Live:
    """The pages that are being viewed. Belongs to one event loop."""

    def __init__(self, period_seconds: float = PERIOD_SECONDS) -> None:
        self._period = period_seconds
        self._pictures: dict[Hashable, _Picture] = {}

    async def follow(self, what: Hashable, draw: Draw, may_look: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The changes of a page as server-sent events, until the viewer leaves.

        `what`: the same for viewers who see the same page; `draw` makes the page; `may_look` is called before each
        picture.
        """
        picture = self._pictures.get(what)
        if picture is None:
            picture = self._pictures[what] = _Picture(draw)
            picture.task = asyncio.get_running_loop().create_task(self._keep_drawing(what, picture))
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(BEHIND_MAX)
        picture.viewers.add(queue)
        # Pictures drawn from now on are in the queue.
        first = _changes({}, picture.now)
        try:
            yield b"retry: 2000\n\n"
            if first:
                yield first
            while True:
                try:
                    piece = await asyncio.wait_for(queue.get(), SILENCE_SECONDS)
                except TimeoutError:
                    piece = b": still here\n\n"
                if piece is None or not may_look():
                    return
                yield piece
        finally:
            picture.viewers.discard(queue)
            if not picture.viewers and self._pictures.get(what) is picture:
                del self._pictures[what]
                if picture.task is not None:
                    picture.task.cancel()

    async def _keep_drawing(self, what: Hashable, picture: _Picture) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                now = fragments(await picture.draw())
            except TidingsError:
                # What was shown no longer exists, or may no longer be seen; the page itself says so when it is loaded
                # again.
                self._end(what, picture)
                return
            except Exception:
                log.exception("a page could not be drawn")
                self._end(what, picture)
                return
            changed = _changes(picture.now, now)
            picture.now = now
            if changed:
                for viewer in tuple(picture.viewers):
                    with contextlib.suppress(asyncio.QueueFull):
                        viewer.put_nowait(changed)
                        continue
                    self._cut_off(picture, viewer)
            # A page that is slow to draw is drawn less often.
            took = loop.time() - began
            await asyncio.sleep(max(self._period - took, took))

    def _end(self, what: Hashable, picture: _Picture) -> None:
        self._pictures.pop(what, None)
        for viewer in tuple(picture.viewers):
            self._cut_off(picture, viewer)

    def _cut_off(self, picture: _Picture, viewer: asyncio.Queue[bytes | None]) -> None:
        picture.viewers.discard(viewer)
        while not viewer.empty():
            viewer.get_nowait()
        viewer.put_nowait(None)


def _changes(before: Parts, now: Parts) -> bytes:
    changed = {name: html for name, html in now.items() if before.get(name) != html}
    return b"event: parts\ndata: " + msgspec.json.encode(changed) + b"\n\n" if changed else b""
