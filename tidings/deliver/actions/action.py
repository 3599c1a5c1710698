"""What every action can do: prepare a request, send it, judge the result, and say what follows.

The stage knows nothing else about kinds of links. It chooses the action once per lane, when a link is loaded or
edited; whatever does not depend on the event is worked out then. Nothing here waits. Only two things touch the store:
a `FollowUp`, in the transaction that stores the attempt, and an edit of an item, which stores its own attempt
(`edits.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from tidings.deliver.actions.bodies import BodyCache
from tidings.deliver.actions.edits import Edits
from tidings.deliver.actions.jobs import Jobs
from tidings.deliver.actions.keeping.memory import LinkMemory
from tidings.deliver.actions.once import Once
from tidings.deliver.actions.splitting.parts import PartsMade
from tidings.deliver.actions.tokens import Tokens
from tidings.deliver.settle import FollowUp
from tidings.model.calls.connection import Connection
from tidings.model.event import Event, EventType
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.net.http import HttpRequest, Reply
from tidings.rules.deliver.judgement import Judgement


class Carried(Protocol):
    """A delivery that is about to be attempted."""

    number: int
    n: int
    """The number of earlier attempts."""


class SeveralRequests(Protocol):
    """What actions that send several requests need from the stage (deliver/runs.py)."""

    @property
    def jobs(self) -> Jobs:
        """Their write jobs."""

    def now(self) -> Micros:
        """The time of day."""

    def is_present(self, link: AnyLink) -> bool:
        """Whether a link is still enabled and unchanged, and the stage is running."""

    def through_gate(self, link: int, go: Callable[[], None]) -> None:
        """Call `go` once the link's gate lets it pass."""


class Tools(msgspec.Struct, frozen=True):
    """What all actions are made with."""

    send: Callable[[HttpRequest, Callable[[Reply], None]], None]
    """Sends a request by HTTP. Raises ValueError if the request cannot be built."""
    bodies: BodyCache
    edits: Edits
    """Edits items of this server's collections."""
    runs: SeveralRequests
    """Used by actions that send several requests and store their own attempts."""
    connection: Callable[[str], Connection | None]
    """Returns the connection with this name, which says how to reach another system."""
    tokens: Tokens
    """Access tokens of connections."""
    once: Once
    """The keys for which links with `once` have already succeeded."""
    parts: PartsMade
    """The elements of split events: each has its own delivery."""
    memory: LinkMemory
    """The values that links have kept from responses."""
    kind: Callable[[str], EventType | None]
    """Returns an event type's entry in the catalogue. May be called from any thread."""
    later: Callable[[Callable[[], None]], None]
    """Schedules a function to be called in the deliver thread. May be called from any thread."""


class Prepared(msgspec.Struct):
    """A request that is ready to send."""

    request: Any
    """For the action's own `send`."""
    shown: str
    """The request's headers as the attempt shows them: a JSON object with secrets masked."""
    size: int
    """The length of the request's body, in bytes."""
    told: Callable[[Result, Micros], None] | None = None
    """If given, called with the result of the attempt and its time."""


class Result(msgspec.Struct, frozen=True, gc=False):
    """The result of an attempt, judged."""

    outcome: Outcome
    judged: Judgement
    reason: str
    """A sentence for people."""
    status: int | None
    duration_ms: int
    answer: bytes = b""
    """The body of the response; the attempt keeps the beginning of it."""
    wait_seconds: float | None = None
    """How many seconds the other side asked us to wait."""
    disable_because: str | None = None
    """The reason for disabling the link, as a sentence, if the other side wants no more requests."""
    shown: str | None = None
    """What was sent, if that became known only after sending."""
    is_stored: bool = False
    """Whether the attempt was already stored, together with its effects, so that it must not be stored again."""


class Action(Protocol):
    """What one link in its present state does with its deliveries. Belongs to the deliver thread."""

    @property
    def destination(self) -> str:
        """Where it sends, as shown to people."""

    @property
    def follows(self) -> bool:
        """Whether a success can have follow-ups; if not, the events are not kept while they are in flight."""

    def fitting(self, events: Sequence[Event]) -> int:
        """How many of these, starting with the first, fit into one request. At least one."""

    @property
    def line(self) -> Callable[[Event, int], str | None]:
        """If the link is ordered by subject: returns the line that a delivery waits in, given its event and its number.

        None if it waits for no other. Raises StoreError.
        """

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The request for these events and their deliveries, to be sent now.

        Raises ValueError if the link's settings cannot make one.
        """

    def send(self, request: Any, done: Callable[[Any], None]) -> None:
        """Start sending; `done` is called in the deliver thread with what `judge` takes. Raises ValueError."""

    def judge(self, reply: Any, now: Micros) -> Result:
        """The judgement."""

    def follow(self, events: Sequence[Event], reply: Any, now: Micros) -> FollowUp | None:
        """The follow-up of a success, applied in the transaction that stores the attempt."""
