"""Several processes that have joined one another on one database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from tidings.cli.commands import tree
from tidings.store.engines import nodes
from tidings.store.engines.opening import shared_engine
from tidings.testing import Api, ProcessServer, until

KEY = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy1mb3ItdGVzdHM="
EVENT = {"type": "step", "data": {}}


class Node(ProcessServer):
    """One that is started by hand."""

    def __init__(self, folder: Path, database: str, **settings: Any) -> None:
        super().__init__(folder, database=database, **{"join": True, "secret_key": KEY, **settings})

    def __enter__(self) -> Node:
        return self

    def status(self, path: str = "/readyz") -> int:
        """Of a call without a key; 0: nobody answers."""
        try:
            return self.api.with_key(None).call("GET", path).status
        except OSError:
            return 0


@contextlib.contextmanager
def joined(folder: Path, database: str, count: int = 2, **settings: Any) -> Iterator[list[Node]]:
    """Several, all started at once, and ready. The first two are not told apart: `sender` says who sends."""
    with ExitStack() as stack:
        made = [stack.enter_context(Node(folder / f"n{each}", database, **settings)) for each in range(count)]
        try:
            for each in made:
                each.launch()
            for each in made:
                each.wait_until_ready()
            yield made
        finally:
            for each in made:
                each.kill()


def seen(database: str) -> list[nodes.Seen]:
    """What `tidings nodes` lists."""
    db = shared_engine(database).reader()
    try:
        return nodes.seen(db)
    finally:
        db.close()


def roles(database: str) -> list[str]:
    """What the nodes that were heard of lately do, without those whose session has ended."""
    return sorted(each.role for each in seen(database) if each.role != "gone")


def sender(database: str) -> str | None:
    """The address of the node that sends."""
    return next((each.address for each in seen(database) if each.role == "sends"), None)


def split(database: str, made: list[Node]) -> tuple[Node, list[Node]]:
    """The node that sends, and the others."""
    until(lambda: sender(database) is not None, "one sends")
    address = sender(database)
    return next(each for each in made if each.url == address), [each for each in made if each.url != address]


def drained(node: ProcessServer, database: str, which: str, *more: str) -> Result:
    """`tidings nodes drain`, on the machine of a node: the options may stand before the command, or after it."""
    command = ["nodes", "--database", database, "drain", which, "--data", str(node.folder / "data"), *more]
    return CliRunner().invoke(tree(["nodes"]), command)


def published(api: Api, count: int) -> list[str]:
    """The ids of events that were acknowledged."""
    return [api.publish("step") for _ in range(count)]


def is_soon(there: Callable[[], bool], what: str, seconds: float) -> float:
    """Wait until something is so, and return how long that took; fails after `seconds`."""
    began = nodes.uptime()
    until(there, what, seconds)
    return nodes.uptime() - began
