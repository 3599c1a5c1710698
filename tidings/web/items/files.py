"""Import and export of a collection's items over HTTP, as one caller may use them: files of any size."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from tidings.intake.items.imports import Imported, ImportRequest, StoredPart
from tidings.intake.items.reading import ItemList, ItemPage, ItemReading
from tidings.model.digits import is_digits
from tidings.model.errors import Invalid, TidingsError, TooLarge
from tidings.rules.items.csv_lines import CsvOut
from tidings.rules.items.file_lines import CSV, NDJSON, JsonLinesOut
from tidings.store.base import Db
from tidings.store.items.item_pages import CREATED, Position
from tidings.web.habits.once import kept, once
from tidings.web.operation import Answer, Request, Stream
from tidings.web.parts import Parts
from tidings.web.wire.problem import CLOSE

FORMATS = {"csv": CSV, "ndjson": NDJSON}
BLOCK_WEIGHT = 2 * 1024 * 1024
"""How much checking a block counts in the tenant's share of large work: a tenant that is alone can have three
blocks checked at a time."""
DRAIN_BYTES = 16 * 1024 * 1024
PAGE_ITEMS = 1_000


class Transfer:
    """One caller's imports into and exports from one collection. `asked`: the list that an export requests."""

    def __init__(self, reading: ItemReading, asked: Callable[[Request, int, Sequence[str]], ItemList]) -> None:
        self._reading = reading
        self._grant = reading.grant
        self._asked = asked
        tenant = () if self._grant.tenant else ("tenant",)
        self.members = ("id", *tenant, *self._grant.read)
        """The members that an export writes by default: those that an import reads."""

    # --- import -------------------------------------------------------------------------------------------------------

    async def take(self, parts: Parts, request: Request) -> Answer:
        """Import a file."""
        assert request.pieces is not None
        announced = request.headers.get("content-length", "")
        asked = ImportRequest(
            caller=request.caller,
            grant=self._grant,
            media=(request.headers.get("content-type") or "").partition(";")[0].strip().lower(),
            tenant=request.query.get("tenant", ""),
            on_conflict=request.query.get("on_conflict", "refuse"),
            in_parts=request.query.get("partial", False),
        )
        with parts.imports.begin(asked) as file:
            try:
                await file.read(
                    request.pieces,
                    lambda: parts.work.place(request.key.tenant, BLOCK_WEIGHT),
                    int(announced) if is_digits(announced) else 0,
                )
            except (Invalid, TooLarge) as wrong:
                wrong.headers.append(CLOSE)
                await _drain(request.pieces)
                raise
            # Replaces the body in the request's fingerprint.
            request.raw = file.digest
            return await file.store(_Kept(parts, request))

    # --- export -------------------------------------------------------------------------------------------------------

    async def give(self, parts: Parts, request: Request) -> Stream:
        """Export the items that the parameters ask for."""
        fields: Sequence[str] | None = request.query.get("fields")
        names = self.members if fields is None else tuple(fields)
        if len(set(names)) < len(names):
            detail = "`fields` lists the same field twice."
            raise Invalid.of_parameter("fields", "repeated", detail)
        format = request.query.get("format", "ndjson")
        out = CsvOut(names) if format == "csv" else JsonLinesOut()
        wanted = self._asked(request, PAGE_ITEMS, (request.query.get("sort", CREATED),))
        asked = msgspec.structs.replace(wanted, fields=names)
        # Refuse before the response begins; afterwards it is too late.
        first, _ = self._reading.page(asked)
        name = f"{self._grant.collection.name}.{format}"
        headers = [("content-disposition", f'attachment; filename="{name}"')]
        return Stream(self._pieces(parts, request, out, asked, first), headers, out.media, whole=True)

    async def _pieces(
        self, parts: Parts, request: Request, out: CsvOut | JsonLinesOut, asked: ItemList, job: Callable[[Db], ItemPage]
    ) -> AsyncIterator[bytes]:
        """The file, a page at a time; between pages nothing is held open."""
        if head := out.head():
            yield head
        while True:

            def read(db: Db, job: Callable[[Db], ItemPage] = job) -> tuple[bytes, Position | None]:
                page = job(db)
                return out.lines(page.documents), page.end

            piece, end = await parts.readers.call(read, request.key.tenant)
            if piece:
                yield piece
            if end is None:
                return
            job, _ = self._reading.page(msgspec.structs.replace(asked, after=end))


class _Kept:
    """Runs an import's jobs, and keeps their responses for the request's Idempotency-Key."""

    def __init__(self, parts: Parts, request: Request) -> None:
        self._parts, self._request = parts, request

    async def before(self) -> Answer | None:
        """The response that the key got before."""
        return await kept(self._parts, self._request)

    async def whole(self, job: Callable[[Db], Imported]) -> Answer:
        """Run a job that ends the import, and return its result."""
        return await once(self._parts, self._request, lambda db: Answer(200, job(db)), heavy=True)

    async def part(self, name: str, job: Callable[[Db], StoredPart]) -> StoredPart:
        """Run one job of several, each kept under its own name."""
        answer = await once(self._parts, self._request, lambda db: Answer(200, job(db)), heavy=True, part=name)
        body = answer.body
        return body if isinstance(body, StoredPart) else msgspec.json.decode(body, type=StoredPart)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Keep reading for a while: a caller that is still sending a file would not see a response before its end."""
    size = 0
    with contextlib.suppress(TidingsError):
        async for piece in pieces:
            size += len(piece)
            if size > DRAIN_BYTES:
                return
