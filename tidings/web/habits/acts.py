"""Acts: every operation that changes something is recorded with its caller, in the transaction of the change.

The menu wraps the handlers once, so no handler knows about acts, and what pages do through the menu is recorded too.
While a handler runs, each write job that it hands to the writer is followed, in the same savepoint, by the act: the
first job always, later ones if they changed the catalogue. If a crash undoes a change, its act is undone with it.
Published events and changed items are not acts: they record their key themselves.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import msgspec

from tidings.model.ids import new_id
from tidings.store import jobs
from tidings.store.base import Db
from tidings.store.callers import acts as stored
from tidings.store.callers.acts import StoredAct
from tidings.store.jobs import AROUND, Job, Probe
from tidings.store.log.events import Publication
from tidings.views.standing.acts import act_change
from tidings.web.operation import Answer, Handler, Operation, Request, Stream
from tidings.web.parts import Parts

NO_ACTS = ("events:read", "events:write")
"""The scopes of operations that are not recorded, because they change no configuration."""


class Act:
    """What one request does."""

    def __init__(self, parts: Parts, request: Request) -> None:
        self._parts, self._request = parts, request
        self._jobs = 0
        self.is_repeat = False
        """Whether the request repeats an earlier one, and so changes nothing."""
        self.has_ended = False
        """Whether the handler has returned. Background work that it started inherits its context, but is not part of
        the act."""

    def around(self, job: Job) -> Job:
        """The job, followed by the record of the act."""
        if self.has_ended or isinstance(job, Publication | Probe):
            return job
        self._jobs += 1
        is_first = self._jobs == 1
        run = jobs.run_of(job)

        def recorded(db: Db) -> Any:
            before = stored.version(db)
            result = run(db)
            if not self.is_repeat:
                self._record(db, before, is_first=is_first)
            return result

        return jobs.around(job, recorded)

    def _record(self, db: Db, before: int, *, is_first: bool) -> None:
        request, catalog = self._request, self._parts.catalog
        changed, total = stored.changed_since(db, catalog, before)
        if not (changed or is_first):
            return
        changes = [act_change(each) for each in changed]
        now = self._parts.clock.now()
        act = StoredAct(
            id=new_id("act", now),
            time=now,
            key=request.key.id,
            operation=request.operation.name,
            path=request.operation.path.format(**request.path) if request.path else request.operation.path,
            request_id=request.request_id,
            changes=msgspec.json.encode(changes).decode(),
            changes_total=total,
        )
        stored.put(db, act, frozenset((*request.path.values(), *(each.name for each in changes))))


def with_acts(operation: Operation) -> Operation:
    """The operation, recorded if it changes something."""
    scope = operation.scope or ""
    if operation.method == "GET" or not scope.endswith(":write") or scope in NO_ACTS:
        return operation
    return dataclasses.replace(operation, handler=_recorded(operation.handler))


def _recorded(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def acting(parts: Parts, request: Request) -> Answer | Stream:
        act = request.act = Act(parts, request)
        token = AROUND.set(act.around)
        try:
            return await handler(parts, request)
        finally:
            act.has_ended = True
            AROUND.reset(token)

    return acting
