"""What is wrong with a batch: up to 50 operations are named, not only the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidings.model.errors import Place, TidingsError, Unavailable

ERRORS_MAX = 50


class Wrong:
    """Collects refusals. The first says what the answer is, the places are those of all."""

    def __init__(self) -> None:
        self._first: TidingsError | None = None
        self._places: list[Place] = []
        self._ids: set[str] = set()

    @contextmanager
    def of(self, index: int, ident: str | None = None) -> Iterator[None]:
        """Collect what the operation at this index is refused for; `ident`: the id of its item."""
        try:
            yield
        except Unavailable:
            raise
        except TidingsError as wrong:
            self.add(placed(wrong, index))
            if ident is not None:
                self._ids.add(ident)
            if len(self._places) >= ERRORS_MAX:
                self.raise_any()

    def is_after(self, ident: str | None) -> bool:
        """Whether an earlier operation on this item was refused, so that a later one says nothing."""
        return ident in self._ids

    def add(self, wrong: TidingsError | None) -> None:
        """One more refusal, with its places."""
        if wrong is not None:
            self._first = self._first or wrong
            self._places += wrong.errors

    def raise_any(self) -> None:
        """Raise the first refusal with the places of all, if there is one."""
        if self._first is not None:
            self._first.errors = self._places[:ERRORS_MAX]
            raise self._first


def placed(wrong: TidingsError, index: int) -> TidingsError:
    """The same refusal, which says which operation of the batch it is about."""
    if not wrong.errors:
        wrong.errors = [Place(pointer=f"/operations/{index}", code=wrong.code, detail=wrong.detail)]
    return wrong
