"""A link's `keep`: templates over a response, whose values are stored for the event's subject and read as `mine`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tidings.model.link import CallApi, LinkAction
from tidings.rules.calls.request import OF_ANSWER
from tidings.rules.guard import MINE, names_of
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import escaped
from tidings.rules.template import JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode

KEEP_BYTES_MAX = 4 * 1024
SUBJECT_CHARS_MAX = 256
"""The maximum length of what an `order` template yields, because it is a key in the database."""
NAMES_MAX = 20
NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
AT = "/keep"

_NAME = re.compile(NAME_PATTERN.strip("^$"))


class KeepTemplate:
    """The templates, compiled. Used by one thread at a time."""

    def __init__(self, what: CallApi, pointer: str = "") -> None:
        """`pointer`: points to the link. Raises Refused."""
        self._at = f"{pointer}{AT}"
        self._template = JsonTemplate(what.keep, self._at, (*names_of(what), MINE, *OF_ANSWER))

    def fill(self, scope: Scope) -> dict[str, Any]:
        """The values by their names, without missing ones; null removes a name. Raises TemplateFailed."""
        values: dict[str, Any] = self._template.fill(scope)
        size = len(encode(values))
        if size > KEEP_BYTES_MAX:
            raise TemplateFailed(self._at, f"the result is {size:,} bytes of JSON; the maximum is {KEEP_BYTES_MAX:,}.")
        return values


class SubjectOf:
    """Finds the subject for which a link keeps values. Used by one thread at a time."""

    def __init__(self, what: LinkAction) -> None:
        own_order = what.order_by if what.once_by is None else None
        self._template = None if own_order is None else JsonTemplate(own_order, "/order", names_of(what))

    def of(self, scope: Scope) -> str | None:
        """The event's subject, or what the link's `order` yields, if that is a template. Raises TemplateFailed."""
        found = scope.value("subject") if self._template is None else self._template.text(scope)
        if found and len(found) > SUBJECT_CHARS_MAX:
            detail = (
                f"with `keep`, a subject can be at most {SUBJECT_CHARS_MAX} characters long; this one has "
                f"{len(found):,}."
            )
            raise TemplateFailed("/order", detail)
        return found or None


def check_keep(given: Any, pointer: str, wrong: Places) -> None:
    """Report what is wrong with the form of a `keep`."""
    if not isinstance(given, Mapping) or not 1 <= len(given) <= NAMES_MAX:
        detail = (
            f"`keep` must be an object of 1 to {NAMES_MAX} names and templates, such as {{id: '{{{{ body.id }}}}'}}"
        )
        wrong.say(pointer, "wrong_type", f"{detail}, not {shown(given)}.")
        return
    for name in given:
        if not _NAME.fullmatch(name):
            detail = "A name in `keep` must begin with a letter and contain only letters, digits and _."
            wrong.say(f"{pointer}/{escaped(name)}", "name", detail)
