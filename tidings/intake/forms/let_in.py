"""Refused submissions, let in later: a person may have filled in the honeypot, or been very quick."""

from __future__ import annotations

import msgspec

from tidings.intake.forms.receive import FormReceiver
from tidings.intake.forms.tokens import FIELD
from tidings.model.errors import Conflict, NotFound, TidingsError
from tidings.model.hook import Receipt
from tidings.model.moment import Clock
from tidings.rules.forms.posted import read_posted
from tidings.store import receipts
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.log.events import append_new

WITHOUT_BODY = ("origin", "too_large")
"""Reasons for refusing a submission without reading its body."""


class RefusedForms:
    """Lets refused submissions in. Belongs to one event loop."""

    def __init__(self, receiver: FormReceiver, catalog: Catalog, clock: Clock) -> None:
        self._receiver, self._catalog, self._clock = receiver, catalog, clock

    async def let_in(self, receipt: Receipt, request_id: str, run: Run[Receipt, R]) -> R:
        """Check a submission's values again, but not who sent them, and let it in; `run` runs the job that does it.

        Raises Conflict if a value is wrong or it was already let in, Invalid if it does not match its type's schema,
        NotFound if its form was deleted.
        """
        form = self._catalog.now.forms.get(receipt.hook)
        if form is None:
            raise NotFound("The form that received this submission has been deleted.")
        if receipt.state != "refused":
            raise Conflict("This submission has already been let in.")
        if receipt.reason in WITHOUT_BODY:
            raise Conflict("The body of this submission was not kept, so the form has to be submitted again.")
        ready = self._receiver.ready(form)
        content_type = next((value for name, value in receipt.headers if name.lower() == "content-type"), "")
        try:
            posted = read_posted(content_type, receipt.body)
        except TidingsError as wrong:
            raise Conflict(f"The submission is still refused. {wrong.detail}") from None
        data, wrongs = ready.checks.check(posted)
        wrongs += ready.checks.unknown(posted, (form.options.honeypot, FIELD))
        if wrongs:
            said = " ".join(f"{each.name}: {each.text}" for each in wrongs)
            raise Conflict(f"The submission is still refused. {said}")
        event = self._receiver.event(ready, data, request_id, receipt.id)

        def store(db: Db) -> Receipt:
            if not receipts.accept(db, receipt, None, event.id):
                raise Conflict("This submission has already been let in.")
            append_new(db, [event], self._clock.now())
            return msgspec.structs.replace(receipt, state="accepted", event=event.id, reason=None, detail=None)

        let_in = await run(store)
        self._receiver.count_event()
        return let_in
