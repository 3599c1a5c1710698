"""Imports on behalf of callers: a file of any size, which is never completely in memory.

A file is read and checked piece by piece, in a separate thread, and written to a spool; nothing is stored before all of
it has arrived. So a file that breaks off changes nothing, and its hash identifies a repeat of the same request.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import msgspec

from tidings.intake.items.change import ItemChanges, ItemRequest, check_verb
from tidings.intake.items.drafts import TOO_HEAVY, WEIGHT_MAX
from tidings.intake.items.import_check import Checker, OnConflict, Refusals
from tidings.intake.items.import_store import Counts, ImportStore
from tidings.intake.items.kinds import Kinds
from tidings.intake.items.spool import Ready, Spool
from tidings.model.access import Caller, Verb
from tidings.model.errors import Invalid, Place, TooLarge
from tidings.model.moment import Clock
from tidings.rules.items.csv_lines import CsvLines
from tidings.rules.items.file_lines import CSV, JsonLines, Lines, Reader, Unreadable
from tidings.rules.items.permit import Grant
from tidings.store.base import Db
from tidings.store.catalog import Catalog

BLOCK_BYTES = 128 * 1024
"""How many bytes of a file are checked at a time, which takes a few milliseconds."""
REPLACED_COUNTS = 2
"""A line that may replace an item counts as this many new items, because it takes that much longer to store."""
PART_LINES = 250
"""How many lines an import in parts stores at a time, which takes a few hundredths of a second."""
REFUSED = "import_refused"
_USUAL_BYTES, _USUAL_LINES = 4 * 1024 * 1024, 2_000
"""A file of this size that is imported whole may weigh WEIGHT_MAX. If the settings allow larger files, these may weigh
proportionally more."""
_NEEDS: dict[OnConflict, Verb] = {"replace": "put", "merge": "edit"}
_ADVICE = "Import it with partial=true (--partial), or as several files."

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One import as a caller asks for it. `tenant`: the items' tenant if a line does not give one."""

    caller: Caller
    grant: Grant
    media: str
    """The file's media type: that of CSV; any other means NDJSON."""
    tenant: str = ""
    on_conflict: OnConflict = "refuse"
    in_parts: bool = False
    """Whether good lines are stored in parts and bad ones reported, instead of storing all lines or none."""


class ImportLimits(msgspec.Struct, frozen=True):
    """How much a file that is stored whole may hold; 0: no limit."""

    bytes_max: int
    lines_max: int

    def lines_of(self, on_conflict: OnConflict) -> int:
        """How many lines it may have."""
        if self.lines_max and on_conflict in _NEEDS:
            return max(1, self.lines_max // REPLACED_COUNTS)
        return self.lines_max

    def weight_max(self) -> int:
        """How much the items that it changes may weigh (drafts.py)."""
        if self.lines_max == 0:
            return sys.maxsize
        return WEIGHT_MAX * int(max(1, self.bytes_max // _USUAL_BYTES, self.lines_max // _USUAL_LINES))


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did: how many lines were read, stored and refused, and what is wrong with the first bad ones."""

    read: int
    created: int
    replaced: int
    merged: int
    skipped: int
    unchanged: int
    refused: int
    errors: list[Place]


class StoredPart(msgspec.Struct):
    """The result of the lines of one transaction."""

    counts: Counts
    refusals: Refusals
    lines: int = 0
    """The number of lines; 0 means all remaining lines of the chunk."""


class ImportRun(Protocol[R_co]):
    """Runs the write jobs of an import, and keeps their results for a repeat of the request."""

    async def before(self) -> R_co | None:
        """What `whole` returned for the same request before."""

    async def whole(self, job: Callable[[Db], Imported]) -> R_co:
        """Run a job that ends the import."""

    async def part(self, name: str, job: Callable[[Db], StoredPart]) -> StoredPart:
        """Run one job of several, identified by `name`."""


Turn = Callable[[], AbstractAsyncContextManager[None]]
"""Waits until one more block may be checked, and holds that slot while it is."""


class Imports:
    """Begins imports."""

    def __init__(
        self, items: ItemChanges, catalog: Catalog, kinds: Kinds, clock: Clock, folder: Path, limits: ImportLimits
    ) -> None:
        self.parts = (items, catalog, kinds, clock)
        self.folder, self.limits = folder, limits
        self.under_way = 0
        """The number of files that are being imported."""

    def begin(self, request: ImportRequest) -> Import:
        """An import whose file is not read yet. Raises Forbidden if the key may not do that."""
        check_verb(request.grant, "create")
        if request.on_conflict in _NEEDS:
            check_verb(request.grant, _NEEDS[request.on_conflict])
        return Import(self, request)


class Import:
    """The import of one file: first `read`, then `store`. `digest`: the hash of the file, once it is read."""

    def __init__(self, imports: Imports, request: ImportRequest) -> None:
        _, _, kinds, clock = imports.parts
        self._imports, self._request = imports, request
        self._spool = Spool(imports.folder)
        self._checker = Checker(
            kinds.of(request.grant.collection),
            request.grant,
            clock,
            self._spool,
            tenant=request.tenant,
            on_conflict=request.on_conflict,
            whole=not request.in_parts,
            weight_max=imports.limits.weight_max(),
        )
        self._counts = Counts()
        self.digest = b""

    def __enter__(self) -> Import:
        self._imports.under_way += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._imports.under_way -= 1
        self._spool.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    async def read(self, pieces: AsyncIterator[bytes], turn: Turn, announced_bytes: int = 0) -> None:
        """Read and check the file. `announced_bytes`: its size, if that is known beforehand.

        Raises Invalid if the rest of it cannot be read, TooLarge if it holds more than may be stored whole.
        """
        reader: Reader = CsvLines(self._checker.columns()) if self._request.media == CSV else JsonLines()
        digest = hashlib.sha256()

        def check(block: bytes, lines: Callable[[], Lines]) -> None:
            digest.update(block)
            self._check(lines())

        held: list[bytes] = []
        size = whole_size = 0
        try:
            async for piece in pieces:
                held.append(piece)
                size += len(piece)
                whole_size += len(piece)
                self._check_size(max(whole_size, announced_bytes))
                if size >= BLOCK_BYTES:
                    block = b"".join(held)
                    held, size = [], 0
                    # It takes turns with all other large work, because many threads that check lines would leave the
                    # event loop no time.
                    async with turn():
                        await asyncio.to_thread(check, block, partial(reader.feed, block))
            block = b"".join(held)
            await asyncio.to_thread(check, block, partial(reader.feed, block))
            await asyncio.to_thread(check, b"", reader.end)
        except Unreadable as wrong:
            self._checker.refusals.unreadable(wrong.places)
            detail = "The end of the file could not be read, so nothing was stored."
            raise Invalid(detail, code=REFUSED, errors=self._checker.refusals.places) from None
        self.digest = digest.digest()

    def _check_size(self, size: int) -> None:
        bytes_max = 0 if self._request.in_parts else self._imports.limits.bytes_max
        if bytes_max and size > bytes_max:
            raise TooLarge(f"A file that is imported whole may be at most {bytes_max:,} bytes long. {_ADVICE}")

    def _check(self, lines: Lines) -> None:
        lines_max = 0 if self._request.in_parts else self._imports.limits.lines_of(self._request.on_conflict)
        read = self._checker.read
        if lines_max and read + len(lines) > lines_max:
            detail = (
                f"A file that is imported whole may have at most {lines_max:,} lines, because other changes "
                f"wait while it is stored. {_ADVICE}"
            )
            place = Place(line=lines[lines_max - read].line, code="too_many_lines", detail=detail)
            raise TooLarge(detail, errors=[place])
        self._checker.check(lines)

    # --- storing ------------------------------------------------------------------------------------------------------

    async def store(self, run: ImportRun[R]) -> R:
        """Store what was read, in one transaction or in parts. Raises Invalid if a line is refused, unless in parts."""
        if self._request.in_parts:
            return await self._in_parts(run)
        if self._checker.refusals.count:
            raise self._refused(self._checker.refusals)
        return await run.whole(self._whole)

    def _whole(self, db: Db) -> Imported:
        store = self._store(db, whole=True, weight_max=self._imports.limits.weight_max())
        for chunk in self._spool.chunks():
            store.store(chunk)
        store.end()
        if store.refusals.count:
            raise self._refused(store.refusals)
        # Not added: a job is run again if a neighbour spoils its group.
        self._counts = store.counts
        return self._done()

    async def _in_parts(self, run: ImportRun[R]) -> R:
        before = await run.before()
        if before is not None:
            return before
        for number, chunk in enumerate(self._spool.chunks()):
            begin = 0
            while begin < len(chunk):
                begin += await self._part(run, number, chunk, begin)
        return await run.whole(lambda db: self._done())

    async def _part(self, run: ImportRun[R], number: int, chunk: list[Ready], begin: int) -> int:
        """Store a chunk from here on, or as much of it as one transaction may hold; returns how many lines."""
        lines = chunk[begin : begin + PART_LINES]
        name = f"{number}.{begin}" if begin else f"{number}"
        while True:
            try:
                done = await run.part(name, partial(self._lines, lines))
                break
            except TooLarge as wrong:
                if wrong.code != TOO_HEAVY:
                    raise
                lines = lines[: len(lines) // 2]
        self._counts.add(done.counts)
        self._checker.refusals.join(done.refusals)
        return done.lines or len(chunk) - begin

    def _lines(self, lines: list[Ready], db: Db) -> StoredPart:
        store = self._store(db, whole=False, weight_max=WEIGHT_MAX if len(lines) > 1 else sys.maxsize)
        store.store(lines)
        return StoredPart(store.counts, store.refusals, len(lines))

    def _store(self, db: Db, *, whole: bool, weight_max: int) -> ImportStore:
        request = self._request
        ask = ItemRequest(grant=request.grant, key=request.caller.key, request_id=request.caller.request_id)
        return ImportStore(self._imports.parts, db, ask, request.on_conflict, whole=whole, weight_max=weight_max)

    def _done(self) -> Imported:
        refusals, counts = self._checker.refusals, msgspec.structs.asdict(self._counts)
        return Imported(read=self._checker.read, **counts, refused=refusals.count, errors=refusals.places)

    def _refused(self, refusals: Refusals) -> Invalid:
        verb = "is" if refusals.count == 1 else "are"
        detail = f"{refusals.count:,} of {self._checker.read:,} lines {verb} refused, so nothing was stored."
        return Invalid(detail, code=REFUSED, errors=refusals.places)
