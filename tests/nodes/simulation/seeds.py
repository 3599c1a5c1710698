"""Runs seeds, and tells the story of one that fails."""

from __future__ import annotations

from collections.abc import Iterable

from tests.nodes.simulation import faults
from tests.nodes.simulation.variant import AS_IT_IS, Variant
from tests.nodes.simulation.world import World, Wrong

STORY_LINES = 60


def wrong(seed: int, variant: Variant = AS_IT_IS) -> str | None:
    """What is wrong with the rules in this seed; None: nothing."""
    try:
        faults.run(seed, World(seed, variant))
    except Wrong as found:
        return str(found)
    return None


def failing(seeds: Iterable[int], variant: Variant = AS_IT_IS) -> list[tuple[int, str]]:
    """The seeds in which something is wrong, and what."""
    return [(seed, found) for seed in seeds if (found := wrong(seed, variant)) is not None]


def told(seed: int, variant: Variant = AS_IT_IS) -> str:
    """What happened in a seed, until something was wrong."""
    world = World(seed, variant, tells=True)
    assert world.story is not None
    try:
        faults.run(seed, world)
        world.say("all is well")
    except Wrong as found:
        world.say(str(found))
    skipped = len(world.story) - STORY_LINES
    lines = [f"({skipped} lines before)", *world.story[-STORY_LINES:]] if skipped > 0 else world.story
    return "\n".join([f"Seed {seed}, {len(world.nodes)} nodes:", *lines])
