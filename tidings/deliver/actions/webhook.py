"""Composing: one or more events and an endpoint become one signed HTTP request (Standard Webhooks 1.0)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from tidings.model.event import Event
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.model.link import ALL_TENANTS, Endpoint, Sealed
from tidings.model.moment import SECOND, Micros
from tidings.net.http import HttpRequest, Tls
from tidings.rules.deliver import bodies as shape
from tidings.rules.schemes.standard import Signer

MASK = "***"


class Composed(msgspec.Struct, frozen=True):
    """A request, and its headers as the attempt shows them (a JSON object, secrets masked)."""

    request: HttpRequest
    shown: str


class BodyCache:
    """Bodies of events, kept while several endpoints get the same one."""

    KEPT_BYTES_MAX = 4 * 1024 * 1024

    def __init__(self, source: str) -> None:
        self._source = source
        self._kept: dict[tuple[int, str, tuple[str, ...] | None], bytes] = {}
        self._bytes = 0

    def of(self, event: Event, endpoint: Endpoint) -> bytes:
        """The body of one event for this endpoint."""
        options = endpoint.options
        key = (event.seq, options.body, options.fields)
        body = self._kept.get(key)
        if body is None:
            chosen = None if options.fields is None else _chosen(options.fields)
            body = shape.body(event, options.body, self._source, chosen)
            self._bytes += len(body)
            if self._bytes > self.KEPT_BYTES_MAX:
                self._kept.clear()
                self._bytes = len(body)
            self._kept[key] = body
        return body

    def fitting(self, events: Sequence[Event], endpoint: Endpoint, most_bytes: int) -> int:
        """How many of these, from the first on, make a batch of so many bytes at most. One always goes."""
        left = most_bytes - ROUND_BYTES
        for count, event in enumerate(events):
            left -= len(self.of(event, endpoint)) + 1
            if left < 0:
                return max(1, count)
        return len(events)


_chosen = lru_cache(maxsize=256)(shape.choose)

ROUND_BYTES = 100
"""What stands around the bodies of a batch; a comma more between two of them."""


def compose(
    endpoint: Endpoint, signer: Signer, events: Sequence[Event], bodies: BodyCache, now: Micros, *, batch: bool
) -> Composed:
    """The request for these events. Raises ValueError if the endpoint's settings cannot make one."""
    form = endpoint.options.body
    if batch:
        message_id = batch_id([event.id for event in events])
        body = shape.batch([bodies.of(event, endpoint) for event in events], form, now)
        media = shape.BATCH_CONTENT_TYPES[form]
    else:
        message_id = events[0].id
        body = bodies.of(events[0], endpoint)
        media = shape.CONTENT_TYPES[form]
    timestamp = now // SECOND
    signature = signer.sign(message_id, timestamp, body)
    lines = [
        f"Content-Type: {media}",
        f"webhook-id: {message_id}",
        f"webhook-timestamp: {timestamp}",
        f"webhook-signature: {signature}",
        "Expect:",
    ]
    shown = (
        f'{{"content-type":"{media}","webhook-id":"{message_id}",'
        f'"webhook-timestamp":"{timestamp}","webhook-signature":"{signature}"'
    )
    for name, value in endpoint.sealed.headers.items():
        lines.append(f"{name}: {value}" if value else f"{name};")
        shown += f',"{name.lower()}":"{MASK}"'
    tenant = None if endpoint.tenant == ALL_TENANTS else endpoint.tenant
    request = HttpRequest(
        endpoint.options.url, lines, body, endpoint.options.timeout_seconds, tenant, _tls(endpoint.sealed)
    )
    return Composed(request, shown + "}")


def _tls(sealed: Sealed) -> Tls | None:
    if sealed.ca is None and sealed.client_certificate is None:
        return None
    authorities = None if sealed.ca is None else sealed.ca.encode()
    client = sealed.client_certificate
    if client is None:
        return Tls(authorities)
    return Tls(authorities, client.certificate.encode(), client.key.encode())


def batch_id(ids: Sequence[str]) -> str:
    """The id of a batch: the same whenever the same events are sent together again."""
    digest = hashlib.sha256("\n".join(ids).encode()).digest()
    number = int.from_bytes(digest[:17], "big")
    return "bat_" + "".join(ALPHABET[number >> (5 * i) & 31] for i in range(ID_CHARS))


def signer_for(endpoint: Endpoint, now: Micros) -> tuple[Signer, Micros | None]:
    """The signer with every secret that is valid now, and until when it may be used."""
    valid = [secret for secret in endpoint.sealed.secrets if secret.expires is None or secret.expires > now]
    expiries = [secret.expires for secret in valid if secret.expires is not None]
    return Signer([secret.text for secret in valid]), min(expiries, default=None)
