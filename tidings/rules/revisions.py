"""Revisions: a change that would overwrite what someone else has changed in the meantime is refused."""

from __future__ import annotations

from collections.abc import Set

import msgspec

from tidings.model.errors import Stale


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The conditions of a change, such as If-Match and If-None-Match of a PUT, as revisions."""

    must_exist: bool = False
    """Whether the change may only replace, not create."""
    expected: frozenset[int] | None = None
    """The revisions that the change may replace; None for any."""
    excluded: frozenset[int] | None = frozenset()
    """The revisions that the change may not replace; None if it may only create."""

    def check(self, kind: str, name: str, present: int | None) -> None:
        """Raise Stale if a condition is not met.

        `kind` and `name`: what is changed, such as "event type" and "tasks.done". `present`: its revision, if any.
        """
        if present is None:
            if self.must_exist:
                raise Stale(f"There is no {kind} {name[:NAME_CHARS]}, but If-Match requires one.")
            return
        if self.excluded is None or present in self.excluded:
            raise Stale(
                f"The {kind} {name[:NAME_CHARS]} already exists, but If-None-Match requires that it does not exist, or "
                "that it has another revision."
            )
        check_revision(self.expected, present)


ANY = Conditions()
"""No conditions."""
NAME_CHARS = 128


def check_revision(expected: Set[int] | None, present: int) -> None:
    """Raise Stale if `present` is not one of the expected revisions; None accepts any."""
    if expected is not None and present not in expected:
        raise Stale.at_revision(present)
