"""Actions: what a link of each kind does with its deliveries.

A new action is one file in this folder and one line in `ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidings.deliver.actions.action import Action, SeveralRequests, Tools
from tidings.deliver.actions.bodies import BodyCache
from tidings.deliver.actions.call import CallAction
from tidings.deliver.actions.edits import Edits
from tidings.deliver.actions.item import ItemAction
from tidings.deliver.actions.keeping.memory import LinkMemory
from tidings.deliver.actions.mail import MailAction
from tidings.deliver.actions.observe import ObserveAction
from tidings.deliver.actions.once import Once
from tidings.deliver.actions.splitting.parts import PartsMade
from tidings.deliver.actions.splitting.split import SplitAction
from tidings.deliver.actions.tokens import Send, Tokens
from tidings.deliver.actions.webhook import WebhookAction
from tidings.model.event import EventType
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.writer import Writer


def _splitting(make: Callable[[Any, Tools], Action]) -> Callable[[AnyLink, Tools], Action]:
    """Wraps the action of links that split events, or did so before they were edited."""

    def made(link: AnyLink, tools: Tools) -> Action:
        action = make(link, tools)
        if link.what.split_by is None and (link.revision == 1 or not tools.parts.has(link.num)):
            return action
        return SplitAction(link, tools, action)

    return made


ACTIONS: Mapping[str, Callable[[Any, Tools], Action]] = {
    "endpoint": WebhookAction,
    "item": _splitting(ItemAction),
    "call": _splitting(lambda link, tools: (CallAction if link.what.emit is None else ObserveAction)(link, tools)),
    "mail": _splitting(MailAction),
}
"""The action of each kind of link (`KINDS` in model/link.py).

An action is created for the link's present state, and again after each edit.
"""


def tools_of(
    send: Send,
    bodies: BodyCache,
    edits: Edits,
    runs: SeveralRequests,
    db: Db,
    writer: Writer,
    catalog: Catalog,
    inbox: Callable[[Callable[[], None]], None],
    now: Callable[[], Micros],
) -> Tools:
    """The tools that all actions are made with. `db`: a reader; `inbox`: makes the deliver thread call something."""

    def kind(name: str) -> EventType | None:
        return catalog.now.event_types.get(name)

    tokens = Tokens(db, writer, catalog.tokens, send, inbox, now)
    return Tools(
        send, bodies, edits, runs, catalog.connection, tokens, Once(db), PartsMade(db), LinkMemory(db), kind, inbox
    )
