"""What every action can do: prepare what is to be sent, send it, judge what came of it, and say what follows.

The stage knows nothing else of a kind of link. It chooses the action once for each lane, when a link is loaded or
edited, so whatever does not depend on the event is worked out there. Nothing here waits, and nothing touches the store
except a `FollowUp`, in the transaction that stores the attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from tidings.deliver.actions.bodies import BodyCache
from tidings.deliver.settle import FollowUp
from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.net.http import HttpRequest, Reply
from tidings.rules.deliver.judgement import Judgement


class Tools(msgspec.Struct, frozen=True):
    """What actions are made with, the same for all of them."""

    send: Callable[[HttpRequest, Callable[[Reply], None]], None]
    """The way out by HTTP. Raises ValueError if the request cannot be built."""
    bodies: BodyCache


class Prepared(msgspec.Struct, frozen=True):
    """A request that is ready to leave."""

    request: Any
    """For the action's own `send`."""
    shown: str
    """Its headers as the attempt shows them: a JSON object, secrets masked."""
    size: int
    """The length of its body, in bytes."""


class Result(msgspec.Struct, frozen=True, gc=False):
    """What came of an attempt, judged."""

    outcome: Outcome
    judged: Judgement
    reason: str
    """A sentence for people."""
    status: int | None
    duration_ms: int
    answer: bytes = b""
    """What came; the attempt keeps the beginning of it."""
    wait_seconds: float | None = None
    """How long the other side asked us to wait."""
    disable_because: str | None = None
    """The other side wants no more: why the link is disabled, in a sentence."""


class Action(Protocol):
    """What is done with the deliveries of one link, as the link is now. Belongs to the deliver thread."""

    @property
    def destination(self) -> str:
        """Where it sends, for people."""

    @property
    def follows(self) -> bool:
        """Whether anything may follow from a success; else the events are not kept while they are in flight."""

    def fitting(self, events: Sequence[Event]) -> int:
        """How many of these, from the first on, may travel in one request. At least one."""

    def prepare(self, events: Sequence[Event], now: Micros) -> Prepared:
        """The request for these events. Raises ValueError if the link's settings cannot make one."""

    def send(self, request: Any, done: Callable[[Any], None]) -> None:
        """Begin; `done` is called in the deliver thread with whatever `judge` reads. Raises ValueError."""

    def judge(self, reply: Any, now: Micros) -> Result:
        """What came of it."""

    def follow(self, events: Sequence[Event], reply: Any, now: Micros) -> FollowUp | None:
        """What a success brings about, applied in the transaction that stores the attempt."""
