"""A link's `if` and `once` as its action asks them, before it sends and after it succeeded; and its lines."""

from __future__ import annotations

from tidings.deliver.actions.once import KeyDone, Once
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import ALL_TENANTS, AnyLink, replaces
from tidings.model.outcome import Outcome
from tidings.rules.guard import SKIPPED_BY_IF, SKIPPED_BY_ONCE, Guard
from tidings.rules.template import JsonTemplate, Scope, TemplateFailed
from tidings.store.base import StoreError

OF_TENANT = "\x1f"
"""Stands between tenant and subject in the name of a line, if a link's events are of all tenants."""


class Guarding:
    """Of one link whose effect is outside. Belongs to the deliver thread."""

    def __init__(self, link: AnyLink, once: Once) -> None:
        self._num, self._guard, self._once = link.num, Guard(link.what), once
        self.has_key = self._guard.has_key
        """Whether a success is to be stored."""

    def skipped(self, scope: Scope) -> tuple[Outcome, str] | None:
        """Why nothing is sent, if so. Raises TemplateFailed."""
        if self._guard.is_open:
            return None
        if self._guard.skips(scope):
            return outcomes.SKIPPED, SKIPPED_BY_IF
        key = self._guard.key(scope)
        try:
            done = key is not None and self._once.has(self._num, key)
        except StoreError as wrong:
            return outcomes.EDIT_FAILED, f"The store cannot be read: {wrong.detail}."
        return (outcomes.SKIPPED, SKIPPED_BY_ONCE) if done else None

    def done(self, event: Event) -> KeyDone | None:
        """What is to be stored with a success. Raises TemplateFailed."""
        key = self._guard.key(Scope(event))
        return None if key is None else self._once.succeeded(self._num, key)


class LineOf:
    """The line of an event, for a link that is ordered by subject. Belongs to the deliver thread."""

    def __init__(self, link: AnyLink) -> None:
        self._template = None if link.what.order_by is None else JsonTemplate(link.what.order_by)
        self._by_tenant = replaces(link) and link.tenant == ALL_TENANTS

    def __call__(self, event: Event) -> str | None:
        """The name of its line; None: it waits for no other."""
        name = self.named(event)
        # One tenant's event must not replace another's.
        return f"{event.tenant or ''}{OF_TENANT}{name}" if name and self._by_tenant else name

    def named(self, event: Event) -> str | None:
        """The event's subject, or what the link's template makes of the event."""
        if self._template is None:
            return event.subject
        try:
            return self._template.text(Scope(event)) or None
        except TemplateFailed:
            # The action says why, if its own templates fail too; else the event only waits for no other.
            return None
