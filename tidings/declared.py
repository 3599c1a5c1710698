"""Creates everything that a file declares before the server accepts requests: collections, connections and links,
hooks and forms."""

from __future__ import annotations

import logging
from typing import Any

from tidings.config import Config
from tidings.control.collections import Wanted, is_safe
from tidings.control.declare.link_plans import WantedLinks
from tidings.control.forms.declared import wanted_forms
from tidings.control.hooks.declared import wanted_hooks
from tidings.model.errors import TidingsError
from tidings.server import Server
from tidings.store.base import StoreError

DECLARE_SECONDS = 3_600.0
"""How many seconds a start may spend on changing collections; large ones take a while."""

log = logging.getLogger("tidings.server")


def declare(server: Server, config: Config) -> None:
    """Create everything that a file declares; called before `run`.

    Raises StoreError if it is refused, or would lose something.
    """
    if config.declares:
        _whole_file(server, config)
    if config.hooks is not None:
        _make_so(server, server.parts.declared_hooks, wanted_hooks(config.hooks), str(config.path))
    if config.forms is not None:
        _make_so(server, server.parts.forms.declared, wanted_forms(config.forms), str(config.path))


def _whole_file(server: Server, config: Config) -> None:
    wish, file, made = Wanted(collections=config.collections or {}), config.path, server.whole_file
    wanted = WantedLinks(links=config.links, connections=config.connections)
    beside = None if wanted == WantedLinks() else wanted
    try:
        shown = server.writer.wait(lambda db: made.apply(db, wish, beside, only_if=is_safe), DECLARE_SECONDS)
    except TidingsError as wrong:
        said = " ".join([wrong.detail, *(each.detail for each in wrong.errors)])
        raise StoreError(f"{file}: {said}") from wrong
    plans = (shown,) if shown.links is None else (shown, shown.links)
    if not shown.applied:
        whys = [f"it would {plan.loses}" for plan in plans if plan.loses]
        why = " ".join(whys or [place.detail for plan in plans for place in plan.refusals])
        what = "collections" if shown.loses or shown.refusals else "links"
        raise StoreError(
            f"{file} changes {what} in a way that needs a decision: {why.rstrip('.')}. To decide, run: "
            f"tidings apply {file} --stopped"
        )
    for step in [step for plan in plans for step in plan.steps]:
        log.info("%s: %s", file, step.says)


def _make_so(server: Server, made: Any, wanted: Any, file: str) -> None:
    try:
        shown = server.writer.wait(lambda db: made.carry_out(db, wanted))
    except TidingsError as wrong:
        raise StoreError(f"{file}: {wrong.detail}") from wrong
    for step in shown.steps:
        log.info("%s: %s", file, step.says)
