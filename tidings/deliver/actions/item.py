"""The item action: an event edits an item of one of this server's collections.

The templates are filled in the deliver thread, the edit is made in a write job (`edits.py`). A failure says nothing
about the link, only about this event and this item (`OF_EDITS` in rules/deliver/judgement.py), so an item link is
never paused after failures, nor disabled. The reasons are in docs/decisions/0035.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidings.deliver.actions.action import Carried, Prepared, Result, Tools
from tidings.deliver.actions.edits import EditReply, Trial
from tidings.deliver.actions.guarding import LineOf, Scopes, scope_with
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import ItemLink
from tidings.model.moment import Micros
from tidings.rules.deliver import judgement
from tidings.rules.edits import EditTemplate, LoopEnds
from tidings.rules.guard import SKIPPED_BY_IF, Guard
from tidings.rules.template import TemplateFailed
from tidings.store.base import StoreError


class ItemAction:
    """Edits items for one link."""

    follows = False

    def __init__(self, link: ItemLink, tools: Tools) -> None:
        self.destination = f"{link.what.edit} {link.what.collection}"
        self._edits = tools.edits
        self._num, self._guard = link.num, Guard(link.what)
        self._template = EditTemplate(link)
        self.line, self._scopes = LineOf(link, tools.parts), Scopes(link, tools.parts)

    def fitting(self, events: Sequence[Event]) -> int:
        """One: the writer makes groups of edits."""
        return 1

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The edit with the event's values, or the reason why there is none."""
        request: Trial | EditReply
        key = None
        try:
            element = self._scopes.element(carried[0].number)
            scope = scope_with(events[0], self._scopes.more(events[0], carried[0].number))
            if not self._guard.is_open:
                if self._guard.skips(scope):
                    return Prepared(EditReply(outcomes.SKIPPED, SKIPPED_BY_IF), "{}", 0)
                key = self._guard.key(scope)
            edit = self._template.fill(events[0], scope, element)
        except LoopEnds as wrong:
            request, shown = EditReply(outcomes.LOOP, str(wrong)), "{}"
        except TemplateFailed as wrong:
            request, shown = EditReply(outcomes.TEMPLATE_FAILED, str(wrong)), "{}"
        except StoreError as wrong:
            request, shown = EditReply(outcomes.EDIT_FAILED, f"The store cannot be read: {wrong.detail}."), "{}"
        else:
            shown = msgspec.json.encode({"edit": edit.word, "collection": edit.collection, "id": edit.item}).decode()
            once = None if key is None else (self._num, key)
            request = Trial(edit, carried[0].number, carried[0].n + 1, now, shown, once)
        return Prepared(request, shown, len(events[0].data))

    def send(self, request: Trial | EditReply, done: Callable[[EditReply], None]) -> None:
        """Hand the edit to the writer."""
        if isinstance(request, EditReply):
            self._edits.answer(request, done)
        else:
            self._edits.submit(request, done)

    def judge(self, reply: EditReply, now: Micros) -> Result:
        """The result of the edit."""
        judged = judgement.OK if reply.outcome is outcomes.OK else judgement.OF_EDITS[reply.outcome]
        return Result(
            reply.outcome, judged, reply.reason, None, reply.duration_ms, reply.answer, is_stored=reply.is_stored
        )

    def follow(self, events: Sequence[Event], reply: EditReply, now: Micros) -> None:
        """Returns nothing: the change's event is stored with the edit."""
