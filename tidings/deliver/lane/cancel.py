"""Cancelling: find where a delivery is, and take it out of its lane."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from tidings.deliver.lane import order
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.queued import Queued
from tidings.model.errors import Unavailable
from tidings.model.moment import Micros
from tidings.rules.deliver import lifecycle
from tidings.store.base import Db

Tell = Callable[[Any, Exception | None], None]


def find(db: Db, by_link: Mapping[int, Lane], number: int) -> tuple[Lane, Queued] | None:
    """A delivery that has not ended, with its lane; None if it has. Raises StoreError."""
    row = db.one("delivery_of", delivery=number)
    if row is None or row[1] not in by_link:
        return None
    _, link, event, created, tries, last = row
    lane = by_link[link]
    if number in lane.flying:
        return lane, lane.flying[number]
    stored = db.one("waiting_of", delivery=number) is not None
    if lifecycle.after(lifecycle.state(last, stored, False), "cancel") is None:
        return None
    return lane, Queued(number, event, created, n=tries, stored=stored)


def forget(lane: Lane, item: Queued, now: Micros) -> None:
    """Take a cancelled delivery out of its lane, and release those behind it."""
    for line in (lane.queue, lane.due, lane.latest):
        for queued in [queued for queued in line if queued.number == item.number]:
            line.remove(queued)
    for subject, behind in list(lane.lines.held.items()):
        for held in [held for held in behind if held.number == item.number]:
            behind.remove(held)
            lane.lines.held_count -= 1
        if not behind:
            del lane.lines.held[subject]
    lane.busy.add(item.number)
    for subject in [subject for subject, members in lane.lines.blocking.items() if item.number in members]:
        order.release(lane, Queued(item.number, item.event, item.created, subject=subject), now)


async def asked(ask: Callable[[Tell], None], seconds: float, late: str) -> Any:
    """Ask the deliver thread something from an event loop. `ask` gets the function to call with the result.

    Raises what the result says, or Unavailable with the sentence `late`.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def tell(said: Any, wrong: Exception | None) -> None:
        # During a stop, the caller and its loop may already have ended.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, future, said, wrong)

    ask(tell)
    try:
        return await asyncio.wait_for(future, seconds)
    except TimeoutError:
        raise Unavailable(late, retry_after_seconds=2.0) from None


def _settle(future: asyncio.Future[Any], said: Any, wrong: Exception | None) -> None:
    """Notify the caller, on its event loop, unless it has given up."""
    if future.done():
        return
    if wrong is not None or said is None:
        future.set_exception(wrong or Unavailable("The result is unknown."))
    else:
        future.set_result(said)
