"""Links as plain values, from YAML or JSON, read into the parts of a link; and links written back.

All errors are reported together, each place by a JSON pointer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tidings.model.access import TENANT_RULE, is_tenant
from tidings.model.errors import Invalid
from tidings.model.link import (
    ALL_TENANTS,
    KIND_OF,
    AnyLink,
    CallApi,
    EditItem,
    Link,
    LinkAction,
    Pacing,
    SendMail,
    Timer,
)
from tidings.model.moment import Micros
from tidings.rules import event_types, filter
from tidings.rules.declare.actions import ACTIONS, NEW, guarded, read_action
from tidings.rules.declare.calls import plain_call
from tidings.rules.declare.mail import plain_mail
from tidings.rules.declare.pacing import plain_pacing, read_pacing, refusing
from tidings.rules.mirror.declared import plain_emit
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import escaped
from tidings.rules.timers import declared as timers

LINKS_MAX = 10_000
DESCRIPTION_CHARS_MAX = 1_000
NAME_RULE = "A link's name must have 1 to 64 lowercase letters, digits, - and _, and begin with a letter"

NAME_PATTERN = "^[a-z][a-z0-9_-]{0,63}$"

_NAME = re.compile(NAME_PATTERN.strip("^$"))
PARTS = (
    "was",
    "description",
    "tenant",
    "when",
    "filter",
    "if",
    "once",
    "split",
    *ACTIONS,
    "emit",
    "keep",
    "order",
    "order_max_age_seconds",
    "rate",
    "max_in_flight",
    "retry_delays_seconds",
)


class DeclaredLink(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration that was read."""

    name: str
    description: str
    tenant: str | None
    events: tuple[str, ...]
    timer: Timer | None
    filter: dict[str, Any] | None
    pacing: Pacing
    what: LinkAction

    was: str | None = None
    """The link's previous name. The renamed link keeps its state and its waiting deliveries."""

    @property
    def parts(self) -> dict[str, Any]:
        """The declared values, by the names of a link's members."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "was"}

    def same(self, link: AnyLink) -> bool:
        """Whether a link matches this declaration."""
        return all(value == getattr(link, name) for name, value in self.parts.items())


def new(declared: DeclaredLink, number: int, ident: str, head: int, now: Micros) -> AnyLink:
    """A new link, for the events after `head`."""
    kind, parts = KIND_OF[type(declared.what)], declared.parts
    return Link(num=number, id=ident, kind=kind, created=now, updated=now, after=head, **parts)


def changed(link: AnyLink, now: Micros, **parts: Any) -> AnyLink:
    """A link with some parts changed; the same one if it has them already."""
    if "what" in parts:
        parts["kind"] = KIND_OF[type(parts["what"])]
    after = msgspec.structs.replace(link, **parts)
    return link if after == link else msgspec.structs.replace(after, revision=link.revision + 1, updated=now)


def followed(link: AnyLink, renamed: Mapping[str, str]) -> AnyLink:
    """The link as it will be once collections are renamed."""
    what = link.what
    if not isinstance(what, EditItem):
        return link
    collection = renamed.get(what.collection, what.collection)
    return msgspec.structs.replace(link, what=msgspec.structs.replace(what, collection=collection))


def by_new_names(
    present: Mapping[str, AnyLink], declared: Mapping[str, DeclaredLink], wrong: Places
) -> dict[str, AnyLink]:
    """The present links by the names that they will have once those declared with `was` are renamed."""
    found, taken = dict(present), set[str]()
    for each in declared.values():
        was = each.was
        if was is None or was not in present:
            # It was renamed before, or there was no such link.
            continue
        at = f"/links/{escaped(each.name)}/was"
        if was in declared or was in taken:
            wrong.say(at, "contradiction", f"Another declared link is, or was, named {was}. Leave `was` out.")
        elif each.name in present:
            detail = (
                f"The link {each.name} already exists, so {was} cannot take that name. Leave `was` out, or "
                "delete one of the two links."
            )
            wrong.say(at, "name_taken", detail)
        else:
            taken.add(was)
            found[each.name] = found.pop(was)
    return found


def read(values: Any, pointer: str = "", between: Callable[[], None] = lambda: None) -> list[DeclaredLink]:
    """The declarations in an object, by name. Raises Invalid with every wrong place.

    `between` is called before each, because reading a thousand takes a while.
    """
    wrong = Places()
    if type(values) is not dict:
        wrong.say(
            pointer, "wrong_type", f"Links must be an object whose keys are the links' names, not {shown(values)}."
        )
        values = {}
    if len(values) > LINKS_MAX:
        wrong.say(pointer, "too_many", f"There may be at most {LINKS_MAX:,} links.")
        values = {}
    found = []
    for name, value in values.items():
        between()
        found.append(_read(name, value, f"{pointer}/{escaped(str(name))}", wrong))
    if wrong.found:
        raise Invalid("The declaration is not valid.", errors=wrong.found)
    return [each for each in found if each is not None]


def read_one(name: str, value: Any, pointer: str = "") -> DeclaredLink:
    """One declaration; its places are below `pointer`. Raises Invalid."""
    wrong = Places()
    found = _read(name, value, pointer, wrong)
    if wrong.found or found is None:
        raise Invalid("The declaration is not valid.", errors=wrong.found)
    return found


def plain(link: AnyLink | DeclaredLink) -> dict[str, Any]:
    """The declaration in its canonical form, as `read` reads it, without defaults."""
    what, pacing = link.what, link.pacing
    found: dict[str, Any] = {"description": link.description} if link.description else {}
    if link.tenant is not None:
        found["tenant"] = link.tenant
    found["when"] = {"event": list(link.events)} if link.events else {}
    if link.timer is not None:
        found["when"] |= timers.plain(link.timer)
    if link.filter is not None:
        found["filter"] = link.filter
    if isinstance(what, CallApi):
        found["call"] = plain_call(what, pacing)
        if what.keep is not None:
            found["keep"] = what.keep
        if what.emit is not None:
            found["emit"] = plain_emit(what.emit)
    elif isinstance(what, SendMail):
        found["mail"] = plain_mail(what)
    else:
        item: dict[str, Any] = {"collection": what.collection, what.edit: NEW if what.item is None else what.item}
        if what.edit != "delete":
            item["data"] = what.values
        found["item"] = item
    asked = {"if": what.only_if, "once": what.once_by, "split": what.split_by}
    found |= {name: value for name, value in asked.items() if value is not None}
    own_order = what.order_by if what.once_by is None else None
    return found | plain_pacing(pacing, own_order, replaces=what.replaces)


def _read(name: Any, value: Any, pointer: str, wrong: Places) -> DeclaredLink | None:
    before = len(wrong.found)
    if type(name) is not str or not _NAME.fullmatch(name):
        wrong.say(pointer, "name", f"{NAME_RULE}; not {shown(name)}.")
    if not wrong.json(value, pointer):
        return None
    given = wrong.members(value, pointer, PARTS, "A link")
    description = given.get("description")
    was = given.get("was")
    if was is not None and (type(was) is not str or not _NAME.fullmatch(was) or was == name):
        wrong.say(
            f"{pointer}/was", "name", "`was` must be the link's previous name, which differs from the current one."
        )
    found: dict[str, Any] = {
        "was": was,
        "description": ""
        if description is None
        else wrong.text(description, f"{pointer}/description", DESCRIPTION_CHARS_MAX),
        "tenant": _tenant(given.get("tenant"), f"{pointer}/tenant", wrong),
        **_when(given, pointer, wrong),
        "filter": given.get("filter"),
        "what": guarded(read_action(given, pointer, wrong), given, pointer, wrong),
        "pacing": _pacing(given, pointer, wrong),
    }
    pattern = given.get("filter")
    if pattern is not None:
        refusing(lambda: filter.check(pattern, f"{pointer}/filter"), wrong)
    return None if len(wrong.found) > before else DeclaredLink(name=name, **found)


def _tenant(value: Any, pointer: str, wrong: Places) -> str | None:
    if value is not None and value != ALL_TENANTS and not (type(value) is str and is_tenant(value)):
        wrong.say(pointer, "tenant", f'{TENANT_RULE} "{ALL_TENANTS}" means the events of all tenants.')
    return value if type(value) is str else None


_RECEIVED = " In a file, `when` can have `hook` or `form` instead."


def _when(given: dict[str, Any], pointer: str, wrong: Places) -> dict[str, Any]:
    """The link's events, or its timer."""
    at = f"{pointer}/when"
    found: dict[str, Any] = {"events": (), "timer": None}
    if "when" not in given:
        detail = 'A link needs `when`, such as {event: tasks.completed} or {at: "09:00", tz: Europe/Berlin}.'
        wrong.say(at, "missing", detail)
        return found
    when = wrong.members(given["when"], at, ("event", *timers.PARTS), "`when`", "{event: tasks.completed}", _RECEIVED)
    events = when.get("event")
    if any(when.get(part) is not None for part in timers.PARTS):
        found |= {"timer": _timer(given, when, pointer, wrong)}
        if events is None:
            return found
    if events is None:
        if type(given["when"]) is dict:
            detail = (
                "`when` needs either `event` (an event type, or a list of types and patterns), or one of `every`, "
                "`at` and `cron`."
            )
            wrong.say(f"{at}/event", "missing", detail)
        return found
    several = [events] if type(events) is str else events
    refusing(lambda: event_types.check_patterns(several, f"{at}/event"), wrong)
    return found | {"events": tuple(several) if type(several) is list else ()}


def _timer(given: dict[str, Any], when: dict[str, Any], pointer: str, wrong: Places) -> Timer | None:
    at = f"{pointer}/when"
    if given.get("filter") is not None and when.get("event") is None:
        wrong.say(
            f"{pointer}/filter",
            "contradiction",
            "`filter` selects events, so a link that runs on a timer cannot have one.",
        )
    if not any(when.get(kind) is not None for kind in timers.KINDS):
        wrong.say(at, "missing", "`when` needs one of `every`, `at` and `cron`.")
        return None
    return timers.read(when, at, wrong)


def _pacing(given: dict[str, Any], pointer: str, wrong: Places) -> Pacing:
    call = given.get("call")
    return read_pacing(given, pointer, wrong, call.get("give_up_on") if type(call) is dict else None)
