"""How an endpoint is doing, in sentences: since when it has been failing and why, what waits, and what comes next."""

from __future__ import annotations

from tidings.model import moment
from tidings.model.moment import Micros
from tidings.views.endpoints import EndpointView
from tidings.views.health.words import at_least
from tidings.views.standing.tallies import LinkTally

WELL = 0.95
"""The success rate of the last day below which an endpoint that is not failing counts as recovered, not as healthy."""


def endpoint_in_words(found: EndpointView, tally: LinkTally | None, dead: str, now: Micros) -> str:
    """How it is doing. `dead`: how many deliveries became dead lately, as shown; empty if none."""
    parts = [_first(found, tally), f"{dead} became dead." if dead else "", _waits(tally), _disables(found, now)]
    return " ".join(filter(None, parts))


def _first(found: EndpointView, tally: LinkTally | None) -> str:
    if found.state == "disabled":
        return f"It is disabled: {_ended(found.reason or 'no reason was given')}"
    if found.state == "paused":
        return f"It is paused{f': {_ended(found.reason)}' if found.reason else '.'}"
    since = found.health.failing_since
    if since is not None:
        why = "" if tally is None or not tally.last_failure else f" {_ended(tally.last_failure)}"
        return f"It has been failing since {since[11:16]} UTC.{why}"
    if tally is None or not tally.total.attempts:
        return "It is healthy; nothing was sent in the last 24 hours."
    rate, count = tally.total.success_rate or 0, tally.total.attempts
    attempts = f"{count:,} {'attempt' if count == 1 else 'attempts'} in 24 hours"
    if refused := refused_in_words(found, tally):
        return refused
    if rate >= WELL:
        return f"It is healthy: {rate:.1%} of {attempts} succeeded."
    return f"It is healthy again; {rate:.1%} of {attempts} succeeded."


def refused_in_words(found: EndpointView, tally: LinkTally) -> str:
    """The sentence for an endpoint that responds, so does not count as failing, but accepts nothing; otherwise
    empty."""
    count, fails = tally.total.attempts, found.health.fails
    why = f" {_ended(tally.last_failure)}" if tally.last_failure else ""
    if count and not tally.total.success_rate:
        which = {1: "The only attempt", 2: "Both attempts"}.get(count, f"All {count:,} attempts")
        return f"{which} in 24 hours failed.{why}"
    return f"It refused the last {fails:,} deliveries.{why}" if fails > 1 else ""


def _waits(tally: LinkTally | None) -> str:
    """What waits, and until when."""
    if tally is None or not tally.waiting:
        return ""
    many = at_least(tally.waiting, tally.waiting_is_more)
    waits = f"{many} {'delivery is' if many == '1' else 'deliveries are'} waiting"
    return f"{waits}; the next attempt is at {tally.next_attempt[11:19]} UTC." if tally.next_attempt else f"{waits}."


def _disables(found: EndpointView, now: Micros) -> str:
    """When it will be disabled."""
    at = found.health.disables_at
    if not isinstance(at, str) or moment.from_text(at) <= now:
        return ""
    return f"It will be disabled on {at[:10]} at {at[11:16]} UTC unless a delivery succeeds before then."


def _ended(reason: str) -> str:
    """A reason as a sentence's end."""
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
