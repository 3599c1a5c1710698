"""Figure `verify`: what one generic verification of another sender's webhook costs, and what refusing one costs."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from functools import partial

from benchmarks.context import Context
from benchmarks.table import Row
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Scheme, Verifier
from tidings.rules.schemes.form import Signature, SortedParameters

BODY = b'{"text":"' + b"x" * 4_989 + b'"}'
"""5,000 bytes."""
NOW = 1_790_000_000.0
SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
NAMES = ("github", "stripe", "slack", "standard-webhooks", "hubspot", "twilio")
"""The first is the figure, the others are in the note and the details."""
CALLS = 500
TURNS, QUICK_TURNS = 60, 5

Calls = dict[str, Callable[[], object]]


def verify(context: Context) -> list[Row]:
    """The least microseconds of turns of 500 checks, each with a fresh request; the reference is a bare HMAC-SHA256."""
    calls: Calls = {"bare": partial(hmac.digest, SECRET.encode(), BODY, hashlib.sha256)}
    for name in NAMES:
        calls |= _calls(name)
    taken = dict.fromkeys(calls, float("inf"))
    for _ in range(QUICK_TURNS if context.quick else TURNS):
        for name, call in calls.items():
            taken[name] = min(taken[name], _microseconds(call))
    first, bare = NAMES[0], taken["bare"]
    others = ", ".join(f"{name} {taken[f'{name} genuine']:.1f}" for name in NAMES[1:])
    note = f"{others}; forged {taken[f'{first} forged']:.1f}, malformed {taken[f'{first} malformed']:.1f}"
    return [Row("verify", taken[f"{first} genuine"], bare, note=note, details=dict(taken))]


def _calls(name: str) -> Calls:
    """Checks of a genuine request, and of one whose signature is another, or too short."""
    scheme = schemes.named(name)
    request = schemes.sample(scheme)
    body = request.body + b"&Body=" + BODY if "form" in request.headers["content-type"] else BODY
    request = schemes.sign(scheme, SECRET, request.but(body=body), NOW)
    verifier = Verifier(scheme, SECRET)
    forged = schemes.sign(scheme, SECRET[::-1], request, NOW)
    place = _place(scheme)
    short = request.but(headers={**request.headers, place: request.headers[place][:-4]})
    kinds = {"genuine": request, "forged": forged, "malformed": short}
    return {f"{name} {kind}": partial(_check, verifier, *_parts(one)) for kind, one in kinds.items()}


def _place(scheme: Scheme) -> str:
    check = scheme.checks[0]
    assert isinstance(check, Signature | SortedParameters)
    return check.signature.source.partition(" | ")[0].removeprefix("header:").lower()


def _parts(request: HookRequest) -> tuple[str, list[tuple[str, str]], bytes]:
    return request.url, list(request.headers.items()), request.body


def _check(verifier: Verifier, url: str, headers: list[tuple[str, str]], body: bytes) -> object:
    return verifier.verify(HookRequest("POST", url, headers, body), NOW)


def _microseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - begun) / CALLS * 1e6
