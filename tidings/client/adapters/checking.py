"""What the adapters share: it turns a request into the webhook in it, or into the response to its sender."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tidings.client.webhook import value_of
from tidings.rules import schemes
from tidings.rules.schemes import HandshakeAnswer, HookReply, HookRequest, Needed, Verdict, Verifier

REFUSED_STATUS, UNREADABLE_STATUS, DONE_STATUS = 401, 400, 204
_PLAIN = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


@dataclass(frozen=True)
class VerifiedWebhook:
    """A webhook that is genuine. `request` is the framework's own request.

    `value` is the JSON value of the body, the fields of a form as a dict, or else the bytes. `id` is the same in every
    attempt of one delivery, and `type` is the sender's name for the event; each is None if the sender does not send it.
    """

    value: Any
    body: bytes
    headers: Mapping[str, str]
    id: str | None
    type: str | None
    request: Any = field(repr=False)


@dataclass(frozen=True)
class AdapterReply:
    """A response that replaces the view's."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class WebhookChecker:
    """One sender's requests, checked with its secrets.

    Raises Refused for an unknown scheme, or a malformed secret or setting.

    `scheme` is a name (`tidings schemes` lists them) or your own scheme, `{"check": {...}}`; the default is the scheme
    of Tidings. `public_url` replaces the origin that the framework sees, for schemes that sign the URL. `fetch` is
    called to fetch the certificates and keys that a few senders publish, and to confirm their subscriptions;
    `keep_secret` is called with the secret of senders that hand it over in a request.
    """

    def __init__(
        self,
        scheme: str | Mapping[str, Any] = "tidings",
        secrets: str | Sequence[str] = (),
        *,
        settings: Mapping[str, str] | None = None,
        public_url: str = "",
        tolerance_seconds: float | None = None,
        fetch: Callable[[Needed], bytes] | None = None,
        keep_secret: Callable[[str], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        known = schemes.named(scheme) if isinstance(scheme, str) else schemes.read(dict(scheme))
        self._verifier = Verifier(known, secrets, settings=settings, tolerance_seconds=tolerance_seconds)
        self._scheme, self._public_url = known, public_url.rstrip("/")
        self._keep_secret, self._now = keep_secret, now
        self.fetch = fetch
        """Fetches keys and confirms subscriptions. Calls may block, so adapters with an event loop use a thread."""

    def take(
        self,
        method: str,
        origin: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        request: Any,
    ) -> VerifiedWebhook | AdapterReply:
        """Check a request. `origin` is for example `https://example.com`, `target` the path and query as sent."""
        hook = HookRequest(method, (self._public_url or origin) + target, headers, body)
        asked = schemes.before(self._verifier, hook)
        if asked is not None:
            return self._answer(asked)
        fetched = {needed.key: self.fetch(needed) for needed in self._verifier.needs(hook)} if self.fetch else {}
        verdict = self._verifier.verify(hook, self._now(), fetched)
        if not verdict.ok:
            return self._refusal(verdict)
        asked = schemes.after(self._verifier, hook)
        if asked is not None:
            return self._answer(asked)
        return VerifiedWebhook(
            value_of(hook), body, hook.headers, self._first("delivery_id", hook), self._type(hook), request
        )

    def accepted(self) -> AdapterReply:
        """The response if the view returns none: 204, or what this sender expects."""
        return _filled(self._scheme.accepted) if self._scheme.accepted else AdapterReply(DONE_STATUS, {}, b"")

    def _refusal(self, verdict: Verdict) -> AdapterReply:
        status = UNREADABLE_STATUS if verdict.reason == "bad_body" else REFUSED_STATUS
        wanted = self._scheme.refused
        return _plain(wanted.status if wanted else status, verdict.detail)

    def _answer(self, asked: HandshakeAnswer) -> AdapterReply:
        if asked.refused is None and asked.store_secret is not None:
            if self._keep_secret is None:
                return _plain(
                    403,
                    "This sender hands over its secret in a request: pass `keep_secret`, a function that stores it.",
                )
            self._keep_secret(asked.store_secret)
        if asked.refused is None and asked.fetch is not None:
            if self.fetch is None:
                return _plain(403, "This sender asks for a URL to be called: pass `fetch`, a function that calls it.")
            self.fetch(Needed(asked.fetch, asked.fetch))
        if asked.refused is not None:
            return _plain(asked.status, asked.refused)
        return AdapterReply(asked.status, asked.headers, asked.body)

    def _first(self, member: str, hook: HookRequest) -> str | None:
        place = getattr(self._scheme, member)
        return schemes.source(place).first(hook) if place else None

    def _type(self, hook: HookRequest) -> str | None:
        return self._first("event_type", hook)


def _filled(reply: HookReply) -> AdapterReply:
    return AdapterReply(*schemes.fill(reply, HookRequest()))


def _plain(status: int, text: str) -> AdapterReply:
    return AdapterReply(status, _PLAIN, f"{text}\n".encode())


def target_of(environ: Mapping[str, Any], path: str) -> str:
    """The path and query of a WSGI request as sent; if the WSGI server does not provide them, encoded again."""
    for name in ("RAW_URI", "REQUEST_URI"):
        raw = environ.get(name)
        if isinstance(raw, str) and raw.startswith("/"):
            return raw
    query = environ.get("QUERY_STRING", "")
    return quote(path, safe="/!$&'()*+,;=:@-._~") + (f"?{query}" if query else "")
