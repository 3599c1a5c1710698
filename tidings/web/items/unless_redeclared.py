"""Reading items while their collection may be declared again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tidings.intake.items.change import RETRY_AFTER_SECONDS
from tidings.intake.items.kinds import Kind
from tidings.model.errors import Unavailable
from tidings.store.base import Db
from tidings.web.parts import Parts

T = TypeVar("T")


def unless_redeclared(parts: Parts, kinds: Sequence[Kind], read: Callable[[Db], T]) -> Callable[[Db], T]:
    """`read`, whose result or refusal counts only if all of these are still current; otherwise Unavailable.

    It may have read columns that are gone, or of another type. And on PostgreSQL, a reader with an older snapshot that
    waited for a rewritten table finds it empty.
    """

    def run(db: Db) -> T:
        try:
            return read(db)
        finally:
            for kind in kinds:
                if not parts.catalog.is_current(kind.collection):
                    raise Unavailable(
                        f"The collection {kind.collection.name} is being changed. Try again.",
                        retry_after_seconds=RETRY_AFTER_SECONDS,
                    )

    return run
