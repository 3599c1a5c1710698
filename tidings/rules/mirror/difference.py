"""What observed records change in the mirror: created, updated, deleted, or nothing.

A record may be observed in any order, any number of times: only differences from the mirror become events, and the
mirror has each record as of its last event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from tidings.rules.templates.numbers import plain, read

ChangeKind = Literal["created", "updated", "deleted"]
_DIGEST_BYTES = 12


class Counted(NamedTuple):
    """Which fields of a record count: if only others differ, nothing has changed."""

    only: tuple[str, ...] = ()
    """The fields that count; empty if all count."""
    ignore: tuple[str, ...] = ()
    """The fields that do not count."""

    def of(self, record: Any) -> Any:
        """The part of a record that counts; a record that is not an object counts as a whole."""
        if type(record) is not dict:
            return record
        if self.only:
            return {name: record[name] for name in self.only if name in record}
        if self.ignore:
            return {name: value for name, value in record.items() if name not in self.ignore}
        return record


class Observation(NamedTuple):
    """A record as it was just seen."""

    key: str
    record: Any
    is_deleted: bool = False


class Mirrored(NamedTuple):
    """A record of the mirror: its JSON, and a digest of the part that counts."""

    key: str
    value: str
    digest: str


class RecordChange(NamedTuple):
    """One change, as JSON texts: what its event contains."""

    kind: ChangeKind
    key: str
    data: str
    previous: str | None = None
    changed: str | None = None


class Differences(NamedTuple):
    """What observations change: the events, and what to write."""

    changes: list[RecordChange]
    puts: list[Mirrored]
    drops: list[str]


def differ(counted: Counted, held: Mapping[str, Mirrored], observed: Iterable[Observation]) -> Differences:
    """The difference to the mirror. If a key is observed several times, the last counts."""
    found = Differences([], [], [])
    for each in once_each(observed, first=False):
        before = held.get(each.key)
        if each.is_deleted:
            if before is not None:
                found.changes.append(RecordChange("deleted", each.key, before.value))
                found.drops.append(each.key)
            continue
        digest = _digest(counted.of(each.record))
        if before is not None and before.digest == digest:
            continue
        value = msgspec.json.encode(each.record).decode()
        found.puts.append(Mirrored(each.key, value, digest))
        if before is None:
            found.changes.append(RecordChange("created", each.key, value))
            continue
        names = _changed(counted, read(before.value), each.record)
        if names is None:
            # Other fields count now, or numbers are written differently, but it has not changed.
            found.puts[-1] = Mirrored(each.key, before.value, digest)
            continue
        changed = msgspec.json.encode(names).decode()
        found.changes.append(RecordChange("updated", each.key, value, before.value, changed))
    return found


def once_each(observed: Iterable[Observation], *, first: bool) -> list[Observation]:
    """One observation of each key: the first, or the last."""
    found: dict[str, Observation] = {}
    for each in observed:
        if not first or each.key not in found:
            found[each.key] = each
    return list(found.values())


def vanished(held: Iterable[Mirrored]) -> list[RecordChange]:
    """The changes of records that a full read no longer found."""
    return [RecordChange("deleted", each.key, each.value) for each in held]


def _digest(counted: Any) -> str:
    text = msgspec.json.encode(counted, order="sorted")
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()


def _changed(counted: Counted, before: Any, after: Any) -> list[str] | None:
    """The names of the counted fields that differ; None if none do."""
    was, now = counted.of(before), counted.of(after)
    if type(was) is not dict or type(now) is not dict:
        return None if _same(was, now) else []
    names = [name for name in now if name not in was or not _same(was[name], now[name])]
    return [*names, *(name for name in was if name not in now)] or None


def _same(a: Any, b: Any) -> bool:
    """Whether they are equal as JSON: neither the order of names nor how a number is written counts."""
    encode = msgspec.json.Encoder(order="sorted").encode
    # Most are written alike, and finding that out is quick.
    return encode(a) == encode(b) or encode(plain(a)) == encode(plain(b))
