"""The possible outcomes of an attempt: a closed list with sentences.

What follows from each: `rules/deliver/judgement.py`.
"""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """One kind of result."""

    name: str
    meaning: str


OK = Outcome("ok", "The endpoint answered with a 2xx status.")
BAD_STATUS = Outcome("bad_status", "The endpoint answered with a status other than 2xx.")
REDIRECT = Outcome("redirect", "The endpoint answered with a redirect, which is not followed.")
GONE = Outcome(
    "gone", ("The endpoint answered 410: it wants no more events. It is disabled, and its deliveries are kept.")
)
TIMEOUT = Outcome("timeout", "No response arrived within the time limit.")
CONNECT_FAILED = Outcome("connect_failed", "No connection could be made.")
DNS_FAILED = Outcome("dns_failed", "The host name could not be resolved.")
TLS_FAILED = Outcome("tls_failed", "The TLS handshake or the certificate failed.")
REFUSED_ADDRESS = Outcome("refused_address", "The address is private or reserved, and not allowed here.")
BROKEN_ANSWER = Outcome("broken_answer", "The response broke off before its headers were complete, or is not HTTP.")
CANCELLED = Outcome("cancelled", "The delivery was cancelled.")
UNSENDABLE = Outcome("unsendable", "The request could not be built from the endpoint's settings.")
OURS = (CANCELLED, UNSENDABLE)
"""Outcomes without a request: nothing was sent."""

OUTCOMES: tuple[Outcome, ...] = (
    OK,
    BAD_STATUS,
    REDIRECT,
    GONE,
    TIMEOUT,
    CONNECT_FAILED,
    DNS_FAILED,
    TLS_FAILED,
    REFUSED_ADDRESS,
    BROKEN_ANSWER,
    CANCELLED,
    UNSENDABLE,
)
