"""The action of a link with `split`: a delivery of the event makes one for each element, which the link then acts on.

So each element has its own attempts, retries, key and line. A delivery that was split has ended. Retrying it makes no
new deliveries for its elements, because those can be retried themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.deliver.actions.action import Action, Carried, Prepared, Result, Tools
from tidings.deliver.actions.splitting.parts import MakeParts
from tidings.deliver.settle import FollowUp
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.rules.deliver import judgement
from tidings.rules.guard import SKIPPED_BY_IF, Guard
from tidings.rules.splitting import SplitTemplate
from tidings.rules.template import Scope, TemplateFailed
from tidings.store.base import StoreError

NO_LONGER = "The link no longer splits events, but this delivery is for an element of an event that was split."


class Split(msgspec.Struct, frozen=True):
    """The result of a delivery that is about the whole event."""

    outcome: Outcome
    reason: str
    parts: MakeParts | None = None


class SplitAction:
    """Splits events for one link. `inner` acts on the elements."""

    follows = True

    def __init__(self, link: AnyLink, tools: Tools, inner: Action) -> None:
        self._num, self._tools, self._inner = link.num, tools, inner
        split_by = link.what.split_by
        self._template = None if split_by is None else SplitTemplate(split_by)
        self._guard = Guard(link.what)
        self.destination, self.fitting, self.line = inner.destination, inner.fitting, inner.line

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The inner action's request for an element, or the elements of the event. Raises ValueError."""
        try:
            is_part = self._tools.parts.of(carried[0].number) is not None
            if is_part and self._template is None:
                return Prepared(Split(outcomes.TEMPLATE_FAILED, NO_LONGER), "{}", 0)
            if is_part or self._template is None:
                return self._inner.prepare(events, carried, now)
            return Prepared(self._split(events[0], carried[0].number, self._template), "{}", 0)
        except StoreError as wrong:
            return Prepared(Split(outcomes.EDIT_FAILED, f"The store cannot be read: {wrong.detail}."), "{}", 0)

    def _split(self, event: Event, number: int, template: SplitTemplate) -> Split:
        try:
            scope = Scope(event)
            if self._guard.skips(scope):
                return Split(outcomes.SKIPPED, SKIPPED_BY_IF)
            if made := self._tools.parts.count(self._num, number):
                said = f"The event was already split into {made:,} deliveries. Retry those instead."
                return Split(outcomes.SPLIT, said)
            elements = template.fill(scope)
        except TemplateFailed as wrong:
            return Split(outcomes.TEMPLATE_FAILED, str(wrong))
        if not elements.texts:
            return Split(outcomes.SKIPPED, elements.sentence)
        parts = MakeParts(event.seq, self._num, number, elements.texts)
        return Split(outcomes.SPLIT, elements.sentence, parts)

    def send(self, request: Any, done: Callable[[Any], None]) -> None:
        """Have the inner action send it; a split needs no request. Raises ValueError."""
        if isinstance(request, Split):
            self._tools.later(lambda: done(request))
        else:
            self._inner.send(request, done)

    def judge(self, reply: Any, now: Micros) -> Result:
        """The result of the split, or of the inner action."""
        if not isinstance(reply, Split):
            return self._inner.judge(reply, now)
        is_failed = reply.outcome is outcomes.TEMPLATE_FAILED
        judged = judgement.UNFILLED if is_failed else judgement.OF_EDITS[reply.outcome]
        return Result(reply.outcome, judged, reply.reason, None, 0)

    def follow(self, events: Sequence[Event], reply: Any, now: Micros) -> FollowUp | None:
        """The deliveries of the elements, made in the transaction that stores the split."""
        if isinstance(reply, Split):
            return reply.parts
        return self._inner.follow(events, reply, now) if self._inner.follows else None
