"""The forms of body in which an event is sent: standard, CloudEvents, thin or bare; alone or in batches; whole or only
some fields.

Event data is spliced in as the text that the caller sent, so numbers, spaces and the order of names are unchanged.
CloudEvents is 1.0 in its structured JSON form. It has no place for `previous` and `changed`, so they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from json.encoder import encode_basestring as quoted

import msgspec

from tidings.model.event import Event
from tidings.model.link import Body
from tidings.model.moment import Micros, to_text
from tidings.rules.filter_checks import Meter, TooCostly
from tidings.rules.reading.refused import Refused

FIELDS_MAX = 100
FIELD_CHARS_MAX = 256
FIELD_DEPTH_MAX = 32

CONTENT_TYPES: dict[Body, str] = {
    "standard": "application/json",
    "cloudevents": "application/cloudevents+json",
    "thin": "application/json",
    "bare": "application/json",
}
BATCH_CONTENT_TYPES: dict[Body, str] = {**CONTENT_TYPES, "cloudevents": "application/cloudevents-batch+json"}

Chosen = dict[str, "Chosen | None"]
"""Chosen fields as a tree; None means everything below."""

Text = bytes | msgspec.Raw

STEPS_MAX = 5_000
"""The maximum number of steps for choosing the fields of one event."""
STEP_BYTES = 1024
COMMAS_PER_STEP = 10
UNLIMITED = 1 << 62
WIDE_BYTES, WIDE_MEMBERS = 16 * 1024, 2_000
"""From this size on, it is cheaper to decode an object into a struct that has only the chosen members."""
STRUCT_STEPS = 50

_LIST, _OBJECT = b"[{"
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_NAME = r"[^.\x00-\x1f\x7f]+"
FIELD_PATTERN = rf"^{_NAME}(\.{_NAME}){{0,{FIELD_DEPTH_MAX - 1}}}$"
_FIELD = re.compile(FIELD_PATTERN.strip("^$"))


def body(event: Event, kind: Body, source: str, chosen: Chosen | None = None) -> bytes:
    """The body of one event. `source` is the URI that CloudEvents requires; `chosen` comes from `choose`."""
    if kind == "thin":
        return thin(event)
    if chosen is not None:
        event = only(event, chosen)
    if kind == "bare":
        return event.data.encode()
    return standard(event) if kind == "standard" else cloudevent(event, source)


def batch(bodies: Sequence[bytes], kind: Body, now: Micros) -> bytes:
    """Several bodies of one kind as one body: a list; for standard and thin ones, an event of the type `batch`."""
    joined = b"[" + b",".join(bodies) + b"]"
    if kind in ("cloudevents", "bare"):
        return joined
    return b'{"type":"batch","timestamp":"%b","data":%b}' % (to_text(now).encode(), joined)


def standard(event: Event) -> bytes:
    """The body as Standard Webhooks describes it, plus the event's other fields and, for changes, who caused them."""
    subject = "" if event.subject is None else f',"subject":{quoted(event.subject)}'
    tenant = "" if event.tenant is None else f',"tenant":{quoted(event.tenant)}'
    previous = "" if event.previous is None else f',"previous":{event.previous}'
    changed = "" if event.changed is None else f',"changed":{event.changed}'
    cause = "" if event.collection is None else _cause(event)
    return (
        f'{{"type":{quoted(event.type)},"timestamp":"{to_text(event.time)}","id":{quoted(event.id)}'
        f'{subject}{tenant}{cause},"data":{event.data}{previous}{changed}}}'
    ).encode()


def _cause(event: Event) -> str:
    """Which collection changed, by which key and request."""
    named = (("collection", event.collection), ("actor", event.actor), ("request_id", event.request_id))
    return "".join([f',"{name}":{quoted(value)}' for name, value in named if value is not None])


def cloudevent(event: Event, source: str) -> bytes:
    """A CloudEvents 1.0 envelope; the tenant is an extension attribute."""
    # An empty subject is not permitted in CloudEvents.
    subject = f',"subject":{quoted(event.subject)}' if event.subject else ""
    tenant = f',"tenant":{quoted(event.tenant)}' if event.tenant else ""
    return (
        f'{{"specversion":"1.0","id":{quoted(event.id)},"source":{quoted(source)},"type":{quoted(event.type)}'
        f',"time":"{to_text(event.time)}"{subject}{tenant},"datacontenttype":"application/json","data":{event.data}}}'
    ).encode()


def thin(event: Event) -> bytes:
    """A body that says only that something happened; the receiver fetches the rest.

    `data.id` is the subject, or else the event's id.
    """
    subject = "" if event.subject is None else f',"subject":{quoted(event.subject)}'
    return (
        f'{{"type":{quoted(event.type)},"timestamp":"{to_text(event.time)}","id":{quoted(event.id)}'
        f'{subject},"data":{_about(event)}}}'
    ).encode()


def _about(event: Event) -> str:
    return f'{{"id":{quoted(event.subject or event.id)}}}'


def check_fields(fields: object, pointer: str = "") -> tuple[str, ...]:
    """A list of dotted paths below `data`, such as `id` and `owner.name`, checked. Raises Refused with the place."""
    if not isinstance(fields, list | tuple) or not 1 <= len(fields) <= FIELDS_MAX:
        raise Refused(
            pointer,
            "out_of_range",
            f"`fields` must be a list of 1 to {FIELDS_MAX} paths; leave it out to send all fields.",
        )
    for index, path in enumerate(fields):
        if not isinstance(path, str) or len(path) > FIELD_CHARS_MAX or not _FIELD.fullmatch(path):
            detail = (
                f"A path must consist of 1 to {FIELD_DEPTH_MAX} names joined by dots, such as owner.name. It can be at "
                f"most {FIELD_CHARS_MAX} characters long, and must not contain empty names or control characters."
            )
            raise Refused(f"{pointer}/{index}", "fields", detail)
    return tuple(fields)


def choose(fields: Sequence[str]) -> Chosen:
    """Checked paths as a tree, made once for an endpoint."""
    tree: Chosen = {}
    for path in fields:
        *above, last = path.split(".")
        node: Chosen | None = tree
        for name in above:
            node = node.setdefault(name, {}) if node is not None else None
        if node is not None:
            node[last] = None
    return tree


def only(event: Event, chosen: Chosen) -> Event:
    """The event with the chosen fields of its data; `previous` and `changed` are cut in the same way.

    If choosing would take more than `STEPS_MAX` steps, its data is that of `thin`, and the rest is left out.
    """
    meter = Meter(STEPS_MAX)
    try:
        return msgspec.structs.replace(
            event,
            data=select(event.data, chosen, meter),
            previous=None if event.previous is None else select(event.previous, chosen, meter),
            changed=None if event.changed is None else _select_changed(event.changed, chosen, meter),
        )
    except TooCostly:
        return msgspec.structs.replace(event, data=_about(event), previous=None, changed=None)


def select(text: str, chosen: Chosen, meter: Meter | None = None) -> str:
    """The chosen fields of a JSON text, verbatim, in the order of `chosen`.

    A path goes through lists into each element. What is neither an object nor a list becomes an empty object. Raises
    TooCostly when `meter` runs out: a step for each value that is opened, and for each KiB read to open it.
    """
    out: list[Text] = []
    _select(text.strip(" \t\r\n").encode(), chosen, meter or Meter(UNLIMITED), out)
    return b"".join(out).decode()


def _select(raw: Text, chosen: Chosen, meter: Meter, out: list[Text]) -> None:
    view = memoryview(raw)
    meter.spend(1 + view.nbytes // STEP_BYTES)
    if view[0] == _LIST:
        _select_elements(raw, chosen, meter, out)
        return
    if view[0] != _OBJECT:
        out.append(b"{}")
        return
    members = _members(raw, chosen, view.nbytes, meter)
    before = b"{"
    for name, below in chosen.items():
        if name in members:
            out.append(before + quoted(name).encode() + b":")
            before = b","
            if below is None:
                out.append(members[name])
            else:
                _select(members[name], below, meter, out)
    out.append(b"}" if before == b"," else b"{}")


def _select_elements(raw: Text, chosen: Chosen, meter: Meter, out: list[Text]) -> None:
    before = b"["
    # A list can be too long to count its elements, but it has at most one more than commas.
    meter.spend(bytes(raw).count(b",") // COMMAS_PER_STEP)
    elements = _ELEMENTS.decode(raw)
    # Checked before the work rather than after it.
    if len(elements) > meter.left:
        raise TooCostly
    for element in elements:
        out.append(before)
        _select(element, chosen, meter, out)
        before = b","
    out.append(b"]" if elements else b"[]")


def _members(raw: Text, chosen: Chosen, size: int, meter: Meter) -> dict[str, msgspec.Raw]:
    """The members of an object; of a wide one, only the chosen members."""
    if size < WIDE_BYTES or bytes(raw).count(b":") < WIDE_MEMBERS:
        return _MEMBERS.decode(raw)
    meter.spend(STRUCT_STEPS)
    named = {f"f{index}": name for index, name in enumerate(chosen)}
    fields = [(field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for field in named]
    try:
        # Members that a struct does not have are skipped, which is a hundred times faster than making them.
        wanted = msgspec.defstruct("Wanted", fields, rename=named)
    except ValueError:
        # A name with a quote or a backslash.
        return _MEMBERS.decode(raw)
    found = msgspec.json.decode(raw, type=wanted)
    members = {name: getattr(found, field) for field, name in named.items()}
    return {name: member for name, member in members.items() if member is not msgspec.UNSET}


def _select_changed(text: str, chosen: Chosen, meter: Meter) -> str:
    """`changed` is a list of names, which may be dotted, or an object like data."""
    changed = msgspec.json.decode(text)
    if not isinstance(changed, list):
        return select(text, chosen, meter)
    meter.spend(len(changed))
    return msgspec.json.encode([name for name in changed if isinstance(name, str) and _touches(name, chosen)]).decode()


def _touches(path: str, chosen: Chosen) -> bool:
    node: Chosen | None = chosen
    for name in path.split("."):
        if node is None:
            return True
        if name not in node:
            return False
        node = node[name]
    return True
