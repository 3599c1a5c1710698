"""What a rendering may cost: its steps and the size of what it makes, counted on one meter.

Values are shared, never copied, so a short template can make a small list that is huge when it is written out. So
anything that would write, compare or hash a value weighs it first.
"""

from __future__ import annotations

from typing import Any

STEPS_MAX = 200_000
STEP = 20
"""The units that one step costs. A character costs one unit."""
SLOT = 8
"""The units that an element of a list costs; a member of an object costs twice as many."""
UNITS_MAX = STEPS_MAX * STEP
DEPTH_MAX = 128
"""The maximum number of levels of a value that is written out."""


class TooMuch(ValueError):
    """A rendering would cost more than it may."""

    def __init__(self) -> None:
        super().__init__(f"it takes more than {STEPS_MAX:,} steps, or makes more than {UNITS_MAX:,} characters")


class RenderingMeter:
    """The units that one rendering has left."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = UNITS_MAX

    def spend(self, units: int) -> None:
        """Raises TooMuch if fewer units are left."""
        self.left -= units
        if self.left < 0:
            raise TooMuch

    def call(self, value: Any) -> None:
        """Pay for a filter that goes through a value: for its characters or elements, but not their content."""
        kind = type(value)
        if kind is str:
            self.spend(STEP + len(value))
        elif kind is list or kind is dict:
            self.spend(STEP + SLOT * len(value))
        else:
            self.spend(STEP)

    def weigh(self, value: Any) -> int:
        """Pay for everything that a value contains, as often as it contains it; returns the number of levels.

        Raises TooMuch, before anything is made, or ValueError if there are too many levels.
        """
        level, depth = [value], 0
        while level:
            if depth > DEPTH_MAX:
                raise ValueError(f"a value is nested more than {DEPTH_MAX} levels deep")
            below: list[Any] = []
            for each in level:
                kind = type(each)
                if kind is str:
                    self.spend(len(each))
                elif kind is list:
                    self.spend(SLOT * len(each))
                    below += each
                elif kind is dict:
                    self.spend(2 * SLOT * len(each) + sum(map(len, each)))
                    below += each.values()
            level, depth = below, depth + 1
        return depth
