"""What can come of one attempt: a closed list, each with a sentence and whether trying again is worthwhile."""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """One kind of result. `retry`: trying again may help. `blames`: it counts against the endpoint's health."""

    name: str
    meaning: str
    retry: bool
    blames: bool


OK = Outcome("ok", "The endpoint answered with a 2xx status.", False, False)
BAD_STATUS = Outcome("bad_status", "The endpoint answered with a status that is not 2xx.", True, True)
REDIRECT = Outcome("redirect", "The endpoint answered with a redirect, which is not followed.", True, True)
GONE = Outcome(
    "gone", "The endpoint answered 410: it wants no more. It is disabled, its deliveries are kept.", True, True
)
TIMEOUT = Outcome("timeout", "No answer came within the time limit.", True, True)
CONNECT_FAILED = Outcome("connect_failed", "No connection could be made.", True, True)
DNS_FAILED = Outcome("dns_failed", "The host name could not be resolved.", True, True)
TLS_FAILED = Outcome("tls_failed", "The TLS handshake or the certificate failed.", True, True)
REFUSED_ADDRESS = Outcome("refused_address", "The address is private or reserved, and not allowed here.", True, True)
BROKEN_ANSWER = Outcome(
    "broken_answer", "The answer broke off before its headers were complete, or is not HTTP.", True, True
)
CANCELLED = Outcome("cancelled", "Somebody cancelled the delivery.", False, False)
UNSENDABLE = Outcome("unsendable", "The request could not be built from the endpoint's settings.", False, False)

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
