"""Work on a large request, next to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def beside(is_large: bool, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """The result of `work`: for a large request in a thread, which leaves the event loop to others."""
    if not is_large:
        return work(*args, **named)
    return await asyncio.to_thread(work, *args, **named)
