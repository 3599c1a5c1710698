"""What a simulation is run with: the rules as they are, or one of them broken on purpose, which has to be found."""

from __future__ import annotations

from dataclasses import dataclass

from tidings.rules.nodes import beats


@dataclass(frozen=True)
class Variant:
    """The rules as they are, unless a field says otherwise."""

    proof: float = beats.PROOF_SECONDS
    frozen: float = beats.FROZEN_SECONDS
    ends_without_own_beats: bool = False
    """A node ends another one though its own beats were not committed."""
    numbers_early: bool = False
    """Numbers are taken when a transaction begins, as from a sequence, not as its last statement."""
    catalog_early: bool = False
    """The sender checks the catalogue before it reads the events, not after."""
    clock_sleeps: bool = False
    """A node's clock stops while its machine sleeps."""
    starts_at_once: bool = False
    """A node that starts takes a free place, though the last sender may be cut off, and still send."""
    asynchronous: bool = False
    """Commits do not wait for the replica."""


AS_IT_IS = Variant()
CONTROLS = {
    "a proof that is valid for longer than patience": Variant(proof=15.0),
    "ending others without own beats": Variant(ends_without_own_beats=True),
    "numbers before the commit": Variant(numbers_early=True),
    "the catalogue checked before the events are read": Variant(catalog_early=True),
    "a start that does not wait for the sender before the failover": Variant(starts_at_once=True),
    "a clock that stops while the machine sleeps": Variant(clock_sleeps=True),
    "a replica that commits do not wait for": Variant(asynchronous=True),
}
