"""The possible outcomes of an attempt: a closed list, with the meaning of each.

What follows from each: `rules/deliver/judgement.py`.
"""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """One kind of result."""

    name: str
    meaning: str


OK = Outcome("ok", "The endpoint answered with a 2xx status, or the link edited the item.")
BAD_STATUS = Outcome("bad_status", "The endpoint answered with a status other than 2xx.")
REDIRECT = Outcome("redirect", "The endpoint answered with a redirect, which is not followed.")
GONE = Outcome(
    "gone",
    "The endpoint answered 410: it wants no more events. The endpoint is disabled, and its deliveries are kept.",
)
TIMEOUT = Outcome("timeout", "No response arrived within the time limit.")
CONNECT_FAILED = Outcome("connect_failed", "No connection could be made.")
DNS_FAILED = Outcome("dns_failed", "The host name could not be resolved.")
TLS_FAILED = Outcome("tls_failed", "The TLS handshake failed, or the certificate is not valid.")
REFUSED_ADDRESS = Outcome(
    "refused_address", "The address is private or reserved, and this server is not allowed to call it."
)
BROKEN_ANSWER = Outcome(
    "broken_answer", "The response broke off before its headers were complete, or was not valid HTTP."
)
CANCELLED = Outcome("cancelled", "The delivery was cancelled.")
UNSENDABLE = Outcome("unsendable", "The request could not be built from the endpoint's settings.")
REPLACED = Outcome(
    "replaced",
    "A newer event with the same subject replaced this one: the link acts only on the newest (`order: subject`).",
)
TEMPLATE_FAILED = Outcome("template_failed", "A template of the link could not be filled in from the event.")
LOOP = Outcome("loop", "The event is the result of too many links that triggered one another.")
ITEM_INVALID = Outcome("item_invalid", "The collection does not accept the item.")
ITEM_CONFLICT = Outcome("item_conflict", "Another item already has the same id, or the same value in a unique field.")
ITEM_MISSING = Outcome("item_missing", "The item, or an item that it refers to, does not exist.")
ITEM_REFERENCED = Outcome("item_referenced", "Other items refer to the item, so it cannot be deleted.")
COLLECTION_MISSING = Outcome("collection_missing", "The collection does not exist.")
EDIT_FAILED = Outcome("edit_failed", "Something went wrong on the server.")
NOT_OK = Outcome("not_ok", "The response had a 2xx status, but was a SOAP fault, or the link's `ok` was false.")
IN_DOUBT = Outcome(
    "in_doubt", "The call was sent, but no response shows whether it had an effect, and repeating it may not be safe."
)
AUTH_FAILED = Outcome("auth_failed", "The connection got no access token, so the call was not sent.")
BAD_ANSWER = Outcome("bad_answer", "The response does not have the content that the link expects.")
INTERRUPTED = Outcome("interrupted", "The link was paused or edited during the read.")
OBSERVE_FAILED = Outcome("observe_failed", "Something went wrong on the server.")
OF_CALLS = (NOT_OK, IN_DOUBT, AUTH_FAILED, BAD_ANSWER, INTERRUPTED, OBSERVE_FAILED)
"""The possible outcomes of a link's call, in addition to those of a webhook."""
SKIPPED = Outcome(
    "skipped", "Nothing was done: the link's `if` was false, or the link had already succeeded for this key (`once`)."
)
SPLIT = Outcome("split", "The event was split (`split`): each element of its list has its own delivery.")
OF_EDITS = (
    SKIPPED,
    SPLIT,
    TEMPLATE_FAILED,
    LOOP,
    ITEM_INVALID,
    ITEM_CONFLICT,
    ITEM_MISSING,
    ITEM_REFERENCED,
    COLLECTION_MISSING,
    EDIT_FAILED,
)
"""The possible outcomes of a link's edit of an item, other than success."""
OURS = (CANCELLED, UNSENDABLE, REPLACED)
"""Outcomes without a request, because nothing was sent."""

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
    *OF_CALLS,
    *OF_EDITS,
    *OURS,
)
