"""Deliveries by hand: another try for one that waits or has ended."""

from __future__ import annotations

from typing import Any

from tidings.model.errors import Conflict, NotFound
from tidings.model.link import Endpoint
from tidings.model.moment import Clock, Micros
from tidings.rules.deliver import lifecycle
from tidings.store.base import Db
from tidings.store.catalog import Catalog


def retry(db: Db, catalog: Catalog, clock: Clock, number: int) -> int:
    """Make a delivery due now, with a whole new round of attempts, inside a write job. Answers its link.

    Raises NotFound, or Conflict where its endpoint is not sending or it is held behind an earlier one.
    """
    row = db.one("delivery_of", delivery=number)
    if row is None:
        raise NotFound("There is no such delivery.")
    _, link, event, _, n, last = row
    waiting = db.one("waiting_of", delivery=number)
    endpoint = _sending(catalog.endpoint(db, link))
    state = lifecycle.state(last, waiting is not None, False)
    now = clock.now()
    if lifecycle.after(state, "retry") is None:
        raise Conflict(f"It is {state}, so it cannot be tried again.")
    if state == "waiting":
        _hurry(db, number, waiting, now)
    else:
        db.many("waiting_put", [new_round(number, endpoint.num, event, n, now)])
    return int(link)


def new_round(number: int, link: int, event: int, n: int, now: Micros) -> dict[str, Any]:
    """The row of `waiting` that begins a new round of attempts, due now."""
    return {
        "delivery": number,
        "link": link,
        "event": event,
        "due": now,
        "n": n,
        "earlier": n,
        "first": now,
        "subject": None,
        "held": 0,
    }


def _sending(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None or endpoint.deleted is not None:
        raise Conflict("Its endpoint was deleted, so there is nowhere to send it.")
    if endpoint.mode != "enabled":
        raise Conflict(f"Its endpoint {endpoint.id} is {endpoint.mode}: {endpoint.reason} Resume the endpoint first.")
    return endpoint


def _hurry(db: Db, number: int, waiting: tuple[Any, ...] | None, now: Micros) -> None:
    # Without a row it was never tried, and is next in its endpoint's line already.
    if waiting is None:
        return
    if waiting[8]:
        raise Conflict(
            "It is held behind an earlier delivery of the same subject, because its endpoint wants them in order. "
            "Retry or cancel that one."
        )
    db.run("waiting_hurry", delivery=number, now=now)
