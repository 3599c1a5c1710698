"""Signature schemes: whether a request really comes from its sender, for a hundred senders and any scheme that a user
declares.

    from tidings.rules import schemes

    scheme = schemes.named("github")                        # or schemes.read({"check": {...}}), a user's own
    verifier = schemes.Verifier(scheme, ["the secret"])     # compiled once, used for every request
    request = schemes.HookRequest("POST", "https://example.com/in/github", headers, body)
    answer = schemes.before(verifier, request)              # an unsigned handshake is answered first
    verdict = verifier.verify(request, now)                 # verdict.ok, .reason, .detail, .secret
    answer = schemes.after(verifier, request)               # a signed handshake, once the request is genuine
    schemes.explain(verifier, request, now)                 # for people: what would have to change

Nothing here does I/O: the clock is an argument, and anything to be fetched first (`verifier.needs(request)`) is passed
in. `form.py` defines what a scheme can say, `named/` has the senders, and `kinds/` one file for each kind of check.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidings.rules.schemes.answering import HandshakeAnswer, after, before, fill, handshake
    from tidings.rules.schemes.catalogue import families, handshakes, named, names, schemes
    from tidings.rules.schemes.describe import body_in_words, checks_in_words, replays_in_words
    from tidings.rules.schemes.form import Handshake, HookReply, Scheme, read, schema
    from tidings.rules.schemes.kinds.jwks import Needed
    from tidings.rules.schemes.raw import read_request, write_request
    from tidings.rules.schemes.reasons import explain, signs_body, signs_url
    from tidings.rules.schemes.request import HookRequest
    from tidings.rules.schemes.signing.examples import example_secret
    from tidings.rules.schemes.signing.sign import sample, sign
    from tidings.rules.schemes.sources import Source, source
    from tidings.rules.schemes.verdict import MEANINGS, REASONS, Reason, Verdict
    from tidings.rules.schemes.verifier import Verifier

# Loaded on first use, because a program that only signs our own webhooks does not need the rest.
_HOMES = {
    "catalogue": ("families", "handshakes", "named", "names", "schemes"),
    "describe": ("body_in_words", "checks_in_words", "replays_in_words"),
    "reasons": ("explain", "signs_body", "signs_url"),
    "form": ("Handshake", "HookReply", "Scheme", "read", "schema"),
    "answering": ("HandshakeAnswer", "after", "before", "fill", "handshake"),
    "kinds.jwks": ("Needed",),
    "request": ("HookRequest",),
    "raw": ("read_request", "write_request"),
    "signing.examples": ("example_secret",),
    "signing.sign": ("sample", "sign"),
    "sources": ("Source", "source"),
    "verdict": ("MEANINGS", "REASONS", "Reason", "Verdict"),
    "verifier": ("Verifier",),
}
_HOME = {name: home for home, names_ in _HOMES.items() for name in names_}

__all__ = [
    "MEANINGS",
    "REASONS",
    "Handshake",
    "HandshakeAnswer",
    "HookReply",
    "HookRequest",
    "Needed",
    "Reason",
    "Scheme",
    "Source",
    "Verdict",
    "Verifier",
    "after",
    "before",
    "body_in_words",
    "checks_in_words",
    "example_secret",
    "explain",
    "families",
    "fill",
    "handshake",
    "handshakes",
    "named",
    "names",
    "read",
    "read_request",
    "replays_in_words",
    "sample",
    "schema",
    "schemes",
    "sign",
    "signs_body",
    "signs_url",
    "source",
    "write_request",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return found
