"""Ten minutes of some nodes on one database: virtual time, callers, and what must never happen."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.nodes.simulation.database import Database, Event, Session
from tests.nodes.simulation.node import Node
from tests.nodes.simulation.variant import Variant
from tidings.rules.nodes.beats import PROOF_SECONDS

SECONDS = 600.0
CALM_SECONDS = 60.0
"""At the end nothing goes wrong any more: by then everything has to be as it should."""
STREAMS = 3
PUBLISH_SECONDS = 2.0
"""Between two events of a stream, on average."""
GIVE_UP_SECONDS = 2.0
PAIRS_SECONDS = 25.0
RESET_SECONDS = PROOF_SECONDS
"""If nobody but the network, or an operator, has ended the session of a node, it may go on until its proof has run out
or a beat tells it: with what waits for a retry, as if it had been killed a moment later. It cannot settle that."""
STILL_SECONDS = 15.0
LAST_SECONDS = 3.0
"""What is published so late need not have arrived at the end."""


class Wrong(Exception):
    """An invariant does not hold; the text says which and how."""


@dataclass(slots=True)
class Stream:
    """A caller that publishes one event after another, wherever it is let in."""

    number: int
    turn: int = 0
    acknowledged: int = 0
    waits_for: Event | None = None


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, variant: Variant, *, tells: bool = False) -> None:
        self.chance, self.variant = random.Random(seed), variant
        self.now, self.made = 0.0, 0
        self.story: list[str] | None = [] if tells else None
        self.plan: list[tuple[float, int, Node | None, int, Callable[[], None]]] = []
        self.db = Database(synchronous=not variant.asynchronous)
        self.nodes = {f"n{number:02}": Node(self, f"n{number:02}") for number in range(self._count())}
        self.streams = [Stream(number) for number in range(STREAMS)]
        self.failovers = self.version = 0
        self.leads: tuple[Session | None, float] = (None, 0.0)
        """The session that sent last, and since when."""
        self.restarted_at = 0.0
        self.restarts = 0
        self.acked: list[Event] = []
        self.on_freeze: Callable[[], None] = lambda: None
        self.on_route: Callable[[float], None] = lambda longest: None

    def _count(self) -> int:
        """2 to 100 nodes, mostly few."""
        return min(100, int(2 / (1 - self.chance.random()) ** 0.6))

    def later(self, seconds: float, node: Node | None, what: Callable[[], None]) -> None:
        """Plan something; a node does it only in the life in which it was planned, and not while it is frozen."""
        self.made += 1
        heapq.heappush(self.plan, (self.now + seconds, self.made, node, node.life if node else 0, what))

    def say(self, text: str) -> None:
        """A line of the story."""
        if self.story is not None:
            self.story.append(f"{self.now:8.3f} s  {text}")

    def run(self, until: float = SECONDS) -> None:
        """Let the time pass. Raises Wrong."""
        for each in self.nodes.values():
            each.start(self.chance.uniform(0.3, 1.5), wants=True)
        for stream in self.streams:
            self.later(self.chance.uniform(0, 2), None, lambda stream=stream: self._publish(stream))  # type: ignore[misc]
        self.later(self.chance.expovariate(1 / PAIRS_SECONDS), None, self._pair)
        plan, pop, push = self.plan, heapq.heappop, heapq.heappush
        while plan and plan[0][0] <= until:
            at, order, node, life, what = pop(plan)
            if node is not None:
                if node.life != life:
                    continue
                if node.frozen_until > at:
                    push(plan, (node.frozen_until, order, node, life, what))
                    continue
            self.now = at
            what()
        self.now = until
        self._judge()

    def _publish(self, stream: Stream) -> None:
        if self.now < SECONDS - STILL_SECONDS:
            self.later(self.chance.expovariate(1 / PUBLISH_SECONDS), None, lambda: self._publish(stream))
        before = stream.waits_for
        if before is not None and not before.acknowledged and self.now - before.at < GIVE_UP_SECONDS:
            return
        self.publish(stream, self._any())

    def publish(self, stream: Stream, node: Node | None) -> None:
        """A caller's next event."""
        if node is None:
            return
        stream.turn += 1
        event = Event(stream.number, stream.turn, stream.acknowledged, self.version, self.now)
        stream.waits_for = event
        self.later(0.0002, node, lambda: node.publish(event))

    def _any(self) -> Node | None:
        there = [node for node in self.nodes.values() if node.running]
        return self.chance.choice(there) if there else None

    def _pair(self) -> None:
        """An endpoint is made at one node, and an event published at another as soon as that is acknowledged."""
        if self.now < SECONDS - STILL_SECONDS:
            self.later(self.chance.expovariate(1 / PAIRS_SECONDS), None, self._pair)
        first, second = self._any(), self._any()
        if first is None or second is None or not first.reaches() or self.db.hangs:
            return
        self.publish(self.streams[0], first)

        def made() -> None:
            if self.db.up and not self.db.hangs:
                self.version = self.db.version = self.db.version + 1
                self.publish(self.streams[1], second)

        self.later(self.chance.uniform(0.0, 0.03), None, made)

    def acknowledged(self, event: Event) -> None:
        """A caller was told that its event is stored."""
        event.acknowledged, event.at = True, self.now
        if event.number <= event.after:
            raise Wrong(f"I5: event {event.number} was published after {event.after} was acknowledged")
        stream = self.streams[event.stream]
        stream.acknowledged = max(stream.acknowledged, event.number)
        self.acked.append(event)

    def wake_sender(self) -> None:
        """The others tell the sender that something was committed."""
        session = self.db.sender
        if session is not None and (node := self.nodes[session.node]).session is session:
            self.later(0.003, node, node.turn)

    def routes(self, node: Node, session: Session, first: int, last: int, events: list[Event], version: int) -> None:
        """A transaction of the route stage is committed."""
        if self.db.sender is not session:
            raise Wrong(f"I3: {node.name} routes without the sender's lock")
        if self.db.routed != first:
            raise Wrong(f"I2: {node.name} routes from {first}, but {self.db.routed} was routed")
        self.db.routed = last
        for event in events:
            event.routed += 1
            if event.routed > 1:
                raise Wrong(f"I2: event {event.number} was routed twice")
            if version < event.needs:
                raise Wrong(f"I6: event {event.number} was routed with version {version}, it needs {event.needs}")
            if event.acknowledged:
                self.on_route(event.at)

    def sends(self, node: Node, numbers: list[int], checked: float) -> None:
        """Requests leave a node, which has found at `checked` that it may send."""
        leader, since = self.leads
        holder = self.db.sender
        late = checked > max(since, node.reset_at + RESET_SECONDS)
        if holder is not None and holder.node != node.name and leader is holder and late:
            raise Wrong(f"I10: {node.name} sends, by a check at {checked:.3f}; {holder.node} does since {since:.3f}")
        if holder is not None and holder is node.session and leader is not holder:
            self.leads = holder, self.now
        for number in numbers:
            if (event := self.db.events.get(number)) is not None:
                event.sent += 1

    def ends(self, by: Node, session: Session) -> None:
        """A node ends another one's session."""
        other = self.nodes[session.node]
        self.say(
            f"{by.name} ends {other.name}, which was not heard of for {self.now - self.db.rows[other.name].seen:.1f} s"
        )
        if other.well_since < self.now - self.variant.frozen:
            raise Wrong(f"I12: {by.name} ends {other.name}, which has been well since {other.well_since:.1f} s")

    def restarted(self) -> None:
        """A node has begun again in another role."""
        self.restarts += 1
        self.restarted_at = self.now

    def freeze_here(self, node: Node) -> None:
        """It is stopped right now."""
        node.freezes_at = ""
        if self.now > SECONDS - CALM_SECONDS - 5:
            return
        seconds = self.chance.uniform(5, min(60, SECONDS - CALM_SECONDS - self.now))
        node.frozen_until = node.well_since = self.now + seconds
        self.say(f"{node.name} is frozen for {seconds:.1f} s, at a bad moment")
        self.on_freeze()

    def _judge(self) -> None:
        for event in self.acked:
            if event.at > self.now - LAST_SECONDS:
                continue
            if self.db.events.get(event.number) is not event:
                raise Wrong(f"I1: event {event.number} was acknowledged, and is lost")
            if event.routed != 1 or not event.sent:
                raise Wrong(f"I2: event {event.number} was routed {event.routed} times, and sent {event.sent} times")
        if self.db.sender is None:
            raise Wrong("I14: nobody sends in the end")
        if self.restarted_at > self.now - STILL_SECONDS:
            raise Wrong(f"I14: nodes still start again, {self.restarts} times by now")
