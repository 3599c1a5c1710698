"""The header with which a node says who called it: for one node and one request, for a while, and once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tidings.model.errors import Unavailable
from tidings.store.seal import Sealer
from tidings.testing import FakeClock
from tidings.web.callers.forwarded import HEADER, LATE_MAX, VALID_SECONDS, Forwarded, ForwardedSeal, PassedOn, passed_on

KEY = Sealer(b"k" * 32)


def asked(header: str | None = None, **other: str) -> Any:
    """A request as the HTTP server gives it."""
    given = {"method": "GET", "path": "/v1/links/x", "query_string": ""} | other
    return SimpleNamespace(headers={} if header is None else {HEADER: header}, **given)


class Pair:
    """A node that takes in, and the one that sends."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.taker = ForwardedSeal(KEY, self.clock, "taker")
        self.sender = ForwardedSeal(KEY, self.clock, "sender")

    def made(self, to: str = "sender", **more: Any) -> str:
        return self.taker.make(asked(), to, "192.0.2.7:5000", 3, **more)

    def arrives(self, header: str, **other: str) -> Forwarded | None:
        return passed_on(self.sender.opened(asked(header, **other)))


def test_it_says_who_called_and_what_was_counted() -> None:
    pair = Pair()
    found = pair.arrives(pair.made(limits=[("ratelimit", "x")]))
    assert found is not None
    assert (found.node, found.client, found.version, found.limits) == (
        "taker",
        "192.0.2.7:5000",
        3,
        [("ratelimit", "x")],
    )
    assert "192" not in pair.made()


def test_it_is_valid_for_nothing_else_and_only_unchanged() -> None:
    pair = Pair()
    header = pair.made()
    for name, value in {"method": "DELETE", "path": "/v1/links/y", "query_string": "a=1"}.items():
        assert pair.arrives(header, **{name: value}) is None
    for text in (header[:-2] + ("AA" if header[-2:] != "AA" else "BB"), header[:20], "", "ü", "A" * 5_000):
        assert pair.arrives(text) is None
    other = ForwardedSeal(Sealer(b"x" * 32), pair.clock, "taker").make(asked(), "sender", "192.0.2.7:5000", 3)
    assert pair.arrives(other) is None
    assert pair.arrives(header) is not None


def test_who_has_seen_one_can_do_nothing_with_it() -> None:
    pair = Pair()
    header = pair.made()
    assert pair.arrives(header) is not None
    for _ in range(2):
        with pytest.raises(Unavailable):
            pair.arrives(header)
    # Not at another node either, nor at the same one after it has started again.
    for node in ("taker", "third"):
        with pytest.raises(Unavailable):
            ForwardedSeal(KEY, pair.clock, node).opened(asked(pair.made()))


def test_it_is_valid_for_a_while() -> None:
    pair = Pair()
    early, late = pair.made(), pair.made()
    pair.clock.advance(VALID_SECONDS)
    assert pair.arrives(early) is not None
    pair.clock.advance(1)
    assert pair.arrives(late) is None


def test_requests_may_overtake_one_another() -> None:
    pair = Pair()
    headers = [pair.made() for _ in range(200)]
    for header in headers[1::2][::-1] + headers[::2]:
        assert pair.arrives(header) is not None
    for header in headers:
        with pytest.raises(Unavailable):
            pair.arrives(header)


def test_one_that_comes_much_too_late_is_refused() -> None:
    pair = Pair()
    late = pair.made()
    pair.taker._number += LATE_MAX
    assert pair.arrives(pair.made()) is not None
    with pytest.raises(Unavailable):
        pair.arrives(late)


def test_a_header_that_had_no_room_is_there_again() -> None:
    pair = Pair()
    scope = pair.sender.opened(asked(pair.made(beside=("x-one", "1"))))
    assert isinstance(scope, PassedOn)
    assert ("x-one", "1") in scope.headers.items()
    assert (scope.headers.get("x-one"), scope.headers.get_all("x-one"), scope.headers.get("x")) == ("1", ["1"], None)
    assert "x-one" in scope.headers and "x" not in scope.headers
    assert scope.path == "/v1/links/x"
