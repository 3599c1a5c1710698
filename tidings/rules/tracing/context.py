"""Trace contexts as HTTP headers: `traceparent` and `tracestate`, read and written as W3C Trace Context says.

What is malformed is ignored as the standard prescribes: a wrong `traceparent` counts as none, and a wrong `tracestate`
does not invalidate the `traceparent` next to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

SAMPLED = 0x01
KNOWN_FLAGS = 0x03
"""The flags sampled and random-trace-id; the standard requires that all others are cleared."""
TRACE_ID, SPAN_ID, FLAG, PARENT_CHARS = slice(3, 35), slice(36, 52), 54, 55
"""The positions of the ids, of the last digit of the flags, and of the end of `traceparent` in a stored context."""
SAMPLED_FLAGS = "13"
STATE_MEMBERS_MAX = 32
STATE_CHARS_KEPT = 512
"""The maximum length of a stored `tracestate`: the least that the standard permits, since every event of a trace
has it."""
LONG_MEMBER_CHARS = 128
"""Members longer than this are dropped first if a `tracestate` is too long."""
STATE_CHARS_READ = 16_384
"""A longer `tracestate` is not read: it has more than 32 members, or members that are too long."""

_PARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"({_KEY})=({_VALUE})")
_NO_TRACE, NO_SPAN = "0" * 32, "0" * 16
"""Ids that no trace and no span may have."""


class Trace(msgspec.Struct, frozen=True, gc=False):
    """One span's place in a trace. Ids are lower-case hexadecimal."""

    trace_id: str
    span_id: str
    flags: int = SAMPLED
    state: str = ""
    """Its `tracestate`."""

    @property
    def is_sampled(self) -> bool:
        """Whether its spans are recorded."""
        return bool(self.flags & SAMPLED)

    @property
    def parent(self) -> str:
        """Its `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def stored(self) -> str:
        """As an event keeps it."""
        return f"{self.parent} {self.state}" if self.state else self.parent


def read(parents: Sequence[str], states: Sequence[str]) -> Trace | None:
    """The context of a request, by its lines `traceparent` and `tracestate`; None if it has none that is valid."""
    if len(parents) != 1:
        return None
    found = _PARENT.fullmatch(parents[0].strip(" \t"))
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or trace == _NO_TRACE or span == NO_SPAN:
        return None
    return Trace(trace, span, int(flags, 16) & KNOWN_FLAGS, _state(states))


def of_stored(text: str) -> Trace:
    """The context that an event keeps."""
    return Trace(text[TRACE_ID], text[SPAN_ID], int(text[53:PARENT_CHARS], 16), text[PARENT_CHARS + 1 :])


def is_sampled(text: str) -> bool:
    """Whether the spans of a context that an event keeps are recorded."""
    return text[FLAG] in SAMPLED_FLAGS


def _state(lines: Sequence[str]) -> str:
    """A valid `tracestate` of at most STATE_CHARS_KEPT; empty if there is none, or a member is malformed."""
    whole = ",".join(lines)
    if not whole or len(whole) > STATE_CHARS_READ:
        return ""
    members: list[str] = []
    keys: set[str] = set()
    for text in whole.split(","):
        member = text.strip(" \t")
        if not member:
            continue
        found = _MEMBER.fullmatch(member)
        if found is None or found[1] in keys:
            return ""
        keys.add(found[1])
        members.append(member)
    return "" if len(members) > STATE_MEMBERS_MAX else _shortened(members)


def _shortened(members: list[str]) -> str:
    """If the members are too long in total, long ones are dropped first, and then those at the end."""
    length = sum(map(len, members)) + len(members) - 1
    for at in range(len(members) - 1, -1, -1):
        if length > STATE_CHARS_KEPT and len(members[at]) > LONG_MEMBER_CHARS:
            length -= len(members.pop(at)) + 1
    while length > STATE_CHARS_KEPT:
        length -= len(members.pop()) + 1
    return ",".join(members)
