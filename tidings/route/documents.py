"""The documents that filters are matched against: read from the store a few at a time, parsed once per event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from tidings.rules import filter
from tidings.store.base import Db

FIRST, MOST = 8, 256
"""How many documents are read at a time: at first, and at most."""
LARGE_CHARS = 16_384
AHEAD = 256
"""How many of the next events are searched for further documents to read at the same time."""
BYTES = 1024 * 1024
"""The approximate number of bytes that are read at a time."""


class Documents:
    """The documents of some events, in order. Belongs to one step."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._texts: dict[int, Sequence[Any]] = {}
        self._count = FIRST
        self.took_long = False
        """Whether the last document was so large that reading it took a long time."""

    def of(self, seq: int, others: Iterator[int]) -> dict[str, Any]:
        """The document of an event. `others`: events whose documents will be needed next."""
        row = self._texts.pop(seq, None)
        if row is None:
            seqs = [seq, *islice(others, self._count - 1)]
            size = 0
            for number, *texts in self._db.all("events_for_filter", seqs=json.dumps(seqs)):
                self._texts[number] = texts
                size += sum(len(text) for text in texts[2:] if text)
            self._count = max(1, min(MOST, 2 * len(seqs), BYTES * len(seqs) // (size + 1)))
            row = self._texts.pop(seq)
        self.took_long = len(row[2]) > LARGE_CHARS
        return filter.document(*row)
