"""Publish: check events as their callers sent them, and hand them to the one writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.intake.schema import Schemas
from tidings.model.access import EVERYTHING, TENANT_RULE, Caller, is_tenant
from tidings.model.errors import Conflict, Invalid, Place
from tidings.model.event import ID_RULE, OWN_TYPES, SUBJECT_RULE, Event, event_time, is_event_id, is_subject
from tidings.model.ids import new_id, new_ids
from tidings.model.moment import Clock, Micros
from tidings.rules.event_types import TYPE_RULE, is_type
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.log.events import IdsTaken, Publication, Stored, append
from tidings.store.writer import Writer

WRITE = "events:write"
EVENTS_MAX = 1_000
ERRORS_MAX = 50
"""The maximum number of errors in a batch that are listed."""
TYPES_KNOWN_MAX = 10_000


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as a caller sends it. `data` is a JSON object, kept byte for byte."""

    type: str
    data: msgspec.Raw
    subject: str | None = None
    id: str | None = None
    time: str | None = None
    tenant: str | None = None


class Publisher:
    """Checks events and publishes them. Belongs to one event loop."""

    def __init__(self, writer: Writer, catalog: Catalog, clock: Clock) -> None:
        self._writer = writer
        self._catalog = catalog
        self._clock = clock
        self._schemas = Schemas()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._types: set[str] = set()
        self.accepted = 0
        """The number of events stored since the server started, not counting repeats."""

    def check(
        self,
        given: Sequence[NewEvent],
        values: Sequence[Any],
        *,
        caller: Caller,
        pointers: Sequence[str],
    ) -> Publication:
        """The publication of some events. `values` are the events as plain values.

        Raises Forbidden, or Invalid with the wrong places (ERRORS_MAX); `pointers`: where the events are in the body.
        """
        scopes = caller.key.scopes
        if WRITE not in scopes and EVERYTHING not in scopes:
            caller.need(WRITE)
        now = self._clock.now()
        wrong: list[Place] = []
        if len(given) == 1 and given[0].id is None:
            # As below, in a fraction of the time: most events arrive one by one, without an id.
            event = self._event(given[0], values[0], pointers[0], wrong, now, caller, new_id("evt", now))
            if not wrong:
                return Publication((event,))
            raise Invalid("The event was not accepted.", errors=wrong)
        events: list[Event] = []
        idents = [new_id("evt", now)] if len(given) == 1 else new_ids("evt", now, len(given))
        for new, value, pointer, ident in zip(given, values, pointers, idents, strict=True):
            events.append(self._event(new, value, pointer, wrong, now, caller, ident))
            if len(wrong) > ERRORS_MAX:
                detail = f"No event was accepted. Only the first {ERRORS_MAX} errors are listed."
                raise Invalid(detail, errors=wrong[:ERRORS_MAX])
        if wrong:
            raise Invalid("The event was not accepted." if len(given) == 1 else "No event was accepted.", errors=wrong)
        if not any(new.id is not None for new in given):
            return Publication(tuple(events))
        untimed = frozenset(index for index, new in enumerate(given) if new.time is None)
        return Publication(tuple(events), ids_given=True, untimed=untimed)

    async def publish(self, publication: Publication, *, single: bool = False) -> Sequence[Event]:
        """Store the events, all or none; returns them as they are stored.

        Raises Conflict if ids are taken, or Unavailable. `single`: the body is one event, not a list of them.
        """
        try:
            loop = self._loop
            if loop is None or loop.is_closed():
                # Asked once: each time it would be a system call.
                loop = self._loop = asyncio.get_running_loop()
            stored: Stored = await self._writer.ask(publication, loop)
        except IdsTaken as wrong:
            raise _placed(wrong, single=single) from None
        self.accepted += stored.fresh
        return stored.events

    async def publish_with(self, publication: Publication, run: Run[Sequence[Event], R], *, single: bool = False) -> R:
        """The same in a job that `run` runs, which may keep its result for a repeat of the request."""
        fresh = 0

        def job(db: Db) -> Sequence[Event]:
            nonlocal fresh
            stored = append(db, [publication], self._clock.now())[0]
            if isinstance(stored, IdsTaken):
                raise _placed(stored, single=single)
            fresh = stored.fresh
            return stored.events

        done = await run(job)
        self.accepted += fresh
        return done

    def _event(
        self,
        new: NewEvent,
        value: Any,
        pointer: str,
        wrong: list[Place],
        now: Micros,
        caller: Caller,
        ident: str,
    ) -> Event:
        kind = new.type
        known = self._catalog.now
        if kind not in self._types or kind in known.change_types:
            self._check_type(kind, pointer, wrong)
        tenant = caller.key.tenant
        if new.tenant is not None:
            tenant = _tenant(new.tenant, tenant, pointer, wrong)
        if new.id is not None and not is_event_id(new.id):
            _say(wrong, f"{pointer}/id", "id", ID_RULE)
        subject = new.subject
        if subject is not None and not is_subject(subject):
            _say(wrong, f"{pointer}/subject", "subject", SUBJECT_RULE)
        time = now if new.time is None else _time(new.time, pointer, wrong)
        if type(value["data"]) is not dict:
            _say(
                wrong,
                f"{pointer}/data",
                "data",
                'data must be an object, such as {"id": 7}, because filters and `fields` refer to its members.',
            )
        else:
            entry = known.event_types.get(kind)
            if entry is not None and entry.schema is not None:
                wrong.extend(self._schemas.check(entry, value["data"], memoryview(new.data), f"{pointer}/data"))
        return Event(
            id=new.id or ident,
            type=kind,
            time=time,
            data=str(memoryview(new.data), "utf-8"),
            tenant=tenant,
            subject=subject,
            actor=caller.key.id,
            request_id=caller.request_id,
        )

    def _check_type(self, kind: str, pointer: str, wrong: list[Place]) -> None:
        if not is_type(kind):
            _say(wrong, f"{pointer}/type", "event_type", TYPE_RULE)
        elif kind.startswith(OWN_TYPES):
            _say(
                wrong,
                f"{pointer}/type",
                "event_type",
                f"Types that begin with {OWN_TYPES} are published by Tidings itself.",
            )
        elif (change := self._catalog.now.change_types.get(kind)) is not None:
            detail = (
                f"Only Tidings itself publishes {kind}, because this type belongs to the collection "
                f"{change.collection}."
            )
            _say(wrong, f"{pointer}/type", "own_event_type", detail)
        else:
            if len(self._types) >= TYPES_KNOWN_MAX:
                self._types.clear()
            self._types.add(kind)


def _placed(wrong: IdsTaken, *, single: bool) -> Conflict:
    """The refusal with the place of each taken id, up to ERRORS_MAX."""
    places = [
        Place(pointer="/id" if single else f"/events/{index}/id", code="conflict", detail=detail)
        for index, detail in wrong.taken[:ERRORS_MAX]
    ]
    more = len(wrong.taken) - len(places)
    return Conflict(f"{wrong.detail} {more} more ids are already taken." if more else wrong.detail, errors=places)


def _tenant(given: str, own: str | None, pointer: str, wrong: list[Place]) -> str:
    if own is not None and given != own:
        _say(wrong, f"{pointer}/tenant", "tenant", "This key can publish only for its own tenant. Leave `tenant` out.")
    elif not is_tenant(given):
        _say(wrong, f"{pointer}/tenant", "tenant", TENANT_RULE)
    return given


def _time(text: str, pointer: str, wrong: list[Place]) -> Micros:
    try:
        return event_time(text)
    except ValueError as said:
        _say(wrong, f"{pointer}/time", "time", str(said))
        return -1


def _say(wrong: list[Place], pointer: str, code: str, detail: str) -> None:
    wrong.append(Place(pointer=pointer, code=code, detail=detail))
