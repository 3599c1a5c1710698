"""Requests at the edges of what senders send: their own packages and we come to the same verdict.

Where we differ, it is on purpose, and named here: STRICTER lists what we refuse though a package takes it, READS_LESS
what is genuine though a package cannot read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.oracles.conftest import Judge
from tests.oracles.test_packages import NODE_VERIFIES, PYTHON_VERIFIES, URL, bare, cases_of, secrets, settings_of
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Scheme, Verifier, sign

pytestmark = pytest.mark.slow

BODIES = {
    "other alphabets": '{"id":"1","name":"J\u00fcrgen \u65e5\u672c \U0001f600"}'.encode(),
    "escapes": b'{"id":"1","a":"\\u00e9\\/ \\ud83d\\ude00"}',
    "half a pair": b'{"id":"1","a":"\\ud83d"}',
    "line breaks": b'{"id":"1",\r\n"a":\t1}\r\n',
    "blanks around it": b'  {"id": "1"}  ',
    "a member twice": b'{"id":"1","id":"2"}',
    "signs of HTML": b'{"id":"1","u":"http://x/<a>&\'"}',
    "numbers of all kinds": b'{"id":1.0,"big":12345678901234567890,"e":1e5}',
    "a megabyte": b'{"id":"1","x":"' + b"y" * 1_000_000 + b'"}',
    "nothing": b"",
}
OWN_BODIES = {"adyen", "aws-sns", "dropbox-sign", "linear", "livekit", "gocardless", "pusher"}
"""Their packages read the body, or sign a part of it."""
SIGNATURES: dict[str, Callable[[str], str]] = {
    "in capitals": str.upper,
    "in small letters": str.lower,
    "cut": lambda text: text[:-1],
    "longer": lambda text: text + "0",
    "empty": lambda text: "",
    "without its prefix": lambda text: text.partition("=")[2] or text,
    "in URL-safe base64": lambda text: text.replace("+", "-").replace("/", "_"),
    "after a wrong one": lambda text: "00," + text,
    "before a wrong one": lambda text: text + ",00",
    "twice": lambda text: f"{text},{text}",
    "in quotes": lambda text: f'"{text}"',
    "with a letter beyond ASCII": lambda text: text + "\u00e9",
}
AGES = (
    -3_600,
    -600,
    -305,
    -295,
    -180,
    -60,
    55,
    65,
    175,
    185,
    295,
    305,
    595,
    605,
    1_795,
    1_805,
    3_595,
    3_605,
    7_205,
    90_000,
    40_000_000,
)
QUERIES = (
    "?a=1&b=2",
    "?b=2&a=1&a=0",
    "?a",
    "?q=%C3%A4+%2f%2F&x=~",
    "?a=b%20c",
    "?url=https%3A%2F%2Fx%2F",
    "/",
    "/%7Ea",
)
URLS = (
    *(URL + more for more in QUERIES),
    URL.replace("example.com", "example.com:443"),
    URL.replace("example.com", "example.com:8443"),
    URL.replace("example.com", "EXAMPLE.com"),
)

STRICTER = {
    "discord": "It takes hex digits in capitals.",
    "elevenlabs": "A time in the future is genuine.",
    "finch": "Its base64 is decoded with what does not belong there.",
    "line": "Its base64 is decoded with what does not belong there.",
    "mux": "A time in the future is genuine.",
    "sendgrid": "Its base64 is decoded with what does not belong there.",
    "standard-webhooks": "Its header of the time is read as any number.",
    "stripe": "A time in the future is genuine.",
    "telnyx": "Its base64 is decoded with what does not belong there.",
    "webflow": "It has no age limit, though its documents name five minutes.",
}
"""Schemes with variants that we refuse and the package does not, with what it leaves open."""
READS_LESS = {
    "easypost": "an empty body",
    "elevenlabs": "an empty body",
    "github": "an empty body",
    "paddle": "a list of signatures in one header",
    "sanity": "a list of signatures in one header, or an empty body",
    "shopify": "an empty body",
    "square": "an empty body",
    "standard-webhooks": "an empty body",
    "vonage": "a token without a hash of the body, which is empty",
    "workos": "a list of signatures in one header",
}
"""Schemes with genuine variants that the package refuses, with what it cannot read."""


def variants(scheme: Scheme) -> Iterator[tuple[str, HookRequest]]:
    private, chosen, base = secrets(scheme)[0], settings_of(scheme), bare(scheme)

    def signed(request: HookRequest, ago: float = 0.0) -> HookRequest:
        return sign(scheme, private, request, time.time() - ago, settings=chosen)

    genuine = signed(base)
    if base.body[:1] == b"{" and scheme.name not in OWN_BODIES:
        for what, body in BODIES.items():
            yield f"a body with {what}", signed(base.but(body=body))
    for name, value in genuine.headers.items():
        if base.headers.get(name) == value:
            continue
        for what, write in SIGNATURES.items():
            if write(value) != value:
                yield f"{name} {what}", genuine.but(headers={**genuine.headers, name: write(value)})
        yield (
            f"no {name}",
            genuine.but(headers={each: genuine.headers[each] for each in genuine.headers if each != name}),
        )
    for ago in AGES:
        yield f"signed {ago} seconds ago", signed(base, ago)
    if schemes.signs_url(Verifier(scheme, settings=chosen)):
        for url in URLS:
            yield f"signed for {url}", signed(base.but(url=url))
            yield f"called at {url}", genuine.but(url=url)
            yield f"signed for {url}, called at the plain URL", signed(base.but(url=url)).but(url=URL)


def compare(judge: Judge, name: str) -> None:
    scheme = schemes.named(name)
    _, public, theirs = secrets(scheme)
    chosen = settings_of(scheme)
    verifier = Verifier(scheme, public, settings=chosen)
    stricter: list[str] = []
    laxer: list[str] = []
    # Some take longer to load than a signature of theirs is valid.
    judge.takes(name, theirs, bare(scheme), chosen)
    for what, request in variants(scheme):
        found = verifier.verify(request, time.time()).ok
        if found != judge.takes(name, theirs, request, chosen):
            (laxer if found else stricter).append(what)
    assert bool(stricter) == (name in STRICTER), f"We refuse what the package takes: {stricter}"
    assert bool(laxer) == (name in READS_LESS), f"We take what the package refuses: {laxer}"
    assert not any("signed for" in what or "called at" in what for what in stricter + laxer)


@pytest.mark.parametrize("name", cases_of(PYTHON_VERIFIES))
def test_variants_are_judged_as_a_senders_python_package_does(python_judge: Judge, name: str) -> None:
    compare(python_judge, name)


@pytest.mark.thorough
@pytest.mark.parametrize("name", NODE_VERIFIES)
def test_variants_are_judged_as_a_senders_javascript_package_does(node_judge: Judge, name: str) -> None:
    compare(node_judge, name)
