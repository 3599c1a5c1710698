"""Whether a link gets an event, and if not, why.

Routing, replays and `GET /v1/events/{id}` all use this. A `Wants` is compiled once per link; any thread may use it. The
decision comes in parts, by how often each part has to be made: `refuses_type` once for all events of a tenant and type,
`refuses_subject` for each event, the filter once the event's document is read.

If a filter cannot decide, the event is sent: a receiver can drop an event, but cannot know of one it never got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.event import OWN_TYPES, Event
from tidings.model.link import ALL_TENANTS, DUE, AnyLink
from tidings.rules import event_types, filter
from tidings.rules.filter_checks import STEPS_MAX, Check, Meter, TooCostly


class Reason(msgspec.Struct, frozen=True):
    """Why a link gets an event (`is_sent`) or does not."""

    name: str
    sentence: str
    """A sentence for people; `{chosen}`, `{type}` and `{why}` are filled in by `Wants.explain`."""
    is_sent: bool = False
    error: Exception | None = None
    """What broke the filter."""


TESTED = Reason("tested", "The event is a test of this endpoint.", is_sent=True)
TESTS_ANOTHER = Reason("tests_another", "The event is a test of another endpoint.")
DUE_NOW = Reason("due", "The event is from the link's own timer, which was due.", is_sent=True)
DUE_ELSEWHERE = Reason("due_elsewhere", "The event is from the timer of another link.")
EARLIER = Reason("earlier", "The event is older than the endpoint or link.")
ABOUT_ITSELF = Reason("about_itself", "Events about an endpoint are not sent to that endpoint.")
OTHER_TENANT = Reason("other_tenant", "The event belongs to another tenant.")
OTHER_TYPE = Reason("other_type", "The selected types are {chosen}, but the event's type is {type}.")
NO_EVENTS = Reason("no_events", "The link runs on a timer, not on events.")
KICKED = Reason("kicked", "The link runs once for the event, in addition to its scheduled runs.", is_sent=True)
FILTERED = Reason("filtered", "The filter does not match: {why}")
CUT_OFF = Reason(
    "cut_off",
    f"The filter takes more than {STEPS_MAX:,} steps on this event, so the event is sent without filtering.",
    is_sent=True,
)
BROKEN = Reason("broken", "The filter failed on this event, so the event is sent without filtering.", is_sent=True)
NOT_ROUTED = Reason("not_routed", "The event is being routed right now.")
NOT_TRIED = Reason(
    "not_tried", "The filter was not tried for this response: the filters of other endpoints took too long."
)
CHANGED = Reason(
    "changed", "The endpoint or link has been changed since the event was routed, and would get the event now."
)
REASONS = (
    *(TESTED, TESTS_ANOTHER, DUE_NOW, DUE_ELSEWHERE, EARLIER, ABOUT_ITSELF),
    *(OTHER_TENANT, OTHER_TYPE, NO_EVENTS, KICKED, FILTERED, CUT_OFF, BROKEN),
    # Only for events that were routed earlier.
    *(NOT_ROUTED, NOT_TRIED, CHANGED),
)


class Wants:
    """What one link wants. Its methods return the reason against an event, or None if there is none."""

    __slots__ = ("after", "chosen", "fits", "id", "link", "pattern", "takes", "tenant")

    def __init__(
        self,
        link: int,
        ident: str,
        tenant: str | None,
        chosen: Sequence[str],
        pattern: dict[str, Any] | None = None,
        after: int = 0,
    ) -> None:
        """`chosen`: checked patterns of event types. `after`: the last event that is too early for it."""
        self.link, self.id, self.tenant = link, ident, tenant
        self.chosen, self.pattern, self.after = chosen, pattern, after
        self.takes = event_types.matcher(chosen)
        self.fits: Check | None = None if pattern is None else filter.late(pattern)
        """The filter itself, for callers that ask too often to call `filtered`; pass what it raises to `undecided`."""

    @classmethod
    def of(cls, link: AnyLink) -> Wants:
        """What a link in its present state wants. Its filter is compiled each time, except by `compiled`."""
        return cls(link.num, link.id, link.tenant, link.events, link.filter, link.after)

    def compiled(self) -> Wants:
        """The same, to be asked often: its filter is compiled once, now. Raises Refused."""
        if self.pattern is not None:
            self.fits = filter.metered(self.pattern)
        return self

    def refuses_type(self, tenant: str | None, kind: str) -> Reason | None:
        """The reason that applies to every event of this tenant and type."""
        if self.tenant != tenant and self.tenant != ALL_TENANTS:
            return OTHER_TENANT
        return None if self.takes(kind) else OTHER_TYPE if self.chosen else NO_EVENTS

    def refuses_subject(self, kind: str, subject: str | None) -> Reason | None:
        """Events about an endpoint are not sent to that endpoint: a failing one would feed its own failure."""
        return ABOUT_ITSELF if subject == self.id and kind.startswith(OWN_TYPES) else None

    def filtered(self, document: Mapping[str, Any]) -> Reason | None:
        """The filter's verdict on an event's document (`filter.document`)."""
        try:
            return None if self.fits is None or self.fits(document, Meter()) else FILTERED
        except Exception as wrong:
            return undecided(wrong)

    def before_filter(self, event: Event) -> Reason | None:
        """The decision on a stored event without the filter; if this is None, the filter decides."""
        if event.target is not None:
            mine, others = (DUE_NOW, DUE_ELSEWHERE) if event.type == DUE else (TESTED, TESTS_ANOTHER)
            return mine if event.target == self.link else others
        if event.seq <= self.after:
            return EARLIER
        return self.refuses_subject(event.type, event.subject) or self.refuses_type(event.tenant, event.type)

    def explain(self, reason: Reason, kind: str, document: Mapping[str, Any] | None = None) -> str:
        """A sentence for people about an event of this type. `document`: needed if the filter does not match it."""
        why = ""
        if reason is FILTERED and document is not None:
            why = filter.why_not(self.pattern, document)
        return reason.sentence.format(chosen=", ".join(self.chosen), type=kind, why=why)


def undecided(wrong: Exception) -> Reason:
    """What happens to an event on which a filter raised this: it is not lost, and other events are not held up."""
    return CUT_OFF if isinstance(wrong, TooCostly) else msgspec.structs.replace(BROKEN, error=wrong)
