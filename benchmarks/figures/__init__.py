"""The figures, in the order in which they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.context import Context
from benchmarks.figures import (
    attacks,
    backup,
    bulk,
    command,
    console,
    dead,
    fanout,
    flow,
    hooks,
    idle_links,
    imports,
    items,
    kill,
    kill_links,
    latency,
    memory,
    neighbour,
    poison,
    polls,
    pushes,
    standby,
    start,
    stored,
    tallies,
    tracing,
    verify,
)
from benchmarks.table import Row


@dataclass(frozen=True)
class Figure:
    """How a figure is taken, and the rows of the table (see `table.PROMISES`) that it gives."""

    take: Callable[[Context], list[Row]]
    promises: tuple[str, ...]
    is_usual: bool = True
    """Taken if no figures are named."""


FIGURES = {
    "start": Figure(start.start, ("start",)),
    "command": Figure(command.command, ("command-help",)),
    "verify": Figure(verify.verify, ("verify",)),
    "memory": Figure(memory.memory, ("memory-idle", "memory-load")),
    "latency": Figure(latency.latency, ("latency-p50", "latency-p99")),
    "flow": Figure(flow.sqlite, ("flow",)),
    "flow-postgres": Figure(flow.postgres, ("flow-postgres",)),
    "batch": Figure(flow.batch, ("batch",)),
    "fanout": Figure(fanout.fanout, ("fanout",)),
    "items": Figure(items.create, ("item-create",)),
    "items-read": Figure(items.read, ("item-get", "item-list")),
    "items-pages": Figure(items.last_page, ("item-last-page",)),
    "import": Figure(imports.take, ("import",)),
    "hooks": Figure(hooks.hooks, ("hooks", "hooks-p99", "hooks-flood-p99")),
    "pull": Figure(polls.pulls, ("pull", "pull-memory")),
    "push": Figure(pushes.pushes, ("push",), is_usual=False),
    "timers": Figure(polls.timers, ("timers",)),
    "idle-links": Figure(idle_links.idle_links, ("idle-links",), is_usual=False),
    "console": Figure(console.sqlite, ("console-page", "portal-page", "console-bytes"), is_usual=False),
    "console-postgres": Figure(console.postgres, ("console-page-postgres", "portal-page-postgres"), is_usual=False),
    "bulk": Figure(bulk.sqlite, ("bulk", "bulk-p99"), is_usual=False),
    "bulk-postgres": Figure(bulk.postgres, ("bulk-postgres", "bulk-postgres-p99"), is_usual=False),
    "tallies": Figure(tallies.tallies, ("tallies",), is_usual=False),
    "watchers": Figure(console.watchers, ("console-watchers",), is_usual=False),
    "neighbour": Figure(neighbour.neighbour, ("neighbour",)),
    "poison": Figure(poison.poison, ("poison",)),
    "attacks": Figure(attacks.attacks, ("attacks", "attacks-stop")),
    "backup": Figure(backup.backup, ("backup",)),
    "kill": Figure(kill.sqlite, ("kill-lost", "kill-twice")),
    "kill-postgres": Figure(kill.postgres, ("kill-postgres-lost", "kill-postgres-twice")),
    "kill-links": Figure(kill_links.kill_links, ("kill-links-rest", "kill-links-soap"), is_usual=False),
    "standby": Figure(
        standby.standby, ("standby-kill", "standby-frozen", "standby-primary", "standby-lost"), is_usual=False
    ),
    "stored": Figure(stored.stored, ("stored",)),
    "tracing": Figure(tracing.tracing, ("tracing-off", "tracing", "tracing-all"), is_usual=False),
    "dead": Figure(dead.dead, ("dead", "dead-memory")),
}
