"""Whether a database's names still point to the open files: one may be removed or replaced under a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from tidings.store.base import StoreBusy

LOOK_SECONDS = 1.0
"""The minimum time between two checks. A check costs a few microseconds per file and releases the interpreter, so it
does not precede every commit."""
REFUSED = "the database file was removed or replaced while the server is running"

Ident = tuple[int, int]
log = logging.getLogger("tidings.store")


class Moved(StoreBusy):
    """A file name of the database points elsewhere: writes would be lost, or damage another file."""


class OpenFiles:
    """The files that a writing connection has open. Made right after it was opened; used by its thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        real = path.resolve()
        # The journal and its index appear with the first transaction.
        self._open: dict[Path, Ident | None] = {
            path: ident(path),
            real.with_name(f"{real.name}-wal"): None,
            real.with_name(f"{real.name}-shm"): None,
        }
        self._looked = time.monotonic() - LOOK_SECONDS
        self._commits = 0
        self._moved = False

    def check(self, rescue: Callable[[], None]) -> None:
        """Before a commit: check, if the last check was a while ago or found something wrong. Raises Moved.

        `rescue` is called if a name points elsewhere: it completes the open file.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS and not self._moved:
            self._commits += 1
            return
        wrong = self._look()
        if wrong is not None:
            if not self._moved:
                log.critical(
                    "%s was removed or replaced while the server is running. Up to %d transactions since the "
                    "last check, %.1f s ago, may exist only in the original file. Writes are refused until it "
                    "is back. If it was moved, move it back; otherwise stop the server, and run tidings "
                    "restore if the database is lost",
                    wrong,
                    self._commits,
                    now - self._looked,
                )
            self._moved = True
            rescue()
            raise Moved(REFUSED, because=str(wrong))
        if self._moved:
            log.warning("the original file is back at %s", self._path)
        self._looked, self._commits, self._moved = now, 1, False

    def check_opening(self) -> None:
        """Check before another connection is opened by this name. Raises Moved."""
        if ident(self._path) != self._open[self._path]:
            raise Moved(REFUSED, because=str(self._path))

    def _look(self) -> Path | None:
        """The first file whose name no longer points to the open one."""
        for path, opened in self._open.items():
            found = ident(path)
            if opened is None:
                self._open[path] = found
            elif found != opened:
                return path
        return None


def ident(path: Path) -> Ident | None:
    """Which file a name points to; None if it points to none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
