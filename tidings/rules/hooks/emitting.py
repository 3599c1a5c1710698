"""Makes a hook's events with templates: the type, the key of what the event is about, and the data.

`body` is what the event's data would be without a template, `headers` are those of the genuine request, by their
lowercase names, without credentials. The key is the subject of the event, and identifies repeats: a request with the
same key as an earlier one is a repeat of it. If the signature does not cover the key's source, the request
counts as a repeat only if its content is the same too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tidings.model.event import SUBJECT_CHARS_MAX, Event, is_subject
from tidings.model.hook import HookOptions
from tidings.rules.hooks.masking import is_credential
from tidings.rules.hooks.naming import check_type
from tidings.rules.reading.refused import Refused
from tidings.rules.template import MISSING, JsonTemplate, Scope, TemplateFailed, is_template
from tidings.rules.templates.numbers import encode, read

BODY = "body"
NAMES = (BODY, "headers")
"""The names that the templates see."""
_NONE = Event(id="", type="", time=0, data="null")


class Emitted(NamedTuple):
    """The results of the templates for a request. None if the hook has no template for it."""

    type: str | None
    key: str | None
    data: bytes | None


class EventTemplates:
    """The templates of one hook, compiled. Used by one thread at a time."""

    def __init__(self, kind: str, key: str, data: Any) -> None:
        """Raises Refused with the place of a template that is wrong."""
        self._type = JsonTemplate(kind, "/type", NAMES) if is_template(kind) else None
        self._key = JsonTemplate(key, "/key", NAMES) if key else None
        self._data = None if data is None else JsonTemplate(data, "/data", NAMES)
        self.has_key = self._key is not None
        self.key_is_of_body = self._key is not None and all(path[0] == BODY for _, path in self._key.paths)
        """Whether the key is made only of values from the body."""

    def fill(self, text: bytes, headers: Mapping[str, str]) -> Emitted:
        """Fill the templates for a request with this data. Raises TemplateFailed."""
        shown = {name.lower(): value for name, value in headers.items() if not is_credential(name)}
        scope = Scope(_NONE, {BODY: read(text.decode()), "headers": shown})
        key = None if self._key is None else self._key.text(scope)
        if self._key is not None and (not key or not is_subject(key)):
            detail = f"it must yield a single line of 1 to {SUBJECT_CHARS_MAX} characters."
            raise TemplateFailed("/key", detail)
        data = None
        if self._data is not None:
            value = self._data.fill(scope)
            if value is MISSING:
                raise TemplateFailed("/data", "the request contains no value for `data`.")
            data = encode(value)
        return Emitted(None if self._type is None else self._type.text(scope) or "", key, data)


def templates_of(options: HookOptions) -> EventTemplates | None:
    """The templates of a hook; None if it has none."""
    if not options.key and options.data is None and not is_template(options.type):
        return None
    return EventTemplates(options.type, options.key, options.data)


def check(kind: str | None, key: str, data: Any, subject: str, tenant: str | None) -> None:
    """Raise Refused for templates that are wrong, or that only operators may write."""
    if key and not is_template(key):
        raise Refused("/key", "wrong_type", "`key` must be a template, such as {{ body.id }}.")
    if key and subject:
        raise Refused("/subject", "contradiction", "`key` already sets the subject of the events. Leave `subject` out.")
    if kind is not None and not is_template(kind):
        check_type(kind)
    EventTemplates(kind or "", key, data)
    named = "/key" if key else "/data" if data is not None else "/type" if is_template(kind or "") else ""
    if named and tenant is not None:
        detail = "Only hooks without a tenant can have templates, because only operators may write templates."
        raise Refused(named, "not_permitted", detail)
