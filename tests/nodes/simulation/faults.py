"""What goes wrong in a simulation, and how long nothing may be sent because of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.nodes.simulation.database import IDLE_SECONDS
from tests.nodes.simulation.node import Node
from tests.nodes.simulation.world import CALM_SECONDS, SECONDS, World, Wrong

BEGIN_SECONDS = 20.0
APART_SECONDS = (60.0, 80.0)
CLOSE_SECONDS = 12.0
GONE_SECONDS = 0.02
SILENCE = {"kill": 8.0, "freeze": 20.0, "sleep": 20.0, "fail over": 5.0}
"""The longest silence after a fault that comes alone; after a failover, from the promotion."""


class Faults:
    """Plans the bad days of a world: one fault at a time, or many at once."""

    def __init__(self, world: World, *, apart: bool) -> None:
        self.world, self.chance, self.apart = world, world.chance, apart
        self.kinds: dict[str, Callable[[Node], None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "sleep": self._sleep,
            "cut": self._cut,
            "slow": self._slow,
            "reset": self._reset,
            "hang": self._hang,
            "fail over": self._fail_over,
            "site": self._lose_site,
            "drain": self._drain,
            "storm": self._storm,
        }
        self.last, self.base, self.lone = "", 0.0, False
        world.on_route, world.on_freeze = self._judge_silence, self._not_alone
        world.later(BEGIN_SECONDS, None, self._next)

    def _next(self) -> None:
        world, chance = self.world, self.chance
        pause = chance.uniform(*APART_SECONDS) if self.apart else chance.expovariate(1 / CLOSE_SECONDS)
        if world.now + pause < SECONDS - CALM_SECONDS:
            world.later(pause, None, self._next)
        kind = chance.choice(list(self.kinds))
        session = world.db.sender
        nodes = list(world.nodes.values())
        node = world.nodes[session.node] if session is not None and chance.random() < 0.6 else chance.choice(nodes)
        if not node.running or node.frozen_until > world.now:
            return
        self.last, self.base = kind, world.now
        self.kinds[kind](node)

    def _seconds(self, least: float, most: float) -> float:
        """How long something lasts; everything is well again before the calm end."""
        most = min(most, SECONDS - CALM_SECONDS - self.world.now)
        return max(0.1, self.chance.uniform(min(least, most), most))

    def _unwell(self, node: Node, seconds: float) -> None:
        node.well_since = max(node.well_since, self.world.now + seconds)

    def _kill(self, node: Node) -> None:
        seconds = self._seconds(0.5, 30)
        self.world.say(f"{node.name} is killed, for {seconds:.1f} s{' (it sends)' if node.sends else ''}")
        self._unwell(node, seconds)
        node.frozen_until = 0.0
        self.world.later(GONE_SECONDS, None, node.stop)
        self.world.later(seconds, None, partial(self._back, node))

    def _back(self, node: Node) -> None:
        if not node.running:
            node.start(self.chance.uniform(0.3, 1.5), wants=True)

    def _freeze(self, node: Node, *, sleeps: bool = False) -> None:
        if self.chance.random() < 0.4 and not sleeps:
            node.freezes_at = self.chance.choice(("send", "end"))
            return
        seconds, in_copy, life = self._seconds(2, self.chance.choice((20, 60))), self.chance.random() < 0.5, node.life
        at = self.world.now
        node.frozen_until = at + seconds
        self._unwell(node, seconds)
        if sleeps:
            node.slept += seconds
        self.world.say(f"{node.name} is frozen for {seconds:.1f} s{' (it sends)' if node.sends else ''}")

        def idle() -> None:
            if node.life == life and node.frozen_until == at + seconds and not in_copy:
                self.world.db.end(node.session)

        if seconds > IDLE_SECONDS:
            self.world.later(IDLE_SECONDS, None, idle)

    def _sleep(self, node: Node) -> None:
        self._freeze(node, sleeps=True)

    def _cut(self, node: Node) -> None:
        seconds, session = self._seconds(2, 40), node.session
        node.cut_until = self.world.now + seconds
        self._unwell(node, seconds + 6)
        self.world.say(f"{node.name} is cut off from the database for {seconds:.1f} s")
        if seconds > IDLE_SECONDS:
            self.world.later(self.chance.uniform(11, IDLE_SECONDS), None, lambda: self.world.db.end(session))

    def _slow(self, node: Node) -> None:
        seconds = self._seconds(5, 30)
        node.slow_until = self.world.now + seconds
        self._unwell(node, seconds + 3)
        self.world.say(f"{node.name} is slow for {seconds:.1f} s")

    def _reset(self, node: Node) -> None:
        self.world.say(f"the session of {node.name} is cut")
        node.reset_at = self.world.now
        self.world.db.end(node.session)

    def _hang(self, _: Node) -> None:
        db = self.world.db
        if db.hangs or not db.up or not db.synchronous:
            return
        seconds = self._seconds(2, 60)
        db.hangs = True
        self.world.say(f"the replica is gone: commits hang for {seconds:.1f} s")
        self.world.later(seconds, None, self._free)

    def _free(self) -> None:
        if not self.world.db.hangs:
            return
        self.world.say("the replica is back: commits go on")
        self.base = max(self.base, self.world.now)
        self.world.db.free()

    def _lose_site(self, node: Node) -> None:
        """A node is cut off together with the primary, and the replica is promoted soon; others may start just then."""
        world = self.world
        if not self.apart or any(not each.running for each in world.nodes.values()):
            return
        node.cut_until = world.now + self._seconds(5, 40)
        self._unwell(node, node.cut_until - world.now + 6)
        world.say(f"{node.name} is cut off until {node.cut_until:.3f} s, with the primary")
        for other in world.nodes.values():
            if other is not node and other.frozen_until <= world.now and self.chance.random() < 0.3:
                world.say(f"{other.name} is killed, and started")
                other.stop()
                self._unwell(other, 10)
                other.start(self.chance.uniform(0.3, 6.0), wants=True)
        self._fail_over(node, 4.0)

    def _fail_over(self, _: Node, most: float = 25.0) -> None:
        world, db = self.world, self.world.db
        if not db.up:
            return
        recent = [e.number for e in world.acked[-20:] if e.at > world.now - self.chance.uniform(0, 0.5)]
        lost = [] if db.synchronous else recent
        seconds = self._seconds(0.3, most)
        world.say(f"the primary dies; the replica is promoted after {seconds:.1f} s")
        db.die()

        def promote() -> None:
            world.failovers += 1
            self.base = max(self.base, world.now)
            world.say("the replica is promoted")
            for node in world.nodes.values():
                if max(node.frozen_until, node.cut_until) <= world.now:
                    node.reset_at = world.now
            db.promote(lost)

        world.later(seconds, None, promote)

    def _drain(self, node: Node) -> None:
        node.draining = True
        self.world.say(f"{node.name} is asked to drain")

        def ends() -> None:
            if node.running and node.draining:
                self._kill(node)

        self.world.later(self._seconds(5, 20), None, ends)

    def _storm(self, _: Node) -> None:
        """All nodes are started again at once, as after a loss of power."""
        self.world.say("all nodes are killed and started")
        for node in self.world.nodes.values():
            if node.frozen_until <= self.world.now:
                node.stop()
                self._unwell(node, 3)
                node.start(self.chance.uniform(0.3, 3.0), wants=True)

    def _not_alone(self) -> None:
        self.last = ""

    def _judge_silence(self, acknowledged: float) -> None:
        most, silence = SILENCE.get(self.last), self.world.now - max(acknowledged, self.base)
        if self.apart and most is not None and silence > most:
            raise Wrong(f"silence: {silence:.1f} s after: {self.last}; {most} s are allowed")


def run(seed: int, world: World) -> None:
    """One seed: with even ones faults come one at a time. Raises Wrong."""
    Faults(world, apart=seed % 2 == 0)
    world.run()
