"""What came of a request, in words: the judgement of statuses, of broken bodies, and of libcurl's error numbers.

The sentences are shown to whoever owns the endpoint, so they never hold what a name resolved to; that is in the log.
"""

from __future__ import annotations

import errno
import re

import msgspec

from tidings.model import outcome as outcomes
from tidings.model.outcome import Outcome

CANNOT_USE = (
    "The host of this URL cannot be used here: its name does not resolve, or resolves only to addresses that "
    "are not called."
)
"""What tenants read of a host name, whichever it is: else they could list the names of the inner network."""

CLOSED_AFTER_HANDSHAKE = (
    "The endpoint closed the connection right after the TLS handshake, before the request was sent. "
    "It may require a client certificate (client_certificate), or not accept ours."
)

WEIRD_REPLY, BAD_ENCODING, TOO_LARGE = 8, 61, 100
RECV_ERROR, SEND_ERROR, GOT_NOTHING, TOO_MUCH = 56, 55, 52, 23
CONNECT_ERROR, TIMED_OUT = 7, 28
PROXY_UNKNOWN, PROXY_FAILED = 5, 97


class Reply(msgspec.Struct, frozen=True):
    """What came of a request. `answer` holds the first 16 KiB; `reason` also says what became of its body."""

    outcome: Outcome
    status: int | None
    duration_ms: int
    answer: bytes
    retry_after: str | None
    reason: str


def judge(status: int) -> tuple[Outcome, str]:
    """What a status means, and a sentence."""
    if 200 <= status < 300:
        return outcomes.OK, "Delivered."
    if status == 410:
        return outcomes.GONE, "The endpoint answered 410 Gone."
    if status == 304:
        return outcomes.REDIRECT, (
            "The endpoint answered 304 Not Modified, which is not a valid response to a POST. Answer 2xx."
        )
    if 300 <= status < 400:
        return outcomes.REDIRECT, f"The endpoint answered {status}; redirects are not followed. Register the final URL."
    return outcomes.BAD_STATUS, f"The endpoint answered {status}."


def body_note(number: int, read_bytes: int, most_bytes: int, waited_seconds: float) -> str:
    """What became of a body that was not read to its end, as a sentence. `number` is libcurl's."""
    if number == TOO_MUCH:
        return f"Its body is longer than {most_bytes // 1024} KiB; the rest was not read."
    if number == TIMED_OUT:
        return f"Its body was not complete after {waited_seconds:g} s, and the rest was not read."
    return f"Its body broke off after {read_bytes} bytes."


def is_malformed(number: int, message: str) -> bool:
    """Whether libcurl, whose words these are, refused a head for what it says; else it did not come whole."""
    return number in (WEIRD_REPLY, BAD_ENCODING, TOO_LARGE) or (number == RECV_ERROR and _TOO_LARGE in message)


def failure(number: int, message: str, os_error: int) -> tuple[Outcome, str]:
    """The outcome and the sentence for a transfer that ended without a whole head of an answer.

    `number` and `message` are libcurl's, `os_error` is the errno of a failed connect. Timeouts are not judged here.
    """
    if (alert := alert_in(message)) is not None and number in (RECV_ERROR, SEND_ERROR, GOT_NOTHING, *_TLS):
        return outcomes.TLS_FAILED, _alert_sentence(alert)
    if number == 60 and message == "SSL certificate verification failed":
        # libcurl's words for the alert that our certificate has expired.
        return outcomes.TLS_FAILED, _alert_sentence("certificate expired")
    if number == CONNECT_ERROR:
        return outcomes.CONNECT_FAILED, _CONNECT.get(os_error, "No connection could be made.")
    if number in _TLS:
        return outcomes.TLS_FAILED, f"{_TLS[number]} ({message.rstrip('.')})." if message else f"{_TLS[number]}."
    for words, said in _SAID:
        if words in message and number in (RECV_ERROR, SEND_ERROR):
            return said
    return _OTHER.get(number, (_BROKEN, _OURS.format(number=number)))


def proxy_failure(number: int, message: str) -> tuple[Outcome, str] | None:
    """The outcome and the sentence if it was the outbound proxy that failed."""
    if (tunnel := re.search(r"CONNECT tunnel failed, response ([0-9]+)", message)) is not None:
        return outcomes.CONNECT_FAILED, f"The outbound proxy refused the connection: it answered {tunnel[1]}."
    if number == CONNECT_ERROR:
        return outcomes.CONNECT_FAILED, "The connection to the outbound proxy failed."
    if "CONNECT" in message and number in (RECV_ERROR, SEND_ERROR, GOT_NOTHING):
        return outcomes.CONNECT_FAILED, "The outbound proxy closed the connection instead of opening a tunnel."
    return _OTHER[number] if number in (PROXY_UNKNOWN, PROXY_FAILED) else None


def alert_in(message: str) -> str | None:
    """The TLS alert that a message of OpenSSL names, such as `certificate required`."""
    found = re.search(r"SSL routines:.* alert ([a-z ]+)", message)
    return found[1].strip() if found else None


def _alert_sentence(alert: str) -> str:
    if alert == "certificate required":
        return "The endpoint requires a client certificate (TLS alert: certificate required). Set client_certificate."
    if alert in ("unknown ca", "certificate unknown", "bad certificate", "certificate expired", "certificate revoked"):
        return f"The endpoint did not accept the client certificate (TLS alert: {alert})."
    if alert == "handshake failure":
        return (
            "The endpoint refused the TLS handshake (TLS alert: handshake failure): no common version or cipher, "
            "or it requires a client certificate."
        )
    return f"The endpoint ended the TLS connection (TLS alert: {alert})."


_CONNECT = {
    errno.ECONNREFUSED: "The connection was refused: nothing is listening on that port.",
    errno.ECONNRESET: "The connection was reset before it was established.",
    errno.ENETUNREACH: "The network of the host is unreachable.",
    errno.EHOSTUNREACH: "The host is unreachable.",
    errno.ETIMEDOUT: "The host did not respond to the connection attempt.",
    errno.EADDRNOTAVAIL: "This server has no free local port, or no address of that kind.",
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
_BROKEN = outcomes.BROKEN_ANSWER
_TOO_LONG = "The head of the response is too long (at most 100 kB per header, 300 kB and 5,000 headers in total)."
_OURS = "The transfer failed inside this server (libcurl error {number}); please report it."
_OTHER = {
    1: (_BROKEN, "The response is not HTTP, or uses an unsupported version."),
    3: (outcomes.UNSENDABLE, "The URL cannot be read."),
    5: (outcomes.CONNECT_FAILED, "The name of the outbound proxy did not resolve."),
    6: (outcomes.DNS_FAILED, "The name did not resolve."),
    8: (_BROKEN, "The response is not valid HTTP."),
    16: (_BROKEN, "The HTTP/2 connection broke before the head of a response was complete."),
    18: (_BROKEN, "The response broke off before its head was complete."),
    27: (_BROKEN, "This server ran out of memory during the transfer."),
    45: (outcomes.CONNECT_FAILED, "No local address was available for the connection."),
    52: (_BROKEN, "The connection was closed before a response arrived."),
    55: (_BROKEN, "The connection broke while the request was sent."),
    56: (_BROKEN, "The connection broke before the head of a response was complete."),
    61: (_BROKEN, "The response has an encoding that cannot be read."),
    65: (_BROKEN, "The connection, kept from an earlier request, broke before a response arrived."),
    92: (_BROKEN, "The HTTP/2 stream was reset before the head of a response was complete."),
    95: (_BROKEN, "The HTTP/3 connection broke before the head of a response was complete."),
    96: (outcomes.CONNECT_FAILED, "No QUIC connection could be made."),
    97: (outcomes.CONNECT_FAILED, "The outbound proxy did not open the connection."),
    100: (_BROKEN, _TOO_LONG),
}
_TOO_LARGE = "Too large response headers"
_SAID = (
    (_TOO_LARGE, (_BROKEN, _TOO_LONG)),
    ("Connection reset", (_BROKEN, "The connection was reset before the head of a response was complete.")),
)
"""What libcurl tells apart only in words."""
