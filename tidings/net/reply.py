"""The result of a request, as facts: a status, header lines, a body, or what failed, from a closed list.

Nothing here is judged: whether 410 or 302 is a success is up to the sender of the request. The sentences are shown to
the link's owner, so they never say what a name resolved to; that is in the log.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

FailureKind = Literal[
    "url",
    "name",
    "address",
    "connection",
    "tls",
    "timeout",
    "answer",
    "head",
    "body_too_long",
    "body_too_slow",
    "body_broken",
]
"""What failed: the URL could not be read; its name could not be resolved; its address may not be called; no connection
could be made; TLS failed; no response came in time; or it broke off before its headers were complete. The last four
come with a status that can be relied on: only the status line was valid, or the body was not read to its end."""

AFTER_STATUS: frozenset[FailureKind] = frozenset(("head", "body_too_long", "body_too_slow", "body_broken"))

CANNOT_USE = (
    "The host of this URL cannot be used here: its name does not resolve, or resolves only to addresses that "
    "this server refuses to call."
)
"""What tenants see whether or not a host name exists. Otherwise they could find out the internal network's names."""

CLOSED_AFTER_HANDSHAKE = (
    "The endpoint closed the connection right after the TLS handshake, before the request was sent. "
    "It may require a client certificate (`client_certificate`), or may have rejected the one that was sent."
)

WEIRD_REPLY, BAD_ENCODING, TOO_LARGE = 8, 61, 100
RECV_ERROR, SEND_ERROR, GOT_NOTHING, TOO_MUCH = 56, 55, 52, 23
CONNECT_ERROR, TIMED_OUT = 7, 28
PROXY_UNKNOWN, PROXY_FAILED = 5, 97


class TransportFailure(msgspec.Struct, frozen=True):
    """Why no complete response arrived: which step failed, and a sentence."""

    kind: FailureKind
    reason: str


class Reply(msgspec.Struct, frozen=True):
    """The result of a request. `body` has as much of it as the request asked for."""

    status: int | None
    """The status, if one was read. If there is a `failure`, `answered` tells whether the status can be relied on."""
    lines: Sequence[bytes]
    """The status line and the header lines, as received."""
    body: bytes
    duration_ms: int
    failure: TransportFailure | None = None

    @property
    def answered(self) -> bool:
        """Whether the status is reliable, whatever became of the rest."""
        return self.failure is None or self.failure.kind in AFTER_STATUS

    def header(self, name: str) -> str | None:
        """The value of the first header of this name, in lower case; None without one."""
        begin = f"{name}:".encode()
        for line in self.lines:
            if line[: len(begin)].lower() == begin:
                return line[len(begin) :].decode("latin-1").strip()
        return None


def body_failure(number: int, read_bytes: int, most_bytes: int, waited_seconds: float) -> TransportFailure:
    """Why a body was not read to its end. `number` is libcurl's."""
    if number == TOO_MUCH:
        size = f"{most_bytes // 1024} KiB" if most_bytes >= 1024 else f"{most_bytes} bytes"
        return TransportFailure("body_too_long", f"The response body is longer than {size}; the rest was not read.")
    if number == TIMED_OUT:
        said = f"The response body was not complete after {waited_seconds:g} s, and the rest was not read."
        return TransportFailure("body_too_slow", said)
    return TransportFailure("body_broken", f"The response body broke off after {read_bytes} bytes.")


def is_malformed(number: int, message: str) -> bool:
    """Whether libcurl, by this message, refused a head for its content; otherwise the head was incomplete."""
    return number in (WEIRD_REPLY, BAD_ENCODING, TOO_LARGE) or (number == RECV_ERROR and _TOO_LARGE in message)


def failure(number: int, message: str, os_error: int) -> TransportFailure:
    """Why a transfer ended without a complete response head.

    `number` and `message` are libcurl's, `os_error` is the errno of a failed connect. Timeouts are reported in
    `handle.py`.
    """
    if (alert := alert_in(message)) is not None and number in (RECV_ERROR, SEND_ERROR, GOT_NOTHING, *_TLS):
        return TransportFailure("tls", _alert_sentence(alert))
    if number == 60 and message == "SSL certificate verification failed":
        # libcurl's message for the alert that our certificate has expired.
        return TransportFailure("tls", _alert_sentence("certificate expired"))
    if number == CONNECT_ERROR:
        return TransportFailure("connection", _CONNECT.get(os_error, "No connection could be made."))
    untrusted = next((why for words, why in _UNTRUSTED if words in message), None) if number == 60 else None
    if untrusted is not None:
        return TransportFailure("tls", f"{_TLS[60]}: {untrusted}.")
    if number in _TLS:
        return TransportFailure("tls", f"{_TLS[number]} ({message.rstrip('.')})." if message else f"{_TLS[number]}.")
    for words, said in _SAID:
        if words in message and number in (RECV_ERROR, SEND_ERROR):
            return said
    return _OTHER.get(number) or TransportFailure("answer", _OURS.format(number=number))


def proxy_failure(number: int, message: str) -> TransportFailure | None:
    """Why it failed, if it was the outbound proxy that did."""
    if (tunnel := re.search(r"CONNECT tunnel failed, response ([0-9]+)", message)) is not None:
        return TransportFailure("connection", f"The outbound proxy refused the connection: it answered {tunnel[1]}.")
    if number == CONNECT_ERROR:
        return TransportFailure("connection", "The connection to the outbound proxy failed.")
    if "CONNECT" in message and number in (RECV_ERROR, SEND_ERROR, GOT_NOTHING):
        return TransportFailure("connection", "The outbound proxy closed the connection instead of opening a tunnel.")
    return _OTHER[number] if number in (PROXY_UNKNOWN, PROXY_FAILED) else None


def alert_in(message: str) -> str | None:
    """The TLS alert that a message of OpenSSL names, such as `certificate required`."""
    found = re.search(r"SSL routines:.* alert ([a-z ]+)", message)
    return found[1].strip() if found else None


def _alert_sentence(alert: str) -> str:
    if alert == "certificate required":
        return "The endpoint requires a client certificate (TLS alert: certificate required). Set `client_certificate`."
    if alert in ("unknown ca", "certificate unknown", "bad certificate", "certificate expired", "certificate revoked"):
        return f"The endpoint did not accept the client certificate (TLS alert: {alert})."
    if alert == "handshake failure":
        return (
            "The endpoint refused the TLS handshake (TLS alert: handshake failure). Either there is no "
            "common TLS version or cipher, or the endpoint requires a client certificate."
        )
    return f"The endpoint ended the TLS connection (TLS alert: {alert})."


_CONNECT = {
    errno.ECONNREFUSED: "The connection was refused: nothing is listening on that port.",
    errno.ECONNRESET: "The connection was reset before it was established.",
    errno.ENETUNREACH: "The host's network is unreachable.",
    errno.EHOSTUNREACH: "The host is unreachable.",
    errno.ETIMEDOUT: "The host did not respond to the connection attempt.",
    errno.EADDRNOTAVAIL: "This server has no free local port, or no address of the required kind (IPv4 or IPv6).",
    errno.EACCES: "This server's firewall forbids the connection.",
    errno.EPERM: "This server's firewall forbids the connection.",
    errno.EMFILE: "This server has too many files open; raise its limit (ulimit -n).",
    errno.ENFILE: "This server has too many files open; raise its limit (ulimit -n).",
}
_TLS = {
    35: "The TLS handshake failed",
    53: "The TLS library could not be used",
    54: "The TLS library could not be used",
    58: "The client certificate or its key could not be used",
    59: "No common TLS cipher was found",
    60: "The endpoint's certificate was not accepted",
    66: "The TLS library could not be used",
    77: "The certificate authorities could not be read",
    80: "The TLS connection could not be closed",
    82: "The certificate revocation list could not be read",
    83: "The endpoint's certificate has the wrong issuer",
    90: "The endpoint's public key is not the expected one",
    91: "The status of the endpoint's certificate is not valid",
    98: "The endpoint requires a client certificate",
}
_UNKNOWN = "it is signed by an unknown authority. Set ca to the certificate of its authority"
_UNTRUSTED = (
    ("self-signed certificate in certificate chain", _UNKNOWN),
    ("self signed certificate in certificate chain", _UNKNOWN),
    ("unable to get local issuer certificate", f"{_UNKNOWN}, or have the endpoint send the whole chain"),
    ("unable to verify the first certificate", f"{_UNKNOWN}, or have the endpoint send the whole chain"),
    ("self-signed certificate", "it is self-signed. Set ca to this certificate to trust it"),
    ("self signed certificate", "it is self-signed. Set ca to this certificate to trust it"),
    ("certificate has expired", "it has expired"),
    ("certificate is not yet valid", "it is not valid yet"),
    ("does not match target host name", "it is for another host name"),
    ("alternative certificate subject name matches", "it is for another host name"),
    ("Hostname mismatch", "it is for another host name"),
    ("IP address mismatch", "it is for another address"),
)
"""OpenSSL's message about a certificate, what it means and what to do; the first match counts."""
_TOO_LONG = "The response headers are too long (at most 100 kB per header, 300 kB and 5,000 headers in total)."
_RESET = "The connection was reset before the response headers were complete."
_OURS = "The transfer failed inside this server (libcurl error {number}); please report it."
_OTHER = {
    1: TransportFailure("answer", "The response is not HTTP, or uses an unsupported HTTP version."),
    3: TransportFailure("url", "The URL cannot be read."),
    5: TransportFailure("connection", "The name of the outbound proxy did not resolve."),
    6: TransportFailure("name", "The name did not resolve."),
    8: TransportFailure("answer", "The response is not valid HTTP."),
    16: TransportFailure("answer", "The HTTP/2 connection broke before the response headers were complete."),
    18: TransportFailure("answer", "The response broke off before its headers were complete."),
    27: TransportFailure("answer", "This server ran out of memory during the transfer."),
    45: TransportFailure("connection", "No local address was available for the connection."),
    52: TransportFailure("answer", "The connection was closed before a response arrived."),
    55: TransportFailure("answer", "The connection broke while the request was being sent."),
    56: TransportFailure("answer", "The connection broke before the response headers were complete."),
    61: TransportFailure("answer", "The response has an encoding that cannot be read."),
    65: TransportFailure(
        "answer", "The connection, which was kept from an earlier request, broke before a response arrived."
    ),
    92: TransportFailure("answer", "The HTTP/2 stream was reset before the response headers were complete."),
    95: TransportFailure("answer", "The HTTP/3 connection broke before the response headers were complete."),
    96: TransportFailure("connection", "No QUIC connection could be made."),
    97: TransportFailure("connection", "The outbound proxy did not open the connection."),
    100: TransportFailure("answer", _TOO_LONG),
}
_TOO_LARGE = "Too large response headers"
_SAID = (
    (_TOO_LARGE, TransportFailure("answer", _TOO_LONG)),
    ("Connection reset", TransportFailure("answer", _RESET)),
)
"""Failures that libcurl distinguishes only by its messages."""
