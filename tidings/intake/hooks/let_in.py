"""Refused requests, checked again: what would have to change, and letting them in once that has changed."""

from __future__ import annotations

import asyncio

import msgspec

from tidings.intake.hooks.receive import HookReceiver
from tidings.intake.publish import Publisher
from tidings.model.errors import Conflict, NotFound
from tidings.model.hook import Hook, Receipt
from tidings.model.moment import SECOND, Clock
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Verdict
from tidings.store import receipts
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.log.events import append_new


class SecondLook:
    """Checks requests as of their arrival. Belongs to one event loop."""

    def __init__(
        self, receiver: HookReceiver, publisher: Publisher, catalog: Catalog, clock: Clock, base: str = ""
    ) -> None:
        """`base`: the public URL of the server, without a slash at its end."""
        self._receiver, self._publisher, self._catalog = receiver, publisher, catalog
        self._clock, self._base = clock, base

    async def let_in(self, receipt: Receipt, request_id: str, run: Run[Receipt, R]) -> R:
        """Check a refused request again, and let it in as an event; `run` runs the job that does it.

        Raises Conflict if it is still refused or was already let in, Invalid if it does not match its type's schema,
        NotFound if its hook was deleted.
        """
        hook = self._hook(receipt)
        if receipt.state != "refused":
            raise Conflict("This request has already been let in.")
        if receipt.reason == "too_large":
            raise Conflict("The body of this request was too large to be kept. Ask the sender to send it again.")
        ready = self._receiver.ready.of(hook)
        judged = await self._receiver.judge(ready, self._request(receipt), receipt.received / SECOND)
        if not judged.verdict.ok:
            raise Conflict(f"The request is still refused. {judged.verdict.detail}")
        event = await self._receiver.event(ready, judged, request_id)
        key = ready.key_of(judged.request, event)

        def store(db: Db) -> Receipt:
            if not receipts.accept(db, receipt, key, event.id):
                raise Conflict("This delivery has already been received.")
            append_new(db, [event], self._clock.now())
            return msgspec.structs.replace(receipt, state="accepted", event=event.id, reason=None, detail=None)

        let_in = await run(store)
        self._publisher.accepted += 1
        return let_in

    async def explain(self, receipt: Receipt) -> Verdict:
        """The present verdict on a request, and what would have to change. Raises NotFound if its hook was deleted."""
        ready, request = self._receiver.ready.of(self._hook(receipt)), self._request(receipt)
        now = receipt.received / SECOND
        judged = await self._receiver.judge(ready, request, now)
        if judged.verdict.ok:
            return judged.verdict
        # In a thread: it tries many variants.
        return await asyncio.to_thread(schemes.explain, ready.verifier, judged.request, now, judged.fetched)

    def _hook(self, receipt: Receipt) -> Hook:
        hook = self._catalog.now.hooks.get(receipt.hook)
        if hook is None:
            raise NotFound("The hook that received this request has been deleted.")
        return hook

    def _request(self, receipt: Receipt) -> HookRequest:
        base = self._base or f"http://{dict(receipt.headers).get('host', '')}"
        return HookRequest(receipt.method, base + receipt.target, receipt.headers, receipt.body)
