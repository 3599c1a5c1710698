"""Retrying and cancelling all deliveries that match a filter: counted first, with what would be left out and why."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tidings.model import moment
from tidings.web.console.lists import button, fact
from tidings.web.console.visit import Done, PageVisit, View, action, to

FILTERS = ("state", "outcome", "status", "endpoint", "link", "tenant", "type", "event", "time__gte", "time__lt")
"""The filters of the list of deliveries."""
BULK = {
    "endpoint": "endpoint_id",
    "link": "link",
    "tenant": "tenant",
    "type": "type",
    "outcome": "outcome",
    "status": "status",
    "time__gte": "since",
    "time__lt": "until",
}
"""Filters of the list, and their names in bulk jobs."""
LABELS = {"time__gte": "From", "time__lt": "Until", "outcome": "Last result", "type": "Event type"}
RETRIED = ("dead", "waiting", "cancelled")
"""The states whose deliveries can be retried together, in the order in which a page names them."""
_SAID = {"dead": "became dead", "waiting": "are waiting", "cancelled": "were cancelled"}
_NOT_ENABLED = "their endpoint or link is paused, disabled or deleted. Resume it first"
_IN_TURN = (
    "deliveries that are next in line, or behind an earlier one, are sent without a retry, and those for a paused or "
    "disabled endpoint once it is resumed"
)
_REASONS = (
    ("first", "is next in line for its first attempt", "are next in line for their first attempt"),
    ("order", "is waiting behind an earlier one", "are waiting behind an earlier one"),
    (
        "stopped",
        "is for an endpoint or link that is paused or disabled",
        "are for endpoints or links that are paused or disabled",
    ),
)
"""Why waiting deliveries are left out, in words for one delivery and for several."""
LOOKED_AT = 200
"""If no more deliveries than this are waiting, the page says how many are left out for each reason."""


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many in one state would be retried or cancelled, and how many the list has."""

    state: str
    count: int
    is_more: bool
    listed: int | None
    why: str = ""
    """Why some are left out, if the page knows more than the general reason."""

    @property
    def many(self) -> str:
        """`12`, or `10,000+`."""
        return f"{self.count:,}{'+' if self.is_more else ''}"


def buttons(visit: PageVisit, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Buttons for everything that matches, however many pages there are."""
    if not visit.may("retry_deliveries") or "event" in given or not given:
        return []
    offered = []
    if given.get("state") in (None, *RETRIED):
        offered.append(button("/deliveries/retry", "Retry all that match …", fields=given))
    if given.get("state") in (None, "waiting"):
        offered.append(button("/deliveries/cancel", "Cancel all waiting deliveries …", "danger", fields=given))
    return offered


async def retry_all(visit: PageVisit) -> View | Done:
    """Count what would be retried, then ask."""
    return await _all(visit, "retry_deliveries")


async def cancel_all(visit: PageVisit) -> View | Done:
    """Count what would be cancelled, then ask."""
    return await _all(visit, "cancel_deliveries")


async def _all(visit: PageVisit, operation: str) -> View | Done:
    is_retry = operation == "retry_deliveries"
    given = {name: visit.posted[name] for name in FILTERS if visit.posted.get(name)}
    body = {BULK[name]: value for name, value in given.items() if name in BULK}
    # Deliveries created after the count are not part of it, so a state alone is enough of a filter.
    body.setdefault("until", visit.posted.get("until") or moment.to_text(visit.parts.clock.now()))
    if visit.posted.get("sure"):
        made = await visit.do(operation, None, {**body, "state": given.get("state", "dead")} if is_retry else body)
        return Done(to("jobs", made.id), "The job has started.")
    state = given.get("state")
    states = ("waiting",) if not is_retry else (state,) if state is not None else RETRIED
    found = await asyncio.gather(*(_counted(visit, operation, given, body, each) for each in states))
    sure, is_alone = {**given, "until": body["until"], "sure": "1"}, len(found) == 1
    return View(
        "confirm.html",
        "Retry deliveries" if is_retry else "Cancel deliveries",
        _sentence(found, is_retry=is_retry),
        {
            "actions": [_button(each, sure, is_retry=is_retry, is_alone=is_alone) for each in found if each.count],
            "notes": [note for each in found for note in _notes(each, is_alone=is_alone)],
            "back": f"/deliveries?{urlencode(given)}",
            "given": [fact(LABELS.get(name, name.capitalize()), value) for name, value in given.items()],
        },
        "attention" if any(each.count for each in found) else "ok",
    )


async def _counted(visit: PageVisit, operation: str, given: Mapping[str, str], body: Any, state: str) -> StateCount:
    of_state = {"state": state} if operation == "retry_deliveries" else {}
    listed = {**given, "state": state, "time__lt": body["until"]}
    dry, shown = await asyncio.gather(
        visit.do(operation, None, {**body, **of_state, "dry_run": True}),
        visit.maybe("list_deliveries", **listed, limit=LOOKED_AT if state == "waiting" else 1, count=True),
    )
    total = None if shown is None else shown.get("count")
    if not isinstance(total, int):
        return StateCount(state, dry.count, dry.count_is_more, None)
    is_whole = state == "waiting" and total <= LOOKED_AT
    return StateCount(state, dry.count, dry.count_is_more, total, left_out_in_words(shown["data"]) if is_whole else "")


def left_out_in_words(waiting: Sequence[Any]) -> str:
    """Why some of these cannot be retried: `9 are next in line and 4 are waiting behind an earlier one`."""
    counts = Counter(_left_out_because(each) for each in waiting)
    said = [f"{counts[why]:,} {one if counts[why] == 1 else some}" for why, one, some in _REASONS if counts[why]]
    resumed = "; resuming it sends its waiting deliveries" if counts["stopped"] else ""
    they = "It is" if len(said) == 1 and said[0].startswith("1 ") else "They are"
    return f"{' and '.join(said)}. {they} sent without a retry{resumed}" if said else ""


def _left_out_because(each: Any) -> str:
    if each.waiting_because in ("paused", "disabled"):
        return "stopped"
    return "order" if each.held else "first" if not each.attempts else ""


def _sentence(found: list[StateCount], *, is_retry: bool) -> str:
    if len(found) == 1:
        one = found[0]
        noun = "delivery" if one.many == "1" else "deliveries"
        return f"{one.many} {noun} would be {'retried' if is_retry else 'cancelled'}."
    some = [f"{each.many} that {_one(each)}" for each in found if each.count]
    return f"Would be retried: {', '.join(some)}." if some else "None of these deliveries can be retried now."


def _one(each: StateCount) -> str:
    """`became dead`, `is waiting`: the words for one or for several."""
    said = _SAID[each.state]
    return said.replace("are ", "is ").replace("were", "was") if each.many == "1" else said


def _button(each: StateCount, sure: Mapping[str, str], *, is_retry: bool, is_alone: bool) -> dict[str, Any]:
    if not is_retry:
        return button("/deliveries/cancel", f"Cancel {each.many}", "danger", fields=sure)
    said = f"Retry {each.many}" if is_alone else f"Retry {each.many} that {_one(each)}"
    return button("/deliveries/retry", said, "main", fields={**sure, "state": each.state})


def _notes(each: StateCount, *, is_alone: bool) -> list[str]:
    """Notes on why there are fewer than in the list, and what to do instead."""
    left = 0 if each.listed is None or each.is_more else each.listed - each.count
    notes = []
    if left > 0:
        why = each.why or (_IN_TURN if each.state == "waiting" else _NOT_ENABLED)
        which = _SAID.get(each.state, "match")
        noun = "delivery" if each.listed == 1 else "deliveries"
        verb = "is" if left == 1 else "are"
        notes.append(f"{left:,} of {each.listed:,} {noun} that {which} {verb} left out: {why}.")
    elif not each.count and each.state == "dead" and not is_alone:
        notes.append(
            "None of the matching deliveries are dead. Waiting deliveries are retried automatically; retrying them "
            "here sends them now."
        )
    elif not each.count and is_alone:
        notes.append(f"None of the matching deliveries are {each.state}.")
    return notes


PAGES = (
    action("/deliveries/retry", retry_all, "deliveries"),
    action("/deliveries/cancel", cancel_all, "deliveries"),
)
