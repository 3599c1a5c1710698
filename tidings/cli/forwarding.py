"""Requests to hooks, sent again as received to a URL on this machine."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tidings.client.client import Client, Json
from tidings.client.exchange import TIMEOUT_SECONDS, failed
from tidings.model.moment import SECOND, SystemClock
from tidings.rules import schemes
from tidings.rules.hooks.masking import HIDDEN
from tidings.rules.schemes import HookRequest

NOT_PASSED_ON = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers that only concern a single connection. The new request gets its own Host and Content-Length headers."""

Pairs = Iterable[tuple[str, str]]


class Forwarder:
    """Sends receipts to one URL: the same method, headers, query and body, byte for byte."""

    def __init__(self, client: Client, to: str, secret: str | None = None) -> None:
        """`secret`: sign again with it, as of now. Raises ValueError if `to` is not a URL."""
        self._client, self._to, self._secret = client, urlsplit(to), secret
        if self._to.scheme not in ("http", "https") or not self._to.hostname:
            raise ValueError(f"--to must be a URL such as http://localhost:3000/hooks, not {to!r}")
        self._hooks: dict[str, Json] = {}

    def read(self, ident: str) -> Json:
        """The receipt with this id, to be sent.

        Raises ClientError, and ValueError if its credential is hidden and there is no secret to put in its place.
        """
        receipt = self._client.receipt(ident)
        if self._secret is not None:
            hook = receipt["hook_id"]
            self._hooks[hook] = self._hooks.get(hook) or self._client.hook(hook)
        elif HIDDEN in receipt["target"] or any(
            HIDDEN in each["value"] for each in receipt["headers"] if each["name"].lower() != "cookie"
        ):
            raise ValueError(
                f"{ident} contains a credential, which the server hides. Pass the credential with --secret."
            )
        return receipt

    def send(self, receipt: Json) -> int:
        """Send the request; returns the status of the response. Raises ConnectionFailed if there is none."""
        target, headers = receipt["target"], [(each["name"], each["value"]) for each in receipt["headers"]]
        body = _body(receipt)
        if self._secret is not None:
            target, headers = self._signed(receipt, target, headers, body)
        return self._exchange(receipt["method"], self._target(target), headers, body)

    def _target(self, received: str) -> str:
        """The path of our URL, with its own query and that of the request."""
        queries = [text for text in (self._to.query, received.partition("?")[2]) if text]
        return (self._to.path or "/") + (f"?{'&'.join(queries)}" if queries else "")

    def _signed(self, receipt: Json, target: str, headers: Pairs, body: bytes) -> tuple[str, list[tuple[str, str]]]:
        """Target and headers with a current signature, for the URL that is called."""
        hook = self._hooks[receipt["hook_id"]]
        scheme = hook["scheme"]
        named = schemes.named(scheme) if isinstance(scheme, str) else schemes.read(scheme)
        url = f"{self._to.scheme}://{self._to.netloc}{self._target(target)}"
        kept = [(name, value) for name, value in headers if HIDDEN not in value]
        request = HookRequest(receipt["method"], url, kept, body)
        now = SystemClock().now() / SECOND
        signed = schemes.sign(named, self._secret or "", request, now, settings=hook["settings"])
        # The query of our own URL is added again by `_target`.
        query = signed.url.partition("?")[2].removeprefix(self._to.query).removeprefix("&")
        return f"{target.partition('?')[0]}?{query}" if query else target.partition("?")[0], [*signed.headers.items()]

    def _exchange(self, method: str, target: str, headers: Pairs, body: bytes) -> int:
        kind: Any = http.client.HTTPConnection
        more: dict[str, Any] = {}
        if self._to.scheme == "https":
            kind, more = http.client.HTTPSConnection, {"context": ssl.create_default_context()}
        connection = kind(self._to.hostname, self._to.port, timeout=TIMEOUT_SECONDS, **more)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self._to.netloc.rpartition("@")[2])
            for name, value in headers:
                if name.lower() not in NOT_PASSED_ON and value != HIDDEN:
                    connection.putheader(name, value)
            if body or method not in ("GET", "HEAD", "DELETE"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            status: int = connection.getresponse().status
            return status
        except (OSError, http.client.HTTPException) as wrong:
            raise failed(wrong, f"{self._to.scheme}://{self._to.netloc.rpartition('@')[2]}", sent=True) from wrong
        finally:
            connection.close()


def _body(receipt: Mapping[str, Any]) -> bytes:
    text: str | None = receipt["text"]
    return text.encode() if text is not None else base64.b64decode(receipt["base64"])
