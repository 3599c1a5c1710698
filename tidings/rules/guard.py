"""What a link checks before it acts on an event: its `if`, and the key of its `once`."""

from __future__ import annotations

import hashlib

from tidings.model.link import LinkAction
from tidings.rules.template import MISSING, SCOPE, Condition, JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode

SKIPPED_BY_IF = "The link's `if` was false."
SKIPPED_BY_ONCE = "The link has already succeeded for this `once` key."


ITEM = "item"
"""The name under which templates see the element that a delivery is about (`split`)."""


MINE = "mine"
"""The name under which templates of calls see the values kept for the event's subject (`keep`)."""


def names_of(what: LinkAction) -> tuple[str, ...]:
    """The names that the templates of a link's action see."""
    return SCOPE if what.split_by is None else (*SCOPE, ITEM)


class Guard:
    """The `if` and `once` of one link, compiled. Used by one thread at a time."""

    def __init__(self, what: LinkAction, pointer: str = "") -> None:
        """Raises Refused with the place of a template that is wrong."""
        self._at = f"{pointer}/once"
        self._if = None if what.only_if is None else Condition(what.only_if, f"{pointer}/if", SCOPE)
        self._once = None if what.once_by is None else JsonTemplate(what.once_by, self._at, names_of(what))
        self.is_open = self._if is None and self._once is None
        """Whether the link has neither `if` nor `once`."""
        self.has_key = self._once is not None

    def skips(self, scope: Scope) -> bool:
        """Whether the `if` is false. Raises TemplateFailed."""
        return self._if is not None and not self._if.holds(scope)

    def key(self, scope: Scope) -> str | None:
        """The key that may succeed once, as a hash; None if the link has no `once`. Raises TemplateFailed."""
        if self._once is None:
            return None
        text = self._once.text(scope)
        if not text:
            raise TemplateFailed(self._at, "the event has no value for the key.")
        element = scope.value(ITEM)
        if element is not MISSING:
            # Each element may succeed once.
            text = f"{text}\n{encode(element).decode()}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
