"""What runs of several requests need: write jobs, whether the link still exists, and their turn at its gate."""

from __future__ import annotations

from collections.abc import Callable

from tidings.deliver.actions.jobs import Jobs
from tidings.deliver.lanes import Lanes
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.store.catalog import Catalog
from tidings.store.writer import Writer


class Runs:
    """Belongs to the deliver thread."""

    def __init__(
        self,
        writer: Writer,
        catalog: Catalog,
        lanes: Callable[[], Lanes],
        now: Callable[[], Micros],
        hear: Callable[[Callable[[], None]], None],
    ) -> None:
        """`hear`: makes the deliver thread call something; may be called from any thread."""
        self._catalog, self._lanes, self.now, self._hear = catalog, lanes, now, hear
        self._waiting: list[tuple[Micros, Callable[[], None]]] = []
        self.jobs = Jobs(writer, hear)
        self.is_stopping = False

    def is_present(self, link: AnyLink) -> bool:
        """Whether a link is still enabled and unchanged, and the stage is running."""
        now = self._catalog.now.links.get(link.num)
        return now is not None and now.revision == link.revision and now.mode == "enabled" and not self.is_stopping

    def through_gate(self, link: int, go: Callable[[], None]) -> None:
        """Call `go` once the link's gate lets it pass, which is after any pause."""
        now, lane = self.now(), self._lanes().by_link.get(link)
        if lane is None:
            # The link was deleted.
            self._hear(go)
            return
        gate = lane.gate
        at = max(gate.paused_until(now) or now, gate.ready_at(now))
        if at > now:
            self._waiting.append((at, lambda: self.through_gate(link, go)))
        else:
            gate.let_pass(now)
            self._hear(go)

    def turn(self, now: Micros) -> None:
        """Try again what waited until now."""
        self.jobs.retry()
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._waiting += [each for each in waiting if each[0] > now]
            for at, go in waiting:
                if at <= now:
                    go()

    def next_at(self, other: Micros | None) -> Micros | None:
        """When something waits to be tried again, or `other` if that is sooner."""
        found = [at for at, _ in self._waiting] + ([] if other is None else [other])
        return min(found, default=None)

    def move(self, by: Micros) -> None:
        """The clock was set: everything waits as long as before."""
        self._waiting = [(at + by, go) for at, go in self._waiting]
