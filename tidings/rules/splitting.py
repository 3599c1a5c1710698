"""A link's `split`: a template that yields a list, whose elements the link acts on one by one."""

from __future__ import annotations

import msgspec

from tidings.rules.template import MISSING, JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode

ELEMENTS_MAX = 1_000
AT = "/split"


class Elements(msgspec.Struct, frozen=True):
    """The elements, each as JSON, and a sentence about them."""

    texts: tuple[str, ...]
    sentence: str


class SplitTemplate:
    """The template, compiled. Used by one thread at a time."""

    def __init__(self, source: str, pointer: str = "") -> None:
        """`pointer`: points to the link. Raises Refused."""
        self._at = f"{pointer}{AT}"
        self._template = JsonTemplate(source, self._at)

    def fill(self, scope: Scope) -> Elements:
        """The elements of an event: equal ones once, nulls left out. Raises TemplateFailed."""
        value = self._template.fill(scope)
        if value is MISSING or value is None:
            return Elements((), "The event has no value for `split`, so nothing was done.")
        if type(value) is not list:
            raise TemplateFailed(self._at, f"it must yield a list, not {_kind(value)}.")
        if len(value) > ELEMENTS_MAX:
            raise TemplateFailed(
                self._at, f"it yielded a list of {len(value):,} elements; the maximum is {ELEMENTS_MAX:,}."
            )
        there = [encode(each).decode() for each in value if each is not None]
        texts = tuple(dict.fromkeys(there))
        if not texts:
            return Elements((), "The list from `split` is empty, so nothing was done.")
        said = f"Split into {len(texts):,} {'delivery' if len(texts) == 1 else 'deliveries'}."
        if left_out := len(value) - len(texts):
            said += (
                f" {left_out:,} {'element was' if left_out == 1 else 'elements were'} left out, as duplicates or null."
            )
        return Elements(texts, said)


def _kind(value: object) -> str:
    return "an object" if type(value) is dict else "text" if type(value) is str else encode(value).decode()[:40]
