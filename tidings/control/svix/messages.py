"""Messages: which events of a tenant are messages of its application; an `eventId` is used only once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence

from tidings.control.deliveries import DeliveryTrace
from tidings.control.reading import readable
from tidings.model.access import Caller, Tenant
from tidings.model.errors import Conflict, NotFound
from tidings.model.event import OWN_TYPES, Event
from tidings.store.base import Db, R, Run
from tidings.store.log import feed
from tidings.store.log.lists import DeliveryRow
from tidings.store.readers import Readers

Fits = Callable[[Event], bool]


def is_message_of(tenant: Tenant) -> Fits:
    """Whether an event is a message of this application."""
    # A tenant's events outlive it, but do not belong to an application that is made again under the same uid.
    since = 0 if tenant.notes is None else tenant.created
    return lambda event: not event.type.startswith(OWN_TYPES) and event.created >= since


async def find(readers: Readers, caller: Caller, tenant: Tenant, ident: str) -> Event:
    """A message by its id or eventId. Raises NotFound."""
    whose = readable(caller, tenant.id)
    event = await readers.call(lambda db: feed.by_id(db, ident, whose), caller.tenant)
    if event is None or not is_message_of(tenant)(event):
        raise NotFound(f"There is no message {ident[:100]}.")
    return event


def unless_there(event: Event, run: Run[Sequence[Event], R]) -> Run[Sequence[Event], R]:
    """A `run` whose jobs raise Conflict if there is an event with this id, even the same one."""

    def checked(job: Callable[[Db], Sequence[Event]]) -> Awaitable[R]:
        def store(db: Db) -> Sequence[Event]:
            if feed.by_id(db, event.id, event.tenant) is not None:
                raise Conflict(f"The application already has a message with the eventId {event.id}.")
            return job(db)

        return run(store)

    return checked


def sent_before(rows: Sequence[DeliveryRow]) -> DeliveryRow:
    """The delivery to repeat. Raises Conflict if there is none."""
    if not rows:
        raise Conflict(
            "The endpoint did not select this message when it was published, so there is no delivery that could be "
            "sent again."
        )
    return rows[0]


def attempt_of(trace: DeliveryTrace, event: Event, n: str, webhooks: Container[int]) -> int:
    """The index of an attempt of this message, by its number. `webhooks`: the numbers of its application's endpoints.

    Raises NotFound.
    """
    for index, attempt in enumerate(trace.attempts):
        if trace.row.event == event.seq and str(attempt.n) == n and trace.row.link in webhooks:
            return index
    raise NotFound("This message has no such attempt.")
