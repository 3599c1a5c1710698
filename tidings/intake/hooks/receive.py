"""One request to a hook, from its bytes to the response.

The order of work: an unsigned handshake is answered, the signature is verified, a signed handshake is answered, the
body becomes an event's data, and one transaction stores the receipt and the event, unless the delivery was already
received, which the receipt's unique key detects. The response waits for that commit and nothing else. Refusals are
answered at once and kept a moment later (refusals.py), so that an impostor costs less than a sender.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import msgspec

from tidings.intake.beside import Beside
from tidings.intake.hooks.fetched import Fetched
from tidings.intake.hooks.judge import BESIDE_BYTES, Judged, judge
from tidings.intake.hooks.ready import ReadyHook, ReadyHooks
from tidings.intake.hooks.refusals import HookRefusals
from tidings.intake.publish import NewEvent, Publisher
from tidings.model.access import Caller
from tidings.model.errors import Invalid, NotAllowed, Unavailable
from tidings.model.event import Event
from tidings.model.hook import Hook, Receipt
from tidings.model.ids import made_at, new_id
from tidings.model.moment import SECOND, Clock
from tidings.rules import schemes
from tidings.rules.hooks import naming
from tidings.rules.hooks.data import data_of
from tidings.rules.hooks.emitting import Emitted, EventTemplates
from tidings.rules.hooks.masking import kept, masked
from tidings.rules.reading import jsontext
from tidings.rules.schemes import HandshakeAnswer, HookReply, HookRequest
from tidings.rules.schemes.verdict import Unfit
from tidings.rules.share import Share
from tidings.rules.template import TemplateFailed
from tidings.store import receipts
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.jobs import NoSavepoint
from tidings.store.log.events import WithEvents
from tidings.store.receipts import ReceiptHeads
from tidings.store.share_queue import ShareQueue
from tidings.store.writer import Writer

AT_ONCE_MAX = 512
"""The maximum number of hook requests given to the writer at a time, so that other writes need not wait long. The
other requests wait; tenants take turns."""
WAITING_MAX = 20_000
RETRY_AFTER_SECONDS = 2.0
DETAIL_CHARS_MAX = 1_000

_NOTHING = Emitted(None, None, None)
_TRY_AGAIN = HookReply(status=503, headers={"Retry-After": "60"})
log = logging.getLogger("tidings.hooks")


class HookAnswer(NamedTuple):
    """The response to the sender, and the result of its request, for the metrics."""

    status: int
    headers: dict[str, str]
    body: bytes
    verdict: str
    """`accepted`, `repeated`, `handshake` or `refused`."""


class Arrival(NamedTuple):
    """A request and its origin."""

    request: HookRequest
    pairs: tuple[tuple[str, str], ...]
    """The headers as received, in order."""
    target: str
    """Path and query, as received."""
    client: str
    """The sender's address, without its port."""
    request_id: str


class HookReceiver:
    """Takes requests to hooks. Belongs to one event loop."""

    def __init__(
        self,
        writer: Writer,
        publisher: Publisher,
        catalog: Catalog,
        clock: Clock,
        fetched: Fetched,
        heads: ReceiptHeads,
        max_bytes: int,
    ) -> None:
        self._writer, self._publisher, self._catalog, self._clock = writer, publisher, catalog, clock
        self._heads, self._max_bytes = heads, max_bytes
        self._places = ShareQueue(Share("hooks", AT_ONCE_MAX))
        self.fetched = fetched
        self.beside = Beside()
        self.ready = ReadyHooks()
        self.refusals = HookRefusals(writer)
        self.taken: dict[str, int] = {}
        """The number of requests by verdict."""

    @property
    def shares(self) -> tuple[Share, ...]:
        """The resource that tenants share here."""
        return self._places.share, self.refusals.share, self.fetched.share

    def hook_at(self, path: str) -> Hook | None:
        """The hook whose path this is, if it is enabled."""
        return self._catalog.now.hooks_by_path.get(path)

    def bytes_max(self, hook: Hook) -> int:
        """How large a body may be."""
        own = hook.options.max_bytes
        return self._max_bytes if own is None or own > self._max_bytes else own

    async def take(self, hook: Hook, arrival: Arrival) -> HookAnswer:
        """Answer one request. Raises NotAllowed, TooLarge, or Unavailable if it could not be stored."""
        answer = await self._take(self.ready.of(hook), arrival)
        self.taken[answer.verdict] = self.taken.get(answer.verdict, 0) + 1
        return answer

    def refuse_large(self, hook: Hook, arrival: Arrival, detail: str) -> None:
        """Keep a record that a request was too large, without its body."""
        ready = self.ready.of(hook)
        self._keep(ready, self._receipt(ready, arrival, None, "too_large", detail))

    async def judge(self, ready: ReadyHook, request: HookRequest, now: float) -> Judged:
        """Whether a request to a hook is genuine as of a time. Raises TooLarge if it is too large when decompressed."""
        hook = ready.hook
        return await judge(ready.verifier, request, now, self.fetched, self.beside, hook.tenant, self.bytes_max(hook))

    async def event(self, ready: ReadyHook, judged: Judged, request_id: str) -> Event:
        """The event that a genuine request becomes. Raises Invalid if it does not match its type's schema."""
        options, request = ready.hook.options, judged.request
        text, value = await self.beside.run(len(judged.body) > BESIDE_BYTES, data_of, request, judged.body)
        taken, subject = self._catalog.now.change_types, naming.subject_of(options.subject, request)
        made = _NOTHING if ready.templates is None else _filled(ready, ready.templates, text, request)
        if made.data is not None:
            text, value = made.data, jsontext.read(made.data)
        if made.type is None:
            kind = naming.type_of(options.type, ready.scheme, request, taken)
        else:
            kind = naming.free_type(made.type, taken)
        new = NewEvent(type=kind, data=msgspec.Raw(text), subject=subject if made.key is None else made.key)
        caller = Caller(ready.key, request_id)
        publication = self._publisher.check((new,), ({"data": value},), caller=caller, pointers=("",))
        return publication.events[0]

    async def _take(self, ready: ReadyHook, arrival: Arrival) -> HookAnswer:
        request, hook = arrival.request, ready.hook
        handshake = schemes.before(ready.verifier, request)
        if handshake is not None:
            return await self._shaken(ready, arrival, handshake)
        if request.method not in hook.options.methods:
            return _not_taken(hook, request.method)
        judged = await self.judge(ready, request, self._clock.now() / SECOND)
        verdict = judged.verdict
        if judged.unknown:
            # Whether it is genuine is unknown: the sender should try again.
            return self._refuse(ready, arrival, verdict.reason, verdict.detail, _TRY_AGAIN)
        if not verdict.ok:
            return self._refuse(ready, arrival, verdict.reason, verdict.detail, ready.refused)
        handshake = schemes.after(ready.verifier, judged.request)
        if handshake is not None:
            return await self._shaken(ready, arrival, handshake)
        try:
            event = await self.event(ready, judged, arrival.request_id)
        except Invalid as wrong:
            detail = " ".join([wrong.detail, *(place.detail for place in wrong.errors)])
            return self._refuse(ready, arrival, "schema", detail, _reply_to_unfit(ready))
        return await self._store(ready, arrival, event, ready.key_of(judged.request, event))

    async def _store(self, ready: ReadyHook, arrival: Arrival, event: Event, key: str | None) -> HookAnswer:
        receipt = self._receipt(ready, arrival, event.id)
        fields = self._heads.fields(receipt, key, sealed=ready.shows_secret)

        def store(db: Db) -> Any:
            return WithEvents(True, (event,)) if receipts.put(db, fields) else False

        if self._places.waiting >= WAITING_MAX:
            raise Unavailable("Too many webhooks are waiting.", retry_after_seconds=RETRY_AFTER_SECONDS)
        tenant = ready.hook.tenant
        await self._places.take(tenant)
        try:
            # The job refuses only before its first write, so it needs no savepoint.
            is_new = await self._writer.call(NoSavepoint(store))
        finally:
            self._places.leave(tenant)
        if not is_new:
            return _answer(ready, ready.repeated, arrival.request, "repeated")
        self._publisher.accepted += 1
        return _answer(ready, ready.accepted, arrival.request, "accepted")

    async def _shaken(self, ready: ReadyHook, arrival: Arrival, answer: HandshakeAnswer) -> HookAnswer:
        """Answer a handshake, once its secret is stored or its URL confirmed."""
        refused = answer.refused
        if refused is None and answer.store_secret is not None:
            refused = await self._keep_secret(ready.hook.id, answer.store_secret)
        if (
            refused is None
            and answer.fetch is not None
            and not await self.fetched.confirm(answer.fetch, ready.hook.tenant)
        ):
            detail = "The URL that confirms the subscription did not respond."
            return self._refuse(ready, arrival, "handshake", detail, _TRY_AGAIN)
        if refused is not None:
            return self._refuse(ready, arrival, "handshake", refused, HookReply(status=403))
        return HookAnswer(answer.status, answer.headers, answer.body, "handshake")

    async def _keep_secret(self, ident: str, secret: str) -> str | None:
        """Give the hook a secret that a sender handed over; returns why not, if it has one already."""

        def store(db: Db) -> str | None:
            present = self._catalog.hook(db, ident)
            if present is None:
                return "The hook was deleted."
            if present.secrets:
                return None if secret in present.secrets else "The hook has been given another secret in the meantime."
            now, revision = self._clock.now(), present.revision + 1
            fresh = msgspec.structs.replace(present, secrets=(secret,), revision=revision, updated=now)
            self._catalog.put_hook(db, fresh)
            return None

        return await self._writer.call(store)  # type: ignore[no-any-return]

    def _refuse(
        self, ready: ReadyHook, arrival: Arrival, reason: str, detail: str, reply: HookReply | None
    ) -> HookAnswer:
        receipt = self._receipt(ready, arrival, None, reason, detail[:DETAIL_CHARS_MAX])
        self._keep(ready, receipt)
        if reply is not None:
            return _answer(ready, reply, arrival.request, "refused")
        said = f"This request was refused. The hook's operator can look up the reason under {receipt.id}.\n"
        return HookAnswer(401, {"content-type": "text/plain; charset=utf-8"}, said.encode(), "refused")

    def _keep(self, ready: ReadyHook, receipt: Receipt) -> None:
        if self.refusals.has_room(receipt):
            self.refusals.keep(receipt, self._heads.fields(receipt, sealed=ready.shows_secret))
            log.info("hook %s refused %s from %s: %s", receipt.hook, receipt.id, receipt.client, receipt.reason)

    def _receipt(
        self,
        ready: ReadyHook,
        arrival: Arrival,
        event: str | None,
        reason: str | None = None,
        detail: str | None = None,
    ) -> Receipt:
        """The receipt of a request. Its id shares the text of its event's id."""
        ident = new_id("rcp", self._clock.now()) if event is None else "rcp_" + event.partition("_")[2]
        return Receipt(
            id=ident,
            hook=ready.hook.id,
            tenant=ready.hook.tenant,
            state="accepted" if event is not None else "refused",
            received=made_at(ident),
            client=arrival.client,
            method=arrival.request.method,
            target=arrival.target,
            headers=kept(arrival.pairs, ready.headers_read),
            body=arrival.request.body,
            event=event,
            reason=reason,
            detail=detail,
        )


def _filled(ready: ReadyHook, templates: EventTemplates, text: bytes, request: HookRequest) -> Emitted:
    """Raises Invalid if a template fails: the request is kept as refused, and can be let in later."""
    _, headers = masked(ready.scheme, ready.hook.secrets, "", tuple(request.headers.items()))
    try:
        return templates.fill(text, dict(headers))
    except TemplateFailed as wrong:
        raise Invalid(str(wrong)) from None


def _answer(ready: ReadyHook, reply: HookReply, request: HookRequest, verdict: str) -> HookAnswer:
    try:
        status, headers, body = schemes.fill(reply, request, ready.hook.secrets)
    except Unfit:
        # A value that the response should echo is missing, but only the status matters.
        status, headers, body = reply.status, {}, b""
    return HookAnswer(status, headers, body, verdict)


def _reply_to_unfit(ready: ReadyHook) -> HookReply:
    """The response to a genuine request that violates the schema of its event's type."""
    return ready.refused if ready.hook.options.refused is not None and ready.refused else HookReply(status=422)


def _not_taken(hook: Hook, method: str) -> HookAnswer:
    """The response to a method that the hook does not accept. Raises NotAllowed."""
    allow = ", ".join((*hook.options.methods, "OPTIONS"))
    if method == "OPTIONS":
        return HookAnswer(204, {"allow": allow}, b"", "handshake")
    raise NotAllowed(f"This hook accepts {allow}.", headers=[("allow", allow)])
