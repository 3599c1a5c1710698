"""One submission of a form, from its bytes to the response.

The order of work: the values are read strictly, the honeypot and the page's token say whether a person sent them,
every name must be a field's, every value is checked, and one transaction stores the receipt and the event, unless the
same page was sent before, which the receipt's unique key detects. The response waits for that commit. Mistakes that a
person can correct are shown again and not kept; a submission that no person would send is kept as a refusal, with the
reason.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from tidings.intake.beside import Beside
from tidings.intake.forms.limits import FormLimits
from tidings.intake.forms.tokens import FIELD, PageToken, PageTokens, key_of
from tidings.intake.hooks.refusals import HookRefusals
from tidings.intake.publish import WRITE, NewEvent, Publisher
from tidings.model.access import Caller, Key
from tidings.model.errors import ForeignOrigin, Invalid, NotFound, TidingsError, Unavailable
from tidings.model.event import Event, is_subject
from tidings.model.forms.form import Form
from tidings.model.hook import Receipt
from tidings.model.ids import made_at, new_id
from tidings.model.moment import Clock
from tidings.rules.forms.fields import page_bytes, values_max
from tidings.rules.forms.posted import Posted, read_posted
from tidings.rules.forms.senders import may_submit
from tidings.rules.forms.values import FormChecks, WrongField
from tidings.rules.hooks.masking import kept
from tidings.rules.network.origin import PublicUrl
from tidings.rules.reading import jsontext
from tidings.rules.share import Share
from tidings.store import receipts
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.jobs import NoSavepoint
from tidings.store.log.events import WithEvents
from tidings.store.receipts import ReceiptHeads
from tidings.store.share_queue import ShareQueue
from tidings.store.writer import Writer

AT_ONCE_MAX = 128
"""The maximum number of submissions given to the writer at a time. The others wait; tenants take turns."""
WAITING_MAX = 5_000
RETRY_AFTER_SECONDS = 2.0
FORMS_KEPT = 10_000
DETAIL_CHARS_MAX = 1_000
BESIDE_BYTES = 32 * 1024

Verdict = Literal["accepted", "repeated", "refused", "wrong"]
Again = Literal["", "too_old", "too_fast", "no_page"]
log = logging.getLogger("tidings.forms")


class Submission(NamedTuple):
    """A submission as it arrived."""

    method: str
    target: str
    """Path and query, as received."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    client: str
    """The sender's address, without its port."""
    request_id: str

    def header(self, name: str) -> str:
        """The first header of a name in lower case; "" if there is none."""
        return next((value for each, value in self.headers if each.lower() == name), "")


class FormAnswer(NamedTuple):
    """The result of a submission. If it is `wrong`, the page is shown again, with the values that were sent."""

    verdict: Verdict
    posted: Posted
    wrong: Sequence[WrongField] = ()
    again: Again = ""
    """Why the form has to be submitted again, although no field is wrong."""
    token: str = ""
    """The token of the form's page, if it is still valid."""

    @property
    def looks_accepted(self) -> bool:
        """Whether the response says that it was accepted. A program that filled in the honeypot learns nothing."""
        return self.verdict != "wrong"


class ReadyForm(NamedTuple):
    """A form with its checks compiled."""

    form: Form
    checks: FormChecks
    key: Key
    """The caller under which its events are published: the form itself, for its tenant."""
    values_max: int
    """The maximum number of values that are read from a submission."""
    page_bytes: int
    """The approximate size of the form's page, which shows how much work it is to render."""


class FormReceiver:
    """Takes submissions. Belongs to one event loop."""

    def __init__(
        self,
        writer: Writer,
        publisher: Publisher,
        catalog: Catalog,
        clock: Clock,
        heads: ReceiptHeads,
        refusals: HookRefusals,
        beside: Beside,
        tokens: PageTokens,
    ) -> None:
        self._writer, self._publisher, self._catalog, self._clock = writer, publisher, catalog, clock
        self._heads, self._refusals, self._beside = heads, refusals, beside
        self._places = ShareQueue(Share("forms", AT_ONCE_MAX))
        self._ready: dict[str, ReadyForm] = {}
        self.tokens = tokens
        self.limits = FormLimits(clock)
        self.taken: dict[str, int] = {}
        """The number of submissions by verdict."""

    @property
    def share(self) -> Share:
        """The resource that tenants share here."""
        return self._places.share

    def form_at(self, path: str) -> Form | None:
        """The form whose path this is, if it is enabled."""
        return self._catalog.now.forms_by_path.get(path)

    def found(self, form: Form | None) -> Form:
        """The form, if there is one; otherwise raises NotFound."""
        if form is None:
            raise NotFound("There is no form at this path.")
        return form

    def admit(self, form: Form, given: Submission, peer: str, public: PublicUrl | None) -> None:
        """Admit a submission from `peer` (`address:port`) before its body is read. `public`: this server's public URL.

        Raises LimitReached, or ForeignOrigin if it comes from a page of an origin that the form does not list.
        """
        self.limits.take(form, peer)
        if not may_submit(dict(given.headers), public, form.options.origins):
            self.refuse(
                form, given, "origin", "The submission came from a page whose origin is not in the form's `origins`."
            )
            raise ForeignOrigin(
                "This form can be submitted only from its own page, and from pages of the origins that the form lists."
            )

    def ready(self, form: Form) -> ReadyForm:
        """The form, compiled."""
        known = self._ready.get(form.id)
        if known is not None and known.form is form:
            return known
        if len(self._ready) >= FORMS_KEPT:
            self._ready.clear()
        fields = form.options.fields
        checks = FormChecks(fields, form.options.lang)
        key = Key(id=form.id, hash="", name=form.options.path, scopes=(WRITE,), tenant=form.tenant)
        ready = self._ready[form.id] = ReadyForm(form, checks, key, values_max(fields), page_bytes(fields))
        return ready

    async def take(self, form: Form, given: Submission) -> FormAnswer:
        """Handle a submission. Raises BadMedia, Malformed, or Unavailable if it could not be stored."""
        ready = self.ready(form)
        try:
            posted = await self._read(ready, given)
        except TidingsError as wrong:
            self.refuse(form, given, "unreadable", wrong.detail)
            raise
        answer = await self._take(ready, given, posted)
        self._count(answer.verdict)
        return answer

    def refuse(self, form: Form, given: Submission, reason: str, detail: str) -> None:
        """Keep a record that a submission was refused, and why."""
        self._count("refused")
        self._keep(form, given, reason, detail)

    def event(self, ready: ReadyForm, data: dict[str, Any], request_id: str, receipt: str | None = None) -> Event:
        """The event of checked data. Raises Invalid if it does not match its type's schema.

        `receipt`: the id of its receipt, if there is one already.
        """
        text = msgspec.json.encode(data)
        options = ready.form.options
        value = data.get(options.subject)
        subject = bytes(value).decode() if isinstance(value, msgspec.Raw) else value
        if subject is not None and not is_subject(subject):
            subject = None
        new = NewEvent(type=self._free(options.type), data=msgspec.Raw(text), subject=subject)
        caller = Caller(ready.key, request_id)
        checked = self._publisher.check((new,), ({"data": jsontext.read(text)},), caller=caller, pointers=("",))
        event = checked.events[0]
        return event if options.subject else msgspec.structs.replace(event, subject=receipt or receipt_id(event))

    async def _take(self, ready: ReadyForm, given: Submission, posted: Posted) -> FormAnswer:
        form, options = ready.form, ready.form.options
        if posted.text(options.honeypot).strip():
            self._keep(
                form, given, "honeypot", f"The field {options.honeypot}, which people do not see, was filled in."
            )
            return FormAnswer("refused", posted)
        text = posted.text(FIELD)
        opened = self.tokens.open(form.id, text) if text else None
        token = opened if opened is not None and opened.is_valid else None
        if again := _to_send_again(text, opened, options.min_seconds):
            if again == "too_fast":
                self._keep(form, given, "too_fast", "The form was submitted faster than a person can fill it in.")
            return FormAnswer("wrong", posted, again=again, token=text if token is not None else "")
        unknown = ready.checks.unknown(posted, (options.honeypot, FIELD))
        if unknown:
            self._keep(form, given, "unknown_field", " ".join(each.text for each in unknown))
        data, wrong = await self._beside.run(_is_large(given), ready.checks.check, posted)
        if unknown or wrong:
            return FormAnswer("wrong", posted, [*unknown, *wrong], token=text)
        try:
            event = self.event(ready, data, given.request_id)
        except Invalid as unfit:
            self._keep(form, given, "schema", " ".join([unfit.detail, *(place.detail for place in unfit.errors)]))
            wrong = [WrongField(_field_at(place.pointer), "schema", place.detail) for place in unfit.errors]
            return FormAnswer("wrong", posted, wrong, token=text)
        key = key_of(token, given.header("idempotency-key"), posted)
        is_new = await self._store(form, given, event, key)
        return FormAnswer("accepted" if is_new else "repeated", posted)

    async def _store(self, form: Form, given: Submission, event: Event, key: str | None) -> bool:
        """Store the receipt and the event; False if the same page was sent before."""
        fields = self._heads.fields(_receipt(form, given, receipt_id(event), event.id), key, sealed=False)

        def store(db: Db) -> Any:
            return WithEvents(True, (event,)) if receipts.put(db, fields) else False

        if self._places.waiting >= WAITING_MAX:
            raise Unavailable("Too many submissions are waiting.", retry_after_seconds=RETRY_AFTER_SECONDS)
        await self._places.take(form.tenant)
        try:
            # The job refuses only before its first write, so it needs no savepoint.
            is_new: bool = await self._writer.call(NoSavepoint(store))
        finally:
            self._places.leave(form.tenant)
        self._publisher.accepted += is_new
        return is_new

    def _keep(self, form: Form, given: Submission, reason: str, detail: str) -> None:
        receipt = _receipt(form, given, new_id("rcp", self._clock.now()), None, reason, detail[:DETAIL_CHARS_MAX])
        if self._refusals.has_room(receipt):
            self._refusals.keep(receipt, self._heads.fields(receipt, sealed=False))
            log.info("form %s refused %s from %s: %s", form.id, receipt.id, receipt.client, reason)

    async def _read(self, ready: ReadyForm, given: Submission) -> Posted:
        kind, encoding = given.header("content-type"), given.header("content-encoding")
        return await self._beside.run(_is_large(given), read_posted, kind, given.body, encoding, ready.values_max)

    def count_event(self) -> None:
        """Count one more event that was stored."""
        self._publisher.accepted += 1

    def _count(self, verdict: Verdict) -> None:
        self.taken[verdict] = self.taken.get(verdict, 0) + 1

    def _free(self, kind: str) -> str:
        """The type with a prefix, if a collection publishes its events under it."""
        return f"form.{kind}" if kind in self._catalog.now.change_types else kind


def _is_large(given: Submission) -> bool:
    return len(given.body) > BESIDE_BYTES


def receipt_id(event: Event) -> str:
    """The id of the receipt that became an event; it shares the text of the event's id."""
    return "rcp_" + event.id.partition("_")[2]


def _receipt(
    form: Form, given: Submission, ident: str, event: str | None, reason: str | None = None, detail: str | None = None
) -> Receipt:
    return Receipt(
        id=ident,
        hook=form.id,
        tenant=form.tenant,
        state="accepted" if event is not None else "refused",
        received=made_at(ident),
        client=given.client,
        method=given.method,
        target=given.target,
        headers=kept(given.headers),
        body=given.body,
        event=event,
        reason=reason,
        detail=detail,
    )


def _to_send_again(text: str, token: PageToken | None, min_seconds: float) -> Again:
    """Whether the page has to be sent again. Other sites' pages need no token, unless the form has a minimum time."""
    if token is None:
        return "no_page" if text or min_seconds else ""
    if not token.is_valid:
        return "too_old"
    return "too_fast" if token.age_seconds < min_seconds else ""


def _field_at(pointer: str | None) -> str:
    """The field that a place in an event's data belongs to; "" if there is none."""
    steps = (pointer or "").split("/")
    return steps[2] if len(steps) > 2 and steps[1] == "data" else ""
