"""The webhook: events become a signed POST (Standard Webhooks 1.0), and the response says what happened to them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tidings.deliver.actions.action import Carried, Prepared, Result, Tools
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.model.link import ALL_TENANTS, Endpoint, Sealed
from tidings.model.moment import SECOND, Micros
from tidings.model.outcome import Outcome
from tidings.net.http import FailureKind, HttpRequest, Reply, Tls
from tidings.rules.calls.credentials import secret_headers
from tidings.rules.deliver import bodies, judgement, retry
from tidings.rules.reading.hiding import hiding
from tidings.rules.schemes.standard import Signer

MASK = "***"
ROUND_BYTES = 100
"""The maximum number of bytes around the bodies in a batch, not counting the commas between them."""
DELIVERED = "Delivered."
GONE = "The endpoint answered 410 Gone: it wants no more webhooks."

OUTCOMES: dict[FailureKind, Outcome] = {
    "url": outcomes.UNSENDABLE,
    "name": outcomes.DNS_FAILED,
    "address": outcomes.REFUSED_ADDRESS,
    "connection": outcomes.CONNECT_FAILED,
    "tls": outcomes.TLS_FAILED,
    "timeout": outcomes.TIMEOUT,
    "answer": outcomes.BROKEN_ANSWER,
}
"""The outcome for each kind of failure without a response. If there is a status, the outcome depends only on that."""


class WebhookAction:
    """Sends events to one endpoint."""

    follows = False

    def __init__(self, endpoint: Endpoint, tools: Tools) -> None:
        pacing, what = endpoint.pacing, endpoint.what
        sealed = what.sealed
        self.destination = what.url
        self.send: Callable[[HttpRequest, Callable[[Reply], None]], None] = tools.send
        self._bodies, self._form, self._fields = tools.bodies, what.body, what.fields
        self._also_svix = what.svix_headers
        self._batch = pacing.batch
        self._timeout_seconds, self._give_up_on = pacing.timeout_seconds, pacing.give_up_on
        self._tenant = None if endpoint.tenant == ALL_TENANTS else endpoint.tenant
        self._tls, self._link = _tls(sealed), endpoint.num
        self._media = (bodies.BATCH_CONTENT_TYPES if self._batch is not None else bodies.CONTENT_TYPES)[what.body]
        self._headers = [f"{name}: {value}" if value else f"{name};" for name, value in sealed.headers.items()]
        self._shown_headers = "".join(f',"{name.lower()}":"{MASK}"' for name in sealed.headers) + "}"
        self._secrets = sealed.secrets
        self._hide = hiding(tuple(secret_headers(sealed.headers)))
        self._signer: Signer | None = None
        self._signer_until: Micros | None = None

    def fitting(self, events: Sequence[Event]) -> int:
        """How many of these, starting with the first, make a batch that is not too long. At least one."""
        if self._batch is None:
            return 1
        left = self._batch.max_bytes - ROUND_BYTES
        for count, event in enumerate(events):
            left -= len(self._bodies.of(event, self._form, self._fields)) + 1
            if left < 0:
                return max(1, count)
        return len(events)

    def line(self, event: Event, number: int) -> str | None:
        """Its subject."""
        return event.subject

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The signed request. Raises ValueError."""
        form, fields = self._form, self._fields
        if self._batch is None:
            message_id = events[0].id
            body = self._bodies.of(events[0], form, fields)
        else:
            message_id = batch_id([event.id for event in events])
            body = bodies.batch([self._bodies.of(event, form, fields) for event in events], form, now)
        timestamp = now // SECOND
        signer, until = self._signer, self._signer_until
        if signer is None or (until is not None and now >= until):
            signer = self._signer_for(now)
        signature = signer.sign(message_id, timestamp, body)
        media = self._media
        headers = [
            f"Content-Type: {media}",
            f"webhook-id: {message_id}",
            f"webhook-timestamp: {timestamp}",
            f"webhook-signature: {signature}",
            "Expect:",
            *self._headers,
        ]
        shown = (
            f'{{"content-type":"{media}","webhook-id":"{message_id}",'
            f'"webhook-timestamp":"{timestamp}","webhook-signature":"{signature}"{self._shown_headers}'
        )
        if self._also_svix:
            # Svix's names for the same headers, which its libraries look for first.
            headers += [f"svix-{header.removeprefix('webhook-')}" for header in headers[1:4]]
            shown = (
                f'{{"svix-id":"{message_id}","svix-timestamp":"{timestamp}","svix-signature":"{signature}",{shown[1:]}'
            )
        request = HttpRequest(
            self.destination, headers, body, self._timeout_seconds, self._tenant, self._tls, link=self._link
        )
        return Prepared(request, shown, len(body))

    def judge(self, reply: Reply, now: Micros) -> Result:
        """The result, from the response or the lack of one."""
        status, failure = reply.status or None, reply.failure
        if failure is None and status is not None and 200 <= status < 300:
            answer = self._hide.bytes(reply.body) if reply.body else b""
            return Result(outcomes.OK, judgement.OK, DELIVERED, status, reply.duration_ms, answer)
        if failure is None or reply.answered:
            outcome, reason = of_status(status or 0)
            if failure is not None:
                reason = f"{reason} {failure.reason}"
        else:
            outcome, reason = OUTCOMES[failure.kind], failure.reason
        answer = self._hide.bytes(reply.body)
        if outcome is outcomes.OK:
            return Result(outcome, judgement.OK, reason, status, reply.duration_ms, answer)
        asked = reply.header("retry-after") if reply.answered else None
        wait_seconds = None if asked is None else retry.parse_retry_after(asked, now)
        judged = judgement.judge(outcome, status, asked_to_wait=wait_seconds is not None)
        if self._give_up_on:
            judged = judgement.given_up(judged, status, self._give_up_on)
        gone = GONE if judged.endpoint == "gone" else None
        return Result(outcome, judged, reason, status, reply.duration_ms, answer, wait_seconds, gone)

    def follow(self, events: Sequence[Event], reply: Reply, now: Micros) -> None:
        """Returns nothing: a webhook only has to arrive."""

    def _signer_for(self, now: Micros) -> Signer:
        """A new signer, with every secret that is valid now."""
        valid = [secret for secret in self._secrets if secret.expires is None or secret.expires > now]
        self._signer_until = min((secret.expires for secret in valid if secret.expires is not None), default=None)
        self._signer = signer = Signer([secret.text for secret in valid])
        return signer


def of_status(status: int) -> tuple[Outcome, str]:
    """The outcome of a status, and a sentence."""
    if 200 <= status < 300:
        return outcomes.OK, DELIVERED
    if status == 410:
        return outcomes.GONE, "The endpoint answered 410 Gone."
    if status == 304:
        reason = (
            "The endpoint answered 304 Not Modified, which is not valid for a POST. It must answer with a 2xx status."
        )
        return outcomes.REDIRECT, reason
    if 300 <= status < 400:
        return outcomes.REDIRECT, f"The endpoint answered {status}; redirects are not followed. Register the final URL."
    return outcomes.BAD_STATUS, f"The endpoint answered {status}."


def batch_id(ids: Sequence[str]) -> str:
    """The id of a batch: the same whenever the same events are sent together again."""
    digest = hashlib.sha256("\n".join(ids).encode()).digest()
    number = int.from_bytes(digest[:17], "big")
    return "bat_" + "".join(ALPHABET[number >> (5 * i) & 31] for i in range(ID_CHARS))


def _tls(sealed: Sealed) -> Tls | None:
    if sealed.ca is None and sealed.client_certificate is None:
        return None
    authorities = None if sealed.ca is None else sealed.ca.encode()
    client = sealed.client_certificate
    if client is None:
        return Tls(authorities)
    return Tls(authorities, client.certificate.encode(), client.key.encode())
