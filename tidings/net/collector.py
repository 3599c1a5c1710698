"""The connection to a collector of traces: one request after the other, from the thread that sends spans."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import ssl
from urllib.parse import urlsplit

import msgspec

from tidings.rules.tracing.configured import Collector

ANSWER_BYTES_SHOWN = 200
RETRIED = frozenset({429, 502, 503, 504})
"""The HTTP statuses after which the same spans may be sent again (OTLP specification, "Failures")."""


class NotSent(msgspec.Struct, frozen=True):
    """The reason why the collector did not accept spans."""

    why: str
    """Which URL refused the spans, and how; a part of a sentence."""
    is_final: bool
    """Whether the collector would refuse the same spans again."""


class CollectorConnection:
    """Kept open between requests."""

    def __init__(self, collector: Collector) -> None:
        """Raises OSError if a certificate cannot be read."""
        self._collector, self._parts = collector, urlsplit(collector.url)
        self._tls: ssl.SSLContext | None = None
        if self._parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=collector.ca_file)
            if collector.certificate_file is not None:
                self._tls.load_cert_chain(collector.certificate_file, collector.key_file)
        self._open: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> NotSent | None:
        """Send spans; returns why that failed, or None."""
        headers = {"Content-Type": "application/x-protobuf", **self._collector.headers}
        if self._collector.is_packed:
            body, headers["Content-Encoding"] = gzip.compress(body, 6), "gzip"
        was_open = self._open is not None
        try:
            return self._posted(body, headers)
        except (OSError, http.client.HTTPException, ValueError) as wrong:
            self.close()
            if not was_open or isinstance(wrong, TimeoutError):
                return self._not_sent(_reason(wrong))
        # The collector had closed a connection that was kept open.
        try:
            return self._posted(body, headers)
        except (OSError, http.client.HTTPException, ValueError) as wrong:
            self.close()
            return self._not_sent(_reason(wrong))

    def _not_sent(self, why: str, *, is_final: bool = False) -> NotSent:
        return NotSent(f"{self._collector.shown}: {why}", is_final)

    def _posted(self, body: bytes, headers: dict[str, str]) -> NotSent | None:
        if self._open is None:
            self._open = self._connect()
        target = f"{self._parts.path or '/'}{'?' + self._parts.query if self._parts.query else ''}"
        self._open.request("POST", target, body, headers)
        answer = self._open.getresponse()
        said = answer.read()
        if 200 <= answer.status < 300:
            return None
        text = said[:ANSWER_BYTES_SHOWN].decode("utf-8", "replace")
        why = f"it answered {answer.status} {''.join(c if c.isprintable() else ' ' for c in text)}".strip()
        return self._not_sent(why, is_final=answer.status not in RETRIED)

    def _connect(self) -> http.client.HTTPConnection:
        host, port, seconds = self._parts.hostname or "", self._parts.port, self._collector.timeout_seconds
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=seconds)

    def close(self) -> None:
        """Close it."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.close()
        self._open = None


def _reason(wrong: Exception) -> str:
    """Why a connection failed, without the system's numbers."""
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, {wrong.verify_message}"
    text = wrong.strerror if isinstance(wrong, OSError) and wrong.strerror else str(wrong)
    return text or type(wrong).__name__
