"""Import and export of a collection's items, as one caller may use them: files of any size, never whole in memory.

A file is read and checked piece by piece, in a thread beside the event loop, into a spool; only when all of it is there
is anything stored. So a file that breaks off changes nothing, and a repeat with the same Idempotency-Key is known by
the hash of the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from tidings.intake.items.change import ItemRequest
from tidings.intake.items.drafts import TOO_HEAVY, WEIGHT_MAX
from tidings.intake.items.import_check import Checker, Refusals
from tidings.intake.items.import_store import Counts, ImportStore
from tidings.intake.items.kinds import Kind
from tidings.intake.items.spool import Ready, Spool
from tidings.model.digits import is_digits
from tidings.model.errors import Invalid, Place, TidingsError, TooLarge
from tidings.rules.items.csv_lines import CsvLines, CsvOut
from tidings.rules.items.file_lines import CSV, NDJSON, JsonLines, JsonLinesOut, Lines, Reader, Unreadable
from tidings.rules.items.permit import Grant
from tidings.store.base import Db
from tidings.store.items import item_pages
from tidings.store.items.conditions import Where
from tidings.store.items.item_pages import CREATED, Order
from tidings.web.habits.once import kept, once
from tidings.web.items.unless_redeclared import unless_redeclared
from tidings.web.operation import Answer, Request, Stream
from tidings.web.parts import Parts
from tidings.web.wire.bodies.work import Work

FORMATS = {"csv": CSV, "ndjson": NDJSON}
BLOCK_BYTES = 128 * 1024
"""So much of a file is checked at once: some milliseconds."""
BLOCK_WEIGHT = 2 * 1024 * 1024
"""What checking a block counts in the tenant's share of large work: three at a time, of one tenant alone."""
REPLACED_COUNTS = 2
"""A line that may replace an item counts as so many new ones: it takes as much longer to store."""
PART_LINES = 250
"""So many lines of an import in parts are stored at once: some hundredths of a second."""
_USUAL_BYTES, _USUAL_LINES = 4 * 1024 * 1024, 2_000
"""A whole file may be so large with WEIGHT_MAX; with settings that allow more it may weigh as much more."""
DRAIN_BYTES = 16 * 1024 * 1024
PAGE_ITEMS = 1_000
REFUSED = "import_refused"


class Transfer:
    """One caller's way of moving files into and out of one collection.

    `where`: what an export's parameters ask for; `asks_created`: whether that is a time of creation.
    """

    def __init__(
        self, grant: Grant, kind: Kind, where: Callable[[Request], Where], asks_created: Callable[[Request], bool]
    ) -> None:
        self._grant = grant
        self._kind = kind
        self._where = where
        self._asks_created = asks_created
        tenant = () if grant.tenant else ("tenant",)
        self.members = ("id", *tenant, *grant.read)
        """What an export writes by itself: what an import reads."""

    # --- import -------------------------------------------------------------------------------------------------------

    async def take(self, parts: Parts, request: Request) -> Answer:
        """Import a file."""
        on_conflict, in_part = request.query.get("on_conflict", "refuse"), request.query.get("partial", False)
        with Spool(parts.settings.folder) as spool:
            checker = Checker(
                self._kind,
                self._grant,
                parts.clock,
                spool,
                tenant=request.query.get("tenant", ""),
                on_conflict=on_conflict,
                whole=not in_part,
            )
            bound = _Bound() if in_part else _whole(parts, on_conflict)
            await _read(request, parts.work, checker, bound)
            if checker.refusals.count and not in_part:
                raise _refused(checker.read, checker.refusals)
            run = _Run(parts, request, checker, spool)
            return await (run.in_chunks() if in_part else run.whole())

    # --- export -------------------------------------------------------------------------------------------------------

    async def give(self, parts: Parts, request: Request) -> Stream:
        """Export the items that the parameters ask for."""
        fields: Sequence[str] | None = request.query.get("fields")
        names = self.members if fields is None else tuple(fields)
        if len(set(names)) < len(names):
            detail = "fields names the same field twice."
            raise Invalid.of_parameter("fields", "repeated", detail)
        format = request.query.get("format", "ndjson")
        out = CsvOut(names) if format == "csv" else JsonLinesOut()
        is_down = request.query.get("sort", CREATED).startswith("-")
        order = [Order(CREATED, is_down, nullable=False, by_time=self._asks_created(request))]
        # Asked for before the answer begins, since later no refusal can be told.
        self._where(request)
        name = f"{self._grant.collection.name}.{format}"
        headers = [("content-disposition", f'attachment; filename="{name}"')]
        return Stream(self._pieces(parts, request, out, names, order), headers, out.media, whole=True)

    async def _pieces(
        self, parts: Parts, request: Request, out: CsvOut | JsonLinesOut, names: Sequence[str], order: list[Order]
    ) -> AsyncIterator[bytes]:
        """The file, a page at a time; between pages nothing is held open."""
        if head := out.head():
            yield head
        after: list[Any] | None = None
        while True:

            def read(db: Db, after: list[Any] | None = after) -> tuple[bytes, list[Any] | None]:
                found = item_pages.page(db, self._kind.table, self._where(request), order, after, PAGE_ITEMS)
                rules, table = self._kind.rules, self._kind.table
                piece = out.lines([rules.document_of(row, table.unpack, names) for row in found])
                return piece, item_pages.position(table, order, found[-1]) if len(found) == PAGE_ITEMS else None

            piece, after = await parts.readers.call(unless_redeclared(parts, [self._kind], read), request.key.tenant)
            if piece:
                yield piece
            if after is None:
                return


class _Run:
    """One file that was read and checked, on its way into the store."""

    def __init__(self, parts: Parts, request: Request, checker: Checker, spool: Spool) -> None:
        self._parts, self._request, self._checker, self._spool = parts, request, checker, spool
        self._counts = Counts()
        self._ask = ItemRequest(grant=checker.grant, key=request.key, request_id=request.request_id)

    async def whole(self) -> Answer:
        """Everything in one transaction, or nothing."""

        def job(db: Db) -> Answer:
            store = self._store(db, whole=True, weight_max=_weight_max(self._parts))
            for chunk in self._spool.chunks():
                store.store(chunk)
            store.end()
            if store.refusals.count:
                raise _refused(self._checker.read, store.refusals)
            # Not added: a job may be run once more, where a neighbour spoils its group.
            self._counts = store.counts
            return self._answer()

        return await once(self._parts, self._request, job)

    async def in_chunks(self) -> Answer:
        """A transaction for each chunk; what is refused is told in the answer."""
        before = await kept(self._parts, self._request)
        if before is not None:
            return before
        for number, chunk in enumerate(self._spool.chunks()):
            begin = 0
            while begin < len(chunk):
                begin += await self._part(number, chunk, begin)
        return await once(self._parts, self._request, lambda db: self._answer())

    async def _part(self, number: int, chunk: list[Ready], begin: int) -> int:
        """A chunk from here on, or as much of it as one transaction may hold; how many lines that were."""
        lines = chunk[begin : begin + PART_LINES]
        name = f"{number}.{begin}" if begin else f"{number}"
        while True:
            try:
                answer = await once(self._parts, self._request, self._one(lines), part=name)
                break
            except TooLarge as wrong:
                if wrong.code != TOO_HEAVY:
                    raise
                lines = lines[: len(lines) // 2]
        body = answer.body
        done = body if isinstance(body, _Done) else msgspec.json.decode(body, type=_Done)
        self._counts.add(done.counts)
        self._checker.refusals.join(done.refusals)
        return done.lines or len(chunk) - begin

    def _one(self, lines: list[Ready]) -> Callable[[Db], Answer]:
        def job(db: Db) -> Answer:
            store = self._store(db, whole=False, weight_max=WEIGHT_MAX if len(lines) > 1 else sys.maxsize)
            store.store(lines)
            return Answer(200, _Done(store.counts, store.refusals, len(lines)))

        return job

    def _store(self, db: Db, *, whole: bool, weight_max: int) -> ImportStore:
        parts = self._parts
        on_conflict = self._request.query.get("on_conflict", "refuse")
        return ImportStore(
            (parts.items, parts.catalog, parts.kinds, parts.clock),
            db,
            self._ask,
            on_conflict,
            whole=whole,
            weight_max=weight_max,
        )

    def _answer(self) -> Answer:
        refusals, counted = self._checker.refusals, msgspec.to_builtins(self._counts)
        body = {"read": self._checker.read, **counted, "refused": refusals.count, "errors": refusals.places}
        return Answer(200, body)


class _Done(msgspec.Struct):
    """What came of some lines, as it is kept for an Idempotency-Key."""

    counts: Counts
    refusals: Refusals
    lines: int = 0
    """How many they were; 0: all that were left of their chunk."""


class _Bound(msgspec.Struct, frozen=True):
    """How much one file may hold; 0 is no limit."""

    bytes: int = 0
    lines: int = 0

    def check(self, read: int, lines: Lines) -> None:
        """Raise TooLarge if `lines`, after `read` ones before them, are more than the file may hold."""
        if self.lines and read + len(lines) > self.lines:
            detail = (
                f"A file that is imported whole may have at most {self.lines:,} lines, because other changes "
                "wait while it is stored. Import it with partial=true (--partial), or as several files."
            )
            place = Place(line=lines[self.lines - read].line, code="too_many_lines", detail=detail)
            raise TooLarge(detail, errors=[place], headers=[("connection", "close")])


def _whole(parts: Parts, on_conflict: str) -> _Bound:
    """How much a file may hold that is stored whole."""
    bytes_max, lines_max = parts.settings.max_whole_import_bytes, parts.settings.max_whole_import_lines
    if lines_max and on_conflict not in ("refuse", "skip"):
        lines_max = max(1, lines_max // REPLACED_COUNTS)
    return _Bound(bytes_max, lines_max)


def _weight_max(parts: Parts) -> int:
    """What the items that a whole file changes may weigh (intake/items/drafts.py)."""
    bytes_max, lines_max = parts.settings.max_whole_import_bytes, parts.settings.max_whole_import_lines
    if lines_max == 0:
        return sys.maxsize
    return WEIGHT_MAX * int(max(1, bytes_max // _USUAL_BYTES, lines_max // _USUAL_LINES))


async def _read(request: Request, work: Work, checker: Checker, bound: _Bound) -> None:
    """Read and check the whole file. Raises Invalid if the rest of it cannot be read, TooLarge."""
    media = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    reader: Reader = CsvLines(checker.columns()) if media == CSV else JsonLines()
    digest = hashlib.sha256()
    pieces = _bounded(request, bound.bytes)

    def check(block: bytes, read: Callable[[], Lines]) -> None:
        digest.update(block)
        lines = read()
        bound.check(checker.read, lines)
        checker.check(lines)

    held: list[bytes] = []
    size = 0
    try:
        async for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                block = b"".join(held)
                held, size = [], 0
                # In turn with all that is large: many threads that check lines would leave the event loop little time.
                async with work.place(request.key.tenant, BLOCK_WEIGHT):
                    await asyncio.to_thread(check, block, partial(reader.feed, block))
        block = b"".join(held)
        await asyncio.to_thread(check, block, partial(reader.feed, block))
        await asyncio.to_thread(check, b"", reader.end)
    except TooLarge:
        await _drain(pieces)
        raise
    except Unreadable as wrong:
        checker.refusals.unreadable(wrong.places)
        await _drain(pieces)
        raise _refused(checker.read, checker.refusals, broken=True) from None
    # What stands for the body where a repeat of the request is to be known.
    request.raw = digest.digest()


async def _bounded(request: Request, bytes_max: int) -> AsyncIterator[bytes]:
    """The file as it comes. Raises TooLarge if it has more than `bytes_max` (0: it may be of any size)."""
    assert request.pieces is not None
    told = request.headers.get("content-length", "")
    size, told_size = 0, int(told) if is_digits(told) else 0
    async for piece in request.pieces:
        size += len(piece)
        if bytes_max and max(size, told_size) > bytes_max:
            await _drain(request.pieces)
            raise TooLarge(
                f"A file that is stored whole may have at most {bytes_max:,} bytes. Import it with partial=true "
                "(--partial), or as several files.",
                headers=[("connection", "close")],
            )
        yield piece


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read on for a while: whoever is still sending a file would not see an answer before its end."""
    size = 0
    with contextlib.suppress(TidingsError):
        async for piece in pieces:
            size += len(piece)
            if size > DRAIN_BYTES:
                return


def _refused(read: int, refusals: Refusals, *, broken: bool = False) -> Invalid:
    if broken:
        detail = "The end of the file could not be read, so nothing was stored."
        return Invalid(detail, code=REFUSED, errors=refusals.places, headers=[("connection", "close")])
    verb = "is" if refusals.count == 1 else "are"
    detail = f"{refusals.count:,} of {read:,} lines {verb} refused, so nothing was stored."
    return Invalid(detail, code=REFUSED, errors=refusals.places)
