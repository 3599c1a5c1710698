"""Revisions: whoever would overwrite what somebody else has changed meanwhile is refused."""

from __future__ import annotations

import msgspec

from tidings.model.errors import Stale


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """Under which conditions a thing is created or replaced."""

    must_exist: bool = False
    expected: set[int] | None = None
    """It is replaced only at one of these revisions; None: at any."""
    excluded: frozenset[int] | None = frozenset()
    """It is not replaced at these revisions; None: it is only created."""

    def check(self, what: str, present: int | None) -> None:
        """Raise Stale if they do not hold. `what`: such as "event type tasks.done"; `present`: its revision, if any."""
        if present is None:
            if self.must_exist:
                raise Stale(f"There is no {what}, but If-Match requires one.")
            return
        if self.excluded is None or present in self.excluded:
            raise Stale(f"An {what} already exists, but If-None-Match requires none, or a different one.")
        check_revision(self.expected, present)


def check_revision(expected: set[int] | None, present: int) -> None:
    """Raise Stale if a thing is at another revision than the caller would overwrite; None: any will do."""
    if expected is not None and present not in expected:
        raise Stale.at_revision(present)
