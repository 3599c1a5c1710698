"""Mirrors in the store: records looked up and written in sets, and full reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from tidings.rules.mirror.difference import Counted, Differences, Mirrored, Observation, differ
from tidings.store.base import Db

KEYS_PER_STEP = 1_000


class Mirror(NamedTuple):
    """One mirror. `sweep`: the number of its last full read."""

    number: int
    sweep: int
    is_sweeping: bool


def of(db: Db, tenant: str | None, type: str) -> Mirror:
    """The mirror of a type of events, made if there is none. A write job."""
    found = known(db, tenant, type)
    if found is None:
        db.run("mirror_new", tenant=tenant or "", type=type)
        found = known(db, tenant, type)
    assert found is not None
    return found


def known(db: Db, tenant: str | None, type: str) -> Mirror | None:
    """The mirror of a type of events, if there is one."""
    row = db.one("mirror", tenant=tenant or "", type=type)
    return None if row is None else Mirror(row[0], row[1], bool(row[2]))


def difference(db: Db, mirror: Mirror | None, counted: Counted, observed: Sequence[Observation]) -> Differences:
    """What observations would change. A mirror of None is missing, and holds nothing."""
    held: dict[str, Mirrored] = {}
    keys = list(dict.fromkeys(each.key for each in observed)) if mirror is not None else []
    for start in range(0, len(keys), KEYS_PER_STEP):
        assert mirror is not None
        some = json.dumps(keys[start : start + KEYS_PER_STEP])
        held.update((row[0], Mirrored(*row)) for row in db.all("mirrored", mirror=mirror.number, keys=some))
    return differ(counted, held, observed)


def observe(db: Db, mirror: Mirror, counted: Counted, observed: Sequence[Observation]) -> Differences:
    """Take observations in: write what they change, and return it. A write job."""
    found = difference(db, mirror, counted, observed)
    number, sweep = mirror.number, mirror.sweep
    if found.drops:
        db.many("mirrored_drop", [{"mirror": number, "key": key} for key in found.drops])
    if found.puts:
        db.many("mirrored_put", [{"mirror": number, "seen": sweep, **each._asdict()} for each in found.puts])
    if mirror.is_sweeping and observed:
        keys = list({each.key for each in observed if not each.is_deleted})
        for start in range(0, len(keys), KEYS_PER_STEP):
            db.run("mirrored_see", mirror=number, seen=sweep, keys=json.dumps(keys[start : start + KEYS_PER_STEP]))
    return found


def begin_sweep(db: Db, mirror: Mirror) -> Mirror:
    """A full read begins: records that it does not see are missing. An earlier one that did not end is discarded."""
    begun = Mirror(mirror.number, mirror.sweep + 1, True)
    db.run("mirror_sweep", mirror=begun.number, sweep=begun.sweep, sweeping=1)
    return begun


def end_sweep(db: Db, mirror: Mirror) -> None:
    """A full read has ended."""
    db.run("mirror_sweep", mirror=mirror.number, sweep=mirror.sweep, sweeping=0)


def counts(db: Db, mirror: Mirror) -> tuple[int, int]:
    """How many records there are, and how many the present full read has not seen."""
    row = db.one("mirrored_counts", mirror=mirror.number, seen=mirror.sweep)
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def drop_missing(db: Db, mirror: Mirror, after: str, count: int) -> list[Mirrored]:
    """Delete and return some of the records beyond a key that the present full read has not seen."""
    rows = db.all("mirrored_missing", mirror=mirror.number, seen=mirror.sweep, after=after, count=count)
    db.many("mirrored_drop", [{"mirror": mirror.number, "key": row[0]} for row in rows])
    return [Mirrored(*row) for row in rows]


def forget(db: Db, mirror: Mirror) -> int:
    """Forget every record; returns how many there were."""
    return db.run("mirror_forget", mirror=mirror.number)
