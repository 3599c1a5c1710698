"""Which rows of a table are written while a job goes through it: what the job took from them before is out of date."""

from __future__ import annotations

from collections.abc import Iterable

Gone = tuple[str, str]
"""The id and the tenant of an item that was deleted."""


class Watch:
    """The rows of one table of items that were changed or deleted since it began, by `seq`; new rows have higher ones.

    Belongs to the writer's thread. It may name rows whose change was rolled back.
    """

    def __init__(self) -> None:
        self._noted: dict[int, int] = {}
        """By row, the moment when it was last noted."""
        self._moment = 0
        self.gone: set[Gone] = set()
        self.writes = 0
        """The number of times that rows were written, including new ones."""
        self.has_grown = False
        """Whether there may be rows that are newer than the watch."""

    def grow(self) -> None:
        """There are new rows."""
        self.writes += 1
        self.has_grown = True

    def note(self, seqs: Iterable[int]) -> None:
        """These rows are written now."""
        self.writes += 1
        for seq in seqs:
            self._noted[seq] = self._moment

    def noted(self) -> tuple[list[int], int]:
        """The rows that were noted and not settled, and the present moment, which this call ends."""
        moment, self._moment = self._moment, self._moment + 1
        return list(self._noted), moment

    def within(self, after: int, until: int) -> list[int]:
        """The rows noted beyond `after`, up to `until`."""
        return [seq for seq in self._noted if after < seq <= until]

    def later(self, seqs: Iterable[int], moment: int) -> list[int]:
        """Those of these rows that were noted again after a moment."""
        return [seq for seq in seqs if self._noted.get(seq, moment) > moment]

    def settle(self, seqs: Iterable[int], moment: int) -> None:
        """These rows were read again, as they were at the end of a moment or later."""
        for seq in seqs:
            if self._noted.get(seq, moment + 1) <= moment:
                del self._noted[seq]
