"""A link's `if` and `once`, which its action checks before it sends and after a success; and its lines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from tidings.deliver.actions.keeping.memory import LinkMemory
from tidings.deliver.actions.once import KeyDone, Once
from tidings.deliver.actions.splitting.parts import PartsMade
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import ALL_TENANTS, AnyLink, replaces
from tidings.model.outcome import Outcome
from tidings.rules.calls.keeping import SubjectOf
from tidings.rules.guard import ITEM, MINE, SKIPPED_BY_IF, SKIPPED_BY_ONCE, Guard, names_of
from tidings.rules.template import JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import read
from tidings.store.base import StoreError
from tidings.store.links.kept import KeptKey, space

SEPARATOR = "\x1f"
"""The separator in the name of a line: between tenant and subject, or before the digest of an element."""
WHOLE = "split"
"""The name of the line for events that are split, if the link's `order` is a template."""


class Guarding:
    """The guard of one link that acts on another system. Belongs to the deliver thread."""

    def __init__(self, link: AnyLink, once: Once) -> None:
        self._num, self._guard, self._once = link.num, Guard(link.what), once
        self.has_key = self._guard.has_key
        """Whether the link has a key (`once`) that is stored when it succeeds."""

    def skipped(self, scope: Scope) -> tuple[Outcome, str] | None:
        """Why nothing is sent; None if something is. Raises TemplateFailed."""
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

    def done(self, event: Event, more: Mapping[str, Any]) -> KeyDone | None:
        """What to store with a success. Raises TemplateFailed."""
        key = self._guard.key(scope_with(event, more))
        return None if key is None else self._once.succeeded(self._num, key)


class Scopes:
    """What the templates of one link see besides an event: the element that a delivery is about, and kept values."""

    def __init__(self, link: AnyLink, parts: PartsMade, memory: LinkMemory | None = None) -> None:
        """`memory`: for links whose templates may read it."""
        what = link.what
        self._parts = parts if what.split_by is not None else None
        self._memory = memory
        self.reads_memory = memory is not None and MINE.encode() in msgspec.json.encode(what)
        """Whether the link's templates use kept values (`mine`)."""
        self._space = space(link.name, getattr(what, "via", None))
        self._subject = SubjectOf(what)

    def element(self, number: int) -> str:
        """The element that a delivery is about, as JSON; empty if it is about the whole event. Raises StoreError."""
        return "" if self._parts is None else self._parts.of(number) or ""

    def more(self, event: Event, number: int) -> dict[str, Any]:
        """The values by their names.

        Raises StoreError, or TemplateFailed if `order` cannot tell whose memory to use.
        """
        element = self.element(number)
        found = {ITEM: read(element)} if element else {}
        if self.reads_memory and self._memory is not None:
            key = self.key(event, found)
            found[MINE] = {} if key is None else self._memory.of(key)
        return found

    def key(self, event: Event, more: Mapping[str, Any]) -> KeptKey | None:
        """Whose memory to use: that of the event's subject, or of what `order` names. None if there is no subject.

        Raises TemplateFailed.
        """
        subject = self._subject.of(scope_with(event, more))
        return KeptKey(self._space, event.tenant or "", subject) if subject else None


def scope_with(event: Event, more: Mapping[str, Any], *others: Mapping[str, Any] | None) -> Scope:
    """A scope with more values."""
    return Scope(event, {**more, **{name: value for each in others if each for name, value in each.items()}})


class LineOf:
    """The line of a delivery, for a link that is ordered by subject. Belongs to the deliver thread."""

    def __init__(self, link: AnyLink, parts: PartsMade) -> None:
        what = link.what
        self._template = None if what.order_by is None else JsonTemplate(what.order_by, names=names_of(what))
        self._by_tenant = replaces(link) and link.tenant == ALL_TENANTS
        self._splits, self._scopes = what.split_by is not None, Scopes(link, parts)

    def __call__(self, event: Event, number: int) -> str | None:
        """The name of its line; None if it waits for no other. Raises StoreError."""
        if self._splits:
            return self._of_element(event, number)
        name = self.named(event)
        # One tenant's event must not replace another's.
        return f"{event.tenant or ''}{SEPARATOR}{name}" if name and self._by_tenant else name

    def named(self, event: Event) -> str | None:
        """The event's subject, or what the link's template makes of the event."""
        return event.subject if self._template is None else self._filled(Scope(event))

    def _of_element(self, event: Event, number: int) -> str | None:
        """Events are split in order, and each element has its own line."""
        element = self._scopes.element(number)
        if not element:
            return event.subject if self._template is None else WHOLE
        more = self._scopes.more(event, number)
        name = event.subject if self._template is None else self._filled(scope_with(event, more))
        digest = hashlib.sha256(element.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{name}{SEPARATOR}{digest}" if name else None

    def _filled(self, scope: Scope) -> str | None:
        assert self._template is not None
        try:
            return self._template.text(scope) or None
        except TemplateFailed:
            # If the action's own templates fail too, it says why; otherwise the event just waits for no other.
            return None
