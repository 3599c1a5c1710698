"""Trying a link: the exact edit or call that it would make for an event. Nothing is changed, and nothing is sent."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tidings.control.connections.trials import ConnectionTrials
from tidings.control.links import WHOLE, WRITE, Links
from tidings.control.timers.rows import due_event
from tidings.model import outcome as outcomes
from tidings.model.access import Caller
from tidings.model.calls.connection import Connection
from tidings.model.calls.trial import KEY_OF_TRIAL, Observed, Reached
from tidings.model.edit import EditDone, ItemEdit
from tidings.model.errors import NotFound, TidingsError, Unavailable
from tidings.model.event import Event
from tidings.model.link import AnyLink, CallApi, CallLink, SendMail
from tidings.model.moment import Clock
from tidings.model.outcome import Outcome
from tidings.rules import filter
from tidings.rules.calls import sending
from tidings.rules.calls.keeping import SubjectOf
from tidings.rules.calls.mail import Mail, MailTemplate
from tidings.rules.calls.request import CallRequest, CallTemplate
from tidings.rules.edits import EditTemplate, LoopEnds, failure
from tidings.rules.guard import ITEM, MINE, SKIPPED_BY_IF, Guard, names_of
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.signing.calls import CallSigner
from tidings.rules.splitting import SplitTemplate
from tidings.rules.template import Scope, TemplateFailed
from tidings.rules.templates.numbers import read
from tidings.rules.wants import Wants
from tidings.store.base import Db
from tidings.store.links import kept
from tidings.store.log import feed
from tidings.store.readers import Readers
from tidings.store.writer import Writer


class LinkTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What a link would do with an event. `reason`: why it does not want it. `sentence`: the result that it would
    have.
    """

    link: AnyLink
    reason: str | None = None
    edit: ItemEdit | None = None
    call: CallRequest | None = None
    mail: Mail | None = None
    call_headers: dict[str, str] | None = None
    """All headers of the call, with credentials masked."""
    outcome: Outcome | None = None
    sentence: str | None = None
    change: Event | None = None
    observed: Observed | None = None
    """For a link with `emit`: what it read, and the differences from the mirror."""
    elements: tuple[str, ...] | None = None
    """For a link with `split`: the elements that get their own deliveries, each as JSON. All other members are about
    the first element."""


class AsksOthers(Protocol):
    """Trials that ask other systems. Each raises Unavailable."""

    async def observe(self, link: int, event: Event) -> Observed:
        """What a link that observes would do with one page now."""

    async def reach(self, connection: Connection, path: str) -> Reached:
        """Whether a connection works."""


class _Undone(TidingsError):
    """Undoes a write job that succeeded; `done` is its result."""

    def __init__(self, done: EditDone) -> None:
        super().__init__("This was only a trial.")
        self.done = done


class LinkTrials:
    """Tries links on behalf of callers."""

    def __init__(
        self,
        links: Links,
        writer: Writer,
        readers: Readers,
        clock: Clock,
        edit: Callable[[Db, ItemEdit], EditDone],
        connection: Callable[[str], Connection | None],
        trials: AsksOthers,
    ) -> None:
        """`edit` makes an edit in a write job. `connection` finds one by its name. `trials` ask other systems."""
        self._links, self._readers, self._writer, self._clock, self._edit = links, readers, writer, clock, edit
        self._connection, self._trials = connection, trials
        self.connections = ConnectionTrials(links.connections, trials.reach)

    def signing(self, caller: Caller, name: str) -> CallLink:
        """A link that signs its requests with a secret that was made here. Raises NotFound."""
        caller.need(WRITE, WHOLE)
        link = self._links.find(caller, name)
        rule = getattr(link.what, "sign", None)
        if rule is None or not rule.is_made:
            raise NotFound(
                f"No secret was generated for {name}: its requests are not signed, or are signed with a declared "
                "secret."
            )
        return link

    async def stored(self, caller: Caller, name: str, event_id: str) -> LinkTrial:
        """Try a link on a stored event. Raises NotFound."""
        link = self._links.find(caller, name)
        caller.need("events:read")
        event = await self._readers.call(lambda db: feed.by_id(db, event_id, caller.tenant), caller.tenant)
        if event is None:
            raise NotFound(f"There is no event {event_id[:100]}.")
        return await self.given(caller, link.name, event)

    async def due(self, caller: Caller, name: str) -> LinkTrial:
        """Try a link as if it were due now. Raises NotFound, or Invalid if it acts on events."""
        link = self._links.find(caller, name)
        if link.timer is None:
            raise Refused(
                "/event_id", "missing", f"{name} acts on events. To test it, give an `event_id` or an `event`."
            )
        now = self._clock.now()
        return await self.given(caller, name, due_event(link, now, 0, now))

    async def given(self, caller: Caller, name: str, event: Event) -> LinkTrial:
        """Try a link on this event, which need not be stored. Raises NotFound."""
        link = self._links.find(caller, name)
        caller.need(WRITE, WHOLE)
        # Templates may take a while, and the event loop is everyone's.
        reason = await to_thread(_against, link, event)
        try:
            if await to_thread(lambda: Guard(link.what).skips(Scope(event))):
                return LinkTrial(link=link, reason=reason, outcome=outcomes.SKIPPED, sentence=SKIPPED_BY_IF)
        except TemplateFailed as wrong:
            return LinkTrial(link=link, reason=reason, outcome=outcomes.TEMPLATE_FAILED, sentence=str(wrong))
        if link.what.split_by is not None:
            return await self._split(link, event, reason)
        return await self._acted(link, event, reason, {})

    async def _split(self, link: AnyLink, event: Event, reason: str | None) -> LinkTrial:
        """What the link would do with the first element."""
        try:
            found = await to_thread(lambda: SplitTemplate(link.what.split_by or "").fill(Scope(event)))
        except TemplateFailed as wrong:
            return LinkTrial(link=link, reason=reason, outcome=outcomes.TEMPLATE_FAILED, sentence=str(wrong))
        if not found.texts:
            return LinkTrial(
                link=link, reason=reason, outcome=outcomes.SKIPPED, sentence=found.sentence, elements=found.texts
            )
        tried = await self._acted(link, event, reason, {ITEM: read(found.texts[0])}, found.texts[0])
        return msgspec.structs.replace(tried, elements=found.texts)

    async def _acted(
        self, link: AnyLink, event: Event, reason: str | None, more: dict[str, Any], element: str = ""
    ) -> LinkTrial:
        """What the link would do with an event, or with an element of it. `more`: what else its templates see."""
        if isinstance(link.what, CallApi):
            more = more | {MINE: await self._kept(link, event, more)}
        scope = Scope(event, {**more, **sending.auth_scope(self._connection_of(link))})
        if getattr(link.what, "emit", None) is not None:
            found = await self._trials.observe(link.num, event)
            return LinkTrial(link=link, reason=reason, outcome=found.outcome, sentence=found.reason, observed=found)
        if isinstance(link.what, SendMail):
            return await to_thread(self._mailed, link, link.what, scope, reason)
        if isinstance(link.what, CallApi):
            return await to_thread(self._called, link, link.what, scope, reason)
        try:
            edit = await to_thread(lambda: EditTemplate(link).fill(event, scope, element))
        except (LoopEnds, TemplateFailed) as wrong:
            outcome = outcomes.LOOP if isinstance(wrong, LoopEnds) else outcomes.TEMPLATE_FAILED
            return LinkTrial(link=link, reason=reason, outcome=outcome, sentence=str(wrong))

        def job(db: Db) -> None:
            raise _Undone(self._edit(db, edit))

        try:
            await self._writer.call(job)
        except _Undone as undone:
            done = undone.done
            return LinkTrial(
                link=link,
                reason=reason,
                edit=edit,
                outcome=outcomes.OK,
                sentence=done.sentence,
                change=done.event,
            )
        except Unavailable:
            raise
        except TidingsError as wrong:
            outcome, sentence = failure(wrong)
            return LinkTrial(link=link, reason=reason, edit=edit, outcome=outcome, sentence=sentence)
        raise AssertionError("the job always raises")

    async def _kept(self, link: AnyLink, event: Event, more: dict[str, Any]) -> dict[str, Any]:
        """The values kept for the event's subject."""
        try:
            subject = await to_thread(lambda: SubjectOf(link.what).of(Scope(event, more)))
        except TemplateFailed:
            return {}
        if subject is None:
            return {}
        key = kept.KeptKey(kept.space(link.name, link.what.via), event.tenant or "", subject)
        return await self._readers.call(lambda db: kept.of(db, key), event.tenant)

    def _connection_of(self, link: AnyLink) -> Connection | None:
        via = getattr(link.what, "via", None)
        return None if via is None else self._connection(via)

    def _mailed(self, link: AnyLink, what: SendMail, scope: Scope, reason: str | None) -> LinkTrial:
        """The exact mail that it would send."""
        try:
            return LinkTrial(link=link, reason=reason, mail=MailTemplate(what, names=names_of(what)).fill(scope))
        except TemplateFailed as wrong:
            return LinkTrial(link=link, reason=reason, outcome=outcomes.TEMPLATE_FAILED, sentence=str(wrong))

    def _called(self, link: AnyLink, what: CallApi, scope: Scope, reason: str | None) -> LinkTrial:
        """The exact request that it would send."""
        connection = self._connection_of(link)
        try:
            base = None if connection is None else connection.options.base
            template = CallTemplate(what, base, names=(*names_of(what), MINE))
            filled = template.fill(scope)
        except TemplateFailed as wrong:
            failed = outcomes.TEMPLATE_FAILED
            return LinkTrial(link=link, reason=reason, outcome=failed, sentence=str(wrong))
        filled = sending.with_key(filled, KEY_OF_TRIAL)
        secret = sending.secret_headers(connection, names_auth=template.names_auth)
        if what.sign is not None:
            signer = CallSigner(what.sign, what.sealed.sign)
            try:
                filled, more = sending.signed_by(filled, signer, self._clock.now(), KEY_OF_TRIAL)
            except Refused as refused:
                said = f"The request cannot be signed: {refused.detail}"
                return LinkTrial(link=link, reason=reason, outcome=outcomes.TEMPLATE_FAILED, sentence=said)
            secret = secret | more
        headers = sending.shown_headers(filled, secret)
        filled = msgspec.structs.replace(filled, body=sending.shown_body(filled.body))
        return LinkTrial(link=link, reason=reason, call=filled, call_headers=headers)


def _against(link: AnyLink, event: Event) -> str | None:
    """Why the link does not want such an event, as a sentence; None if it does. The link's age does not matter."""
    wants = Wants.of(link)
    if event.target == link.num:
        return None
    reason = wants.refuses_type(event.tenant, event.type)
    document = filter.document(event.type, event.subject, event.data, event.previous, event.changed)
    if reason is None:
        reason = wants.filtered(document)
    return None if reason is None or reason.is_sent else wants.explain(reason, event.type, document)
