"""The bodies in which an event travels: standard, CloudEvents, thin, bare; alone or in batches; whole or some fields.

Event data is spliced in as the text that the caller sent, so numbers, spaces and the order of names stay theirs.
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
from tidings.rules.refused import Refused

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
"""Chosen fields as a tree; None: all that is below."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_NAME = r"[^.\x00-\x1f\x7f]+"
FIELD_PATTERN = rf"^{_NAME}(\.{_NAME}){{0,{FIELD_DEPTH_MAX - 1}}}$"
_FIELD = re.compile(FIELD_PATTERN.strip("^$"))


def body(event: Event, kind: Body, source: str, chosen: Chosen | None = None) -> bytes:
    """The body of one event. `source` is the URI that CloudEvents wants; `chosen` comes from `choose`."""
    if kind == "thin":
        return thin(event)
    if chosen is not None:
        event = only(event, chosen)
    if kind == "bare":
        return event.data.encode()
    return standard(event) if kind == "standard" else cloudevent(event, source)


def batch(bodies: Sequence[bytes], kind: Body, now: Micros) -> bytes:
    """Several bodies of one kind as one: a list; standard and thin ones in an event of the type `batch`."""
    joined = b"[" + b",".join(bodies) + b"]"
    if kind in ("cloudevents", "bare"):
        return joined
    return b'{"type":"batch","timestamp":"%b","data":%b}' % (to_text(now).encode(), joined)


def standard(event: Event) -> bytes:
    """The body as Standard Webhooks describes it, with the event's other fields beside; who caused it for changes."""
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
    """Only that something happened; the receiver asks for the rest. `data.id` is the subject, else the event's id."""
    subject = "" if event.subject is None else f',"subject":{quoted(event.subject)}'
    about = quoted(event.subject or event.id)
    return (
        f'{{"type":{quoted(event.type)},"timestamp":"{to_text(event.time)}","id":{quoted(event.id)}'
        f'{subject},"data":{{"id":{about}}}}}'
    ).encode()


def check_fields(fields: object, pointer: str = "") -> tuple[str, ...]:
    """A list of dotted paths below `data`, such as `id` and `owner.name`, checked. Raises Refused with the place."""
    if not isinstance(fields, list | tuple) or not 1 <= len(fields) <= FIELDS_MAX:
        raise Refused(pointer, "fields", f"Choose fields with a list of 1 to {FIELDS_MAX} paths, or leave fields out.")
    for index, path in enumerate(fields):
        if not isinstance(path, str) or len(path) > FIELD_CHARS_MAX or not _FIELD.fullmatch(path):
            detail = (
                f"A path is 1 to {FIELD_DEPTH_MAX} names joined by dots, such as owner.name, with "
                f"{FIELD_CHARS_MAX} characters at most, no empty name and no control characters."
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
    """The event with the chosen fields of its data; what it says of the time before and of changes is cut likewise."""
    return msgspec.structs.replace(
        event,
        data=select(event.data, chosen),
        previous=None if event.previous is None else select(event.previous, chosen),
        changed=None if event.changed is None else _select_changed(event.changed, chosen),
    )


def select(text: str, chosen: Chosen) -> str:
    """The chosen fields of a JSON text, verbatim and in its order. A path goes through lists into each element.

    Of what is neither object nor list no field can be chosen: an empty object remains.
    """
    return _select(text.encode(), chosen).decode()


def _select(raw: bytes, chosen: Chosen) -> bytes:
    first = raw.lstrip(b" \t\r\n")[:1]
    if first == b"[":
        return b"[" + b",".join([_select(bytes(element), chosen) for element in _ELEMENTS.decode(raw)]) + b"]"
    if first != b"{":
        return b"{}"
    kept = []
    for name, member in _MEMBERS.decode(raw).items():
        if name in chosen:
            below = chosen[name]
            value = bytes(member)
            kept.append(quoted(name).encode() + b":" + (value if below is None else _select(value, below)))
    return b"{" + b",".join(kept) + b"}"


def _select_changed(text: str, chosen: Chosen) -> str:
    """`changed` is a list of names, which may be dotted, or an object like data."""
    changed = msgspec.json.decode(text)
    if not isinstance(changed, list):
        return select(text, chosen)
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
