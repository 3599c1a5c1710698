"""One node of the simulation: it decides by the real rules, and does everything else by the model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.nodes.simulation.database import Event, Row, Session
from tidings.rules.nodes.beats import BEAT_SECONDS, HEARD_SECONDS, PROOF_SECONDS, Line, Patience, Peer, Proof, ahead

if TYPE_CHECKING:
    from tests.nodes.simulation.world import World

SPEAK_BEATS = 3
CONNECT_SECONDS = 5.0
AGAIN_SECONDS = 0.5
BEATEN_SECONDS = 2 * BEAT_SECONDS
CALM = 540.0
"""From this second on every endpoint takes what it gets."""
FAILS = 0.25
"""The share of first requests that an endpoint refuses: the next try is made from memory."""


class Node:
    """A process, its place among the others, and what it remembers."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.db = world, name, world.db
        self.life = 0
        """Counts its starts: what an earlier one planned does not happen."""
        self.running = False
        self.frozen_until = 0.0
        self.cut_until = 0.0
        self.slow_until = 0.0
        self.well_since = 0.0
        """Since when nothing has been wrong with it."""
        self.reset_at = -1e9
        self.slept = 0.0
        self.offset = world.chance.uniform(0, 1e6)
        self.in_copy = False
        self.draining = False
        self.freezes_at = ""
        self.session: Session | None = None
        self.sends = False
        self.restarts = 0
        self.version = self.beats = 0
        self.is_routing = False
        self.waiting: dict[int, float] = {}
        self.proof, self.patience, self.line = Proof(), Patience(), Line()

    def clock(self) -> float:
        """Its clock that nobody sets."""
        return self.world.now + self.offset - (self.slept if self.world.variant.clock_sleeps else 0.0)

    def reaches(self) -> bool:
        """Whether it can talk to the database."""
        return self.db.up and self.world.now >= self.cut_until

    def start(self, boot: float, *, wants: bool) -> None:
        """It starts, or starts again in another role, within `boot` seconds."""
        self.life += 1
        self.running = True
        self.sends, self.session, self.waiting = False, None, {}
        self.proof, self.patience, self.line = Proof(), Patience(), Line()
        self.beats, self.is_routing = 0, False
        self.world.later(boot, self, partial(self.open, wants))

    def open(self, wants: bool) -> None:
        """Take its session, and the sender's lock with it if it wants to and can."""
        if not self.reaches():
            self.world.later(1.0, self, partial(self.open, wants))
            return
        variant, db, now = self.world.variant, self.db, self.world.now
        if wants and db.sender is None and not variant.starts_at_once and db.sent_before(self.name, now, PROOF_SECONDS):
            self.world.later(0.1, self, partial(self.open, wants))
            return
        self.session, self.version = self.db.connect(self.name), self.db.version
        if wants and self.db.sender is None:
            self._lead()
        self.db.gives_turn(self.name)
        self.beat()

    def _lead(self) -> None:
        assert self.session is not None
        self.db.sender, self.db.wrote, self.sends = self.session, self.name, True
        self.db.wrote_on = self.db.timeline
        self.waiting = dict.fromkeys(self.db.unsettled(), self.world.now)
        self.world.say(f"{self.name} is the sender")

    def stop(self) -> None:
        """It is gone; the kernel closes its sockets."""
        self.draining = False
        self.db.gives_turn(self.name)
        self.life += 1
        self.running, self.sends = False, False
        self.db.end(self.session)
        self.session = None

    def again(self, *, wants: bool) -> None:
        """Start again within the process, for another role."""
        self.restarts += 1
        self.world.restarted()
        turn, draining = self.db.turn, self.draining
        self.stop()
        self.db.turn, self.draining = turn, draining
        self.start(self.world.chance.uniform(0.3, 1.5), wants=wants)

    def beat(self) -> None:
        """Once a second: this node lives."""
        if self.world.now == self.frozen_until:
            # Its other threads wake at the same moment, and need nobody's answer.
            self.world.later(0.01, self, self.beat)
            return
        self.beats += 1
        if not self.reaches():
            self.world.later(CONNECT_SECONDS if self.db.up else BEAT_SECONDS, self, self.beat)
            return
        asked = self.clock()
        if self.world.now < self.slow_until:
            delay = self.world.chance.uniform(0.02, 1.5)
            self.world.later(delay, self, partial(self._beat_there, asked, delay))
        else:
            self._beat_there(asked, 0.0)

    def _beat_there(self, asked: float, delay: float) -> None:
        session = None if self.session is None else self.session.number
        seen, sends = self.world.now, self.sends
        failover = self.world.failovers
        if self.db.up and not self.db.hangs and not delay:
            self.db.rows[self.name] = Row(seen, session, sends, self.draining)
            self._beaten(asked, True, failover)
            return

        def change() -> None:
            self.db.rows[self.name] = Row(seen, session, sends, self.draining)

        def answered(committed: bool) -> None:
            if delay or seen != self.world.now:
                self.world.later(delay, self, partial(self._beaten, asked, committed, failover))
            else:
                self._beaten(asked, committed, failover)

        self.db.commit(None, change, answered)

    def _beaten(self, asked: float, committed: bool, failover: int) -> None:
        self.world.later(BEAT_SECONDS, self, self.beat)
        if not committed or not self.reaches():
            return
        variant, db, now = self.world.variant, self.db, self.world.now
        self.patience.beaten(self.clock(), failover, variant.frozen)
        may_end = variant.ends_without_own_beats or self.patience.may_end(variant.frozen)
        if may_end and db.has_frozen(now, variant.frozen):
            if self.freezes_at == "end":
                self.world.freeze_here(self)
            self.world.later(0.003, self, self._end_frozen)
        if self.sends:
            self._prove(asked)
        elif self.session is not None and db.sender is None:
            self._look()
        else:
            self.line.taken()
        if self.beats % SPEAK_BEATS == 0 and self.session is not None and not self.session.alive:
            self._reconnect()

    def _prove(self, asked: float) -> None:
        holder = self.db.sender
        if holder is not None and holder is self.session:
            self.proof.found(asked, holder.number, self.world.variant.proof)
            if self.draining and any(peer.seconds < HEARD_SECONDS and not peer.draining for peer in self._heard()):
                self.world.say(f"{self.name} drains: it hands over")
                self.again(wants=False)
                return
        elif holder is not None:
            self.proof.lost()
        self.turn()

    def _heard(self) -> list[Peer]:
        now = self.world.now
        return [
            Peer(name, now - row.seen, row.draining)
            for name, row in self.db.rows.items()
            if name != self.name and row.session is not None and not row.sends
        ]

    def _look(self) -> None:
        """Nobody sends: one after another tries to, and nobody else does until it has started."""
        clock = self.clock()
        if not self.patience.may_try(clock):
            self.line.taken()
            return
        before = ahead(Peer(self.name, 0.0, self.draining), self._heard())
        if self.line.is_my_turn(clock, before) and self.db.takes_turn(self.name, self.world.now):
            self.world.say(f"{self.name} has its turn to become the sender, {before} are ahead of it")
            self.again(wants=True)

    def _end_frozen(self) -> None:
        """Its statement arrives at the database, which checks it with its own clock."""
        db, now, variant = self.db, self.world.now, self.world.variant
        if not self.reaches():
            return
        mine = db.rows.get(self.name)
        if not variant.ends_without_own_beats and (mine is None or mine.seen <= now - BEATEN_SECONDS):
            return
        for session in db.frozen(now, variant.frozen):
            self.world.ends(self, session)
            db.end(session)

    def _reconnect(self) -> None:
        """Its session is gone: take another, and find out whether what it remembers still counts."""
        if not self.reaches():
            return
        db = self.db
        db.end(self.session)
        session = self.session = db.connect(self.name)
        if not self.sends:
            return
        if db.sender is None and db.wrote == self.name:
            db.sender, now = session, self.world.now
            # What it has committed without an answer, it reads again.
            self.waiting.update((number, now) for number in db.unsettled() if number not in self.waiting)
            self.world.say(f"{self.name} has its place back")
        else:
            self.world.say(f"{self.name} finds that {db.wrote} sends")
            self.again(wants=False)

    def publish(self, event: Event) -> None:
        """A call arrives."""
        if self.session is None or not self.reaches():
            self._reconnect_soon()
            return
        if not self.session.alive:
            self._reconnect()
            return
        if self.world.variant.numbers_early:
            event.number = self.db.number()
        pause = self.world.chance.uniform(0.0003, 0.02)
        if self.world.now < self.slow_until:
            pause += self.world.chance.uniform(0.02, 1.5)
        self.world.later(pause, self, partial(self._commit_event, event))

    def _reconnect_soon(self) -> None:
        if self.session is not None and not self.session.alive:
            self.world.later(AGAIN_SECONDS, self, self._reconnect)

    def _commit_event(self, event: Event) -> None:
        if self.session is None or not self.reaches():
            return
        life = self.life

        def answered(committed: bool) -> None:
            if committed and life == self.life and self.world.now >= max(self.frozen_until, self.cut_until):
                self.world.acknowledged(event)
            self.world.wake_sender()

        self.db.commit(self.session, partial(self.db.append, event), answered)

    def turn(self) -> None:
        """The sender routes what was committed, then sends what is due."""
        if not self.sends or self.session is None or not self.reaches():
            return
        if self.world.variant.catalog_early:
            self.version = self.db.version
            self.world.later(0.004, self, self._route)
        else:
            self._route()

    def _route(self) -> None:
        db, session = self.db, self.session
        if not self.sends or session is None or not self.reaches():
            return
        if not session.alive:
            self._reconnect()
            return
        first, last = db.routed, db.head
        if last > first and not self.is_routing:
            self.is_routing = True
            events = [db.events[n] for n in range(first + 1, last + 1) if n in db.events]
            if not self.world.variant.catalog_early:
                self.version = db.version
            version = self.version

            def routed() -> None:
                self.world.routes(self, session, first, last, events, version)

            def answered(committed: bool) -> None:
                self.is_routing = False
                if committed:
                    now = self.world.now
                    self.waiting.update((event.number, now) for event in events)

            db.commit(session, routed, answered)
        self._deliver()

    def _deliver(self) -> None:
        now = self.world.now
        due = [number for number, at in self.waiting.items() if at <= now]
        session = None if self.session is None else self.session.number
        if not due or not self.proof.holds(self.clock(), session):
            return
        if self.freezes_at == "send":
            self.world.freeze_here(self)
        self.world.later(0.005, self, partial(self._send, due, now))

    def _send(self, due: list[int], checked: float) -> None:
        """One turn, that was under way when it was checked whether this node may send."""
        chance, now, done = self.world.chance, self.world.now, []
        self.world.sends(self, due, checked)
        for number in due:
            if now < CALM and chance.random() < FAILS:
                pause = chance.uniform(1.0, 20.0)
                self.waiting[number] = now + pause
                self.world.later(pause, self, self._deliver)
            else:
                self.waiting.pop(number, None)
                done.append(number)
        session = self.session
        if not done:
            return

        def settled() -> None:
            if self.db.sender is session:
                self.db.settled.update(done)

        def answered(committed: bool) -> None:
            if not committed or session is not self.db.sender:
                now = self.world.now
                self.waiting.update(dict.fromkeys(done, now + AGAIN_SECONDS))

        self.db.commit(session, settled, answered)
