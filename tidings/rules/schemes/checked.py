"""What a scheme must be beyond its types: sources, templates and combinations that make sense."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import (
    Basic,
    Certificate,
    Check,
    Handshake,
    HookReply,
    ItemSignatures,
    Jwt,
    Scheme,
    Signature,
    SignaturePlace,
    SortedParameters,
    Token,
)
from tidings.rules.schemes.sources import BODY_PIECES, Source, Template

CHECKS_MAX = 16
NOBODYS_HOST = "a-host-of-nobody.invalid"
_NARROW = re.compile(r"(\\\.|\[[a-z0-9-]+\]|[a-z0-9()|?+*-]|\{[0-9,]+\})+")
"""What a pattern of hosts may contain: a bare dot, `\\S` or `[^/]` would let in hosts that nobody meant."""
HMAC_PIECE = re.compile(r"(hmac-(?:sha1|sha256|sha384|sha512|md5)):(hex|base64|base64url):(.+)", re.DOTALL)


def check_all(scheme: Scheme) -> None:
    """Raise Refused, with the place, for the first thing in a scheme that makes no sense."""
    several = isinstance(scheme.check, tuple)
    if not 0 < len(scheme.checks) <= CHECKS_MAX:
        raise Refused("/check", "wrong_value", f"A scheme must have 1 to {CHECKS_MAX} checks.")
    for index, check in enumerate(scheme.checks):
        _check(check, f"/check/{index}" if several else "/check", scheme)
    for name in ("delivery_id", "event_type"):
        if getattr(scheme, name):
            Source(getattr(scheme, name), f"/{name}")
    for index, handshake in enumerate(scheme.handshakes):
        if isinstance(handshake, Handshake):
            check_handshake(handshake, f"/handshakes/{index}")
    for name, reply in (("accepted", scheme.accepted), ("refused", scheme.refused)):
        if reply is not None:
            check_reply(reply, f"/{name}", signs=False)


def _check(check: Check, at: str, scheme: Scheme) -> None:
    match check:
        case Signature():
            _signature(check, at)
        case Token():
            Source(check.source, f"{at}/from")
        case SortedParameters():
            _place(check.signature, f"{at}/signature")
            if check.algorithm in crypto.PUBLIC:
                raise Refused(f"{at}/algorithm", "wrong_value", "Sorted parameters require an algorithm with a secret.")
        case Certificate():
            _patterns(check.hosts, f"{at}/hosts")
            if not check.hosts:
                raise Refused(f"{at}/hosts", "missing", "List the hosts from which certificates may be fetched.")
            _asks_whose(check, scheme)
        case Jwt():
            _jwt(check, at, scheme)
        case Basic() | ItemSignatures():
            pass


ADDRESSEE = {"sns": "topic_arn", "paypal": "webhook_id"}
"""The setting that identifies the customer: the sender signs all customers' messages with the same certificate."""


def _asks_whose(check: Certificate, scheme: Scheme) -> None:
    name = ADDRESSEE[check.style]
    if name not in scheme.settings or not scheme.settings[name].required:
        detail = f"This sender signs for all customers with the same keys, so the setting `{name}` is required."
        raise Refused(f"/settings/{name}", "missing", detail)


def _signature(check: Signature, at: str) -> None:
    _place(check.signature, f"{at}/signature")
    templates = (check.signed,) if isinstance(check.signed, str) else check.signed
    if not templates:
        raise Refused(f"{at}/signed", "missing", "A scheme must specify what is signed.")
    plain = not check.algorithm.startswith("hmac-") and check.algorithm not in crypto.PUBLIC
    for text in templates:
        names = Template(text, f"{at}/signed").names
        if plain != ("secret" in names):
            detail = "For a plain hash, `signed` must contain {secret}; for every other algorithm it must not."
            raise Refused(f"{at}/signed", "template", detail)
        if not names:
            raise Refused(f"{at}/signed", "template", "The scheme signs no part of the request.")
        for name, member in (("timestamp", check.timestamp), ("id", check.id)):
            if name in names and not member:
                raise Refused(
                    f"{at}/{name}",
                    "missing",
                    f"The template contains {{{name}}}; specify where this value comes from.",
                )
    if check.timestamp is not None:
        Source(check.timestamp.source, f"{at}/timestamp/from")
        _is_covered(check, templates, at)
    for source in check.requires:
        Source(source, f"{at}/requires")
    if check.id:
        Source(check.id, f"{at}/id")
    if check.keys is not None:
        if check.algorithm not in crypto.PUBLIC:
            raise Refused(
                f"{at}/keys", "wrong_value", "Only schemes with a public-key algorithm can use published keys."
            )
        _patterns(check.keys.hosts, f"{at}/keys/hosts")


def _is_covered(check: Signature, templates: tuple[str, ...], at: str) -> None:
    """A timestamp that is not signed proves nothing: an attacker who replays a request writes a new one."""
    assert check.timestamp is not None
    inside_body = check.timestamp.source.startswith(("json:", "form:"))
    for text in templates:
        names = Template(text).names
        named = "timestamp" in names or check.timestamp.source in names
        if not named and not (inside_body and names & BODY_PIECES):
            raise Refused(
                f"{at}/signed", "template", "The timestamp is not signed, so it proves nothing: add {timestamp}."
            )


def _place(place: SignaturePlace, at: str) -> None:
    Source(place.source, f"{at}/from")
    if place.skip and not place.split:
        raise Refused(
            f"{at}/skip", "wrong_value", "`skip` requires `split`: only parts of a split text can be skipped."
        )


def _patterns(patterns: tuple[str, ...], at: str) -> None:
    for index, pattern in enumerate(patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            raise Refused(f"{at}/{index}", "wrong_value", f"This is not a regular expression: {error}.") from None
        if not _NARROW.fullmatch(pattern) or re.fullmatch(pattern, NOBODYS_HOST):
            detail = (
                "A host pattern may contain only letters, digits, hyphens, \\., character classes, groups and "
                "quantifiers, and must not match every host."
            )
            raise Refused(f"{at}/{index}", "wrong_value", detail)


def _jwt(check: Jwt, at: str, scheme: Scheme) -> None:
    Source(check.source, f"{at}/from")
    by_secret = [name.startswith("HS") for name in check.algorithms]
    if not by_secret or any(by_secret) != all(by_secret):
        # A public key taken for an HMAC secret is the oldest hole of JWTs.
        detail = "List algorithms either for secrets (HS256 ...) or for key pairs (RS256, ES256), not both."
        raise Refused(f"{at}/algorithms", "wrong_value", detail)
    if all(by_secret) == bool(check.keys or check.plaid):
        raise Refused(
            f"{at}/keys",
            "wrong_value",
            "`keys` is required for tokens signed with a key pair, and not allowed for others.",
        )
    for name, claim in check.claims.items():
        if bool(claim.setting) == bool(claim.values):
            raise Refused(f"{at}/claims/{name}", "wrong_value", "A claim needs either `values` or `setting`.")
        if claim.setting and claim.setting not in scheme.settings:
            raise Refused(f"{at}/claims/{name}/setting", "wrong_value", f"There is no setting {claim.setting!r}.")


def check_handshake(handshake: Handshake, at: str) -> None:
    """Raise Refused if a handshake makes no sense."""
    for source in _sources(handshake):
        Source(source, at)
    if not handshake.when.present and not handshake.when.equals and handshake.when.method == ("POST",):
        raise Refused(
            f"{at}/when", "missing", "This handshake would match every POST: add a condition that identifies it."
        )
    if handshake.fetch and not handshake.hosts:
        raise Refused(f"{at}/hosts", "missing", "List the hosts from which the URL may be fetched.")
    _patterns(handshake.hosts, f"{at}/hosts")
    check_reply(handshake.reply, f"{at}/reply", signs=True)


def _sources(handshake: Handshake) -> Iterator[str]:
    yield from handshake.when.present
    yield from handshake.when.equals
    yield from handshake.must_equal
    yield from filter(None, (handshake.store_secret, handshake.fetch))


def check_reply(reply: HookReply, at: str, *, signs: bool) -> None:
    """Raise Refused if the templates of an answer make no sense. `signs` says whether it may hold an HMAC.

    Only answers to handshakes may: others go to anybody, and contain what anybody has sent.
    """
    if reply.text is not None and reply.json is not None:
        raise Refused(f"{at}/json", "wrong_value", "A response must be either text or JSON.")
    for member, text in _texts(reply):
        for name in re.findall(r"\{([^{}]*)\}", text):
            found = HMAC_PIECE.fullmatch(name)
            if found and not signs:
                raise Refused(f"{at}/{member}", "template", "Only the response to a handshake may contain a signature.")
            Source(found.group(3) if found else name, f"{at}/{member}")


def _texts(reply: HookReply) -> Iterator[tuple[str, str]]:
    if reply.text:
        yield "text", reply.text
    for value in reply.headers.values():
        yield "headers", value
    waiting = [reply.json]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield "json", value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
