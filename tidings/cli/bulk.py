"""Acts on many deliveries at once: they are counted first, then the server runs a durable job, watched to its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import typer

from tidings.cli.session import Session
from tidings.cli.terminal.sentences import counted
from tidings.client import calls
from tidings.client.client import Json

LOOK_SECONDS = 0.2
INTERRUPTED = 130
_DONE = {"retry": "retried", "cancel": "cancelled"}


def in_bulk(out: Session, act: str, body: Mapping[str, Any], *, dry_run: bool) -> None:
    """Retry or cancel all deliveries that match `body`, after saying how many there are."""
    path = f"/v1/deliveries:{act}"
    count = out.client.exchange(calls.create(path, {**body, "dry_run": True})).value()
    more = "+" if count["count_is_more"] else ""
    fit = f"{count['count']:,}+ deliveries" if more else counted(count["count"], "delivery", "deliveries")
    if dry_run or not count["count"]:
        out.answer(count, lambda: out.say(f"{fit} would be {_DONE[act]}."))
        return
    out.say(f"{fit} will be {_DONE[act]}.")
    # Deliveries created after the count are left alone. Servers of earlier versions do not return `until`.
    started = {**body, "until": count["until"]} if "until" in count else dict(body)
    ended = watch(out, "working", out.client.exchange(calls.create(path, started)).value())
    done = counted(ended["sent"], "delivery", "deliveries")
    were = "was" if ended["sent"] == 1 else "were"
    out.answer(ended, lambda: out.say(f"{ended['id']} is {ended['state']}: {done} {were} {_DONE[act]}."))


def watch(out: Session, what: str, job: Json) -> Json:
    """Poll a job until it has ended; returns its last state. `what`: the label of the progress bar."""
    try:
        with out.progress(what, job["total"]) as show:
            while job["state"] == "running":
                show(job["looked_at"])
                time.sleep(LOOK_SECONDS)
                job = out.client.replay(job["id"])
            show(job["looked_at"])
    except KeyboardInterrupt:
        out.say(f"{job['id']} continues on the server.")
        raise typer.Exit(INTERRUPTED) from None
    return job
