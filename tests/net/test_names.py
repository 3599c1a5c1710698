"""Names are looked up in a place of their own: nobody waits for another's, and an address that moved is found."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.net.world import FINE, failed, fetch, listening, reason, saying
from tidings.net import names as lookups
from tidings.net.http import HttpClient, HttpRequest, Reply
from tidings.net.names import Addresses, Names, Problem, Resolved
from tidings.net.reply import CANNOT_USE
from tidings.rules.network import address
from tidings.testing import until


class NameServer:
    """A DNS server on a UDP port. For a name that it does not have it never answers; "" stands for no such name."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                query, peer = self._socket.recvfrom(4096)
                if not query:
                    return
                self._answer(query, peer)

    def _answer(self, query: bytes, peer: tuple[str, int]) -> None:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, kind = query[12 : at + 5], query[at + 1 : at + 3]
        name = ".".join(labels).lower()
        self.asked.append(name)
        found = self.names.get(name)
        if found is None:
            return
        count = 1 if found and kind == b"\0\1" else 0
        head = query[:2] + (b"\x81\x80" if found else b"\x81\x83") + b"\0\1" + bytes((0, count)) + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(found) if count else b""
        self._socket.sendto(head + question + record, peer)

    def close(self) -> None:
        """Stop."""
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer({})
    yield server
    server.close()


class Book:
    """A source whose answers a test can change, and a clock that it can move."""

    def __init__(self, **names: list[str] | Problem) -> None:
        self.names = {name.replace("_", "."): found for name, found in names.items()}
        self.asked: list[str] = []
        self.now = 1_000.0

    def __call__(self, name: str, answer: Callable[[Addresses, Problem | None], None]) -> None:
        self.asked.append(name)
        found = self.names[name]
        answer([], found) if isinstance(found, str) else answer([(each, 30) for each in found], None)

    def clock(self) -> float:
        return self.now


@contextmanager
def opened(names: Names, refusal: Callable[[str], str | None] = lambda ip: None) -> Iterator[HttpClient]:
    client = HttpClient(refusal, "Tidings/test", names=names)
    yield client
    client.close()
    names.close()


def look_up(names: Names, name: str, tenant: str | None = None) -> Resolved:
    found: list[Resolved] = []
    names.look_up(name, tenant, found.append)
    until(lambda: found, f"{name} is looked up")
    return found[0]


@pytest.mark.slow
def test_names_that_never_answer_do_not_delay_another_tenants_new_name(name_server: NameServer) -> None:
    name_server.names["new.test"] = "127.0.0.1"
    lost: list[Reply] = []
    with opened(Names(lookups.Cares([name_server.where]))) as client, listening(saying(FINE)) as server:
        for number in range(200):
            client.send(HttpRequest(f"http://n{number}.lost.test/", [], b"", 1.0, "slow"), lost.append)
        begun = time.monotonic()
        assert fetch(client, server.url(host="new.test"), tenant="quick").status == 200
        assert time.monotonic() - begun < 1.0 and not lost
        while len(lost) < 200:
            client.poll(1.0)
        assert fetch(client, server.url(host="new.test"), tenant="quick").status == 200
    assert {(failed(reply), reason(reply)) for reply in lost} == {("name", "The name did not resolve within 1 s.")}


def test_one_tenants_names_take_no_more_than_its_share() -> None:
    begun: list[str] = []
    answers: dict[str, Callable[[Addresses, Problem | None], None]] = {}

    def source(name: str, answer: Callable[[Addresses, Problem | None], None]) -> None:
        begun.append(name)
        answers[name] = answer

    clock = [0.0]
    names = Names(source, lambda: clock[0])
    found: list[Resolved] = []
    for number in range(1_000):
        names.look_up(f"n{number}", "greedy", found.append)
    assert len(begun) < lookups.LOOKUPS_MAX
    names.look_up("mine", "quiet", found.append)
    assert begun[-1] == "mine"
    # The same name is not queued behind those of whoever asked first.
    names.look_up("n999", "quiet", found.append)
    assert begun[-1] == "n999"
    answers["n999"]([("192.0.2.1", 30)], None)
    assert [each.addresses for each in found] == [("192.0.2.1",), ("192.0.2.1",)]
    # What takes too long gives its place to the next.
    before = len(begun)
    clock[0] += lookups.LOOKUP_SECONDS
    names.expire()
    assert len(begun) > before
    assert found[-1].problem == "silent"


def test_a_name_that_moves_is_followed_while_events_flow() -> None:
    book = Book(moving_test=["127.0.0.1"])
    names = Names(book, book.clock)
    with opened(names) as client, listening(saying(FINE)) as old, listening(saying(FINE), "127.0.0.2", old.port) as new:
        for _ in range(3):
            assert fetch(client, old.url(host="moving.test")).status == 200
        assert (len(old.posts), old.connections, len(book.asked)) == (3, 1, 1)
        book.names["moving.test"] = ["127.0.0.2"]
        book.now += 31
        for _ in range(3):
            assert fetch(client, old.url(host="moving.test")).status == 200
        # The first found that the answer was old; the others went where it is now.
        assert (len(old.posts), len(new.posts), len(book.asked)) == (4, 2, 2)


def test_an_address_is_dialled_even_after_a_name_with_the_same_port() -> None:
    book = Book(first_test=["127.0.0.1"])
    with (
        opened(Names(book, book.clock)) as client,
        listening(saying(FINE)) as first,
        listening(saying(FINE), "127.0.0.2", first.port) as second,
    ):
        assert fetch(client, first.url(host="first.test")).status == 200
        assert fetch(client, second.url(host="127.0.0.2")).status == 200
    assert (len(first.posts), len(second.posts)) == (1, 1)


def test_an_address_that_stays_keeps_its_connections() -> None:
    book = Book(calm_test=["127.0.0.1"])
    with opened(Names(book, book.clock)) as client, listening(saying(FINE)) as server:
        for _ in range(4):
            book.now += 31
            assert fetch(client, server.url(host="calm.test")).status == 200
        assert len(book.asked) >= 3 and server.connections == 1


@pytest.mark.parametrize("failing", [saying(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), lambda _: "close"])
def test_an_address_that_fails_is_looked_up_again_before_its_time(failing: Callable[[socket.socket], object]) -> None:
    book = Book(failing_test=["127.0.0.1"])
    names = Names(book, book.clock)
    with opened(names) as client, listening(failing) as old, listening(saying(FINE), "127.0.0.2", old.port) as new:
        assert fetch(client, old.url(host="failing.test")).status != 200
        book.names["failing.test"] = ["127.0.0.2"]
        book.now += 6
        last = [fetch(client, old.url(host="failing.test")).status for _ in range(3)][-1]
        assert last == 200 and new.posts


def test_an_address_that_fails_gets_a_new_connection_even_if_it_is_the_same() -> None:
    book = Book(bad_test=["127.0.0.1"])
    with (
        opened(Names(book, book.clock)) as client,
        listening(saying(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as server,
    ):
        book.now += 6
        for _ in range(3):
            fetch(client, server.url(host="bad.test"))
        assert server.connections == 1
        book.now += 6
        for _ in range(2):
            fetch(client, server.url(host="bad.test"))
        assert server.connections == 2


def test_the_next_address_is_tried_if_one_does_not_answer() -> None:
    book = Book(several_test=["127.0.0.3", "127.0.0.1"])
    with opened(Names(book)) as client, listening(saying(FINE)) as server:
        assert fetch(client, server.url(host="several.test")).status == 200


def test_only_permitted_addresses_of_a_name_are_dialled() -> None:
    book = Book(mixed_test=["10.0.0.1", "127.0.0.1"])
    opened_range = address.parse_networks("127.0.0.0/8")
    with opened(Names(book), lambda ip: address.refusal(ip, opened_range)) as client, listening(saying(FINE)) as server:
        assert fetch(client, server.url(host="mixed.test")).status == 200


def test_the_last_known_address_is_used_while_no_name_server_answers() -> None:
    book = Book(known_test=["127.0.0.1"])
    with opened(Names(book, book.clock)) as client, listening(saying(FINE)) as server:
        assert fetch(client, server.url(host="known.test")).status == 200
        for problem in ("failed", "silent", "failed"):
            book.names["known.test"] = problem
            book.now += 60
            assert fetch(client, server.url(host="known.test")).status == 200
        book.now += lookups.STALE_SECONDS
        assert failed(fetch(client, server.url(host="known.test"))) == "name"


def test_a_tenant_cannot_tell_a_private_name_from_one_that_does_not_exist() -> None:
    book = Book(wiki_corp=["10.1.2.3"], nothing_corp="unknown")
    with opened(Names(book), address.refusal) as client:
        told = {
            (failed(reply), reply.status, reason(reply))
            for reply in (fetch(client, f"http://{host}.corp/", tenant="acme") for host in ("wiki", "nothing"))
        }
        assert told == {("name", None, CANNOT_USE)}
        # The operator sees it.
        wiki, nothing = (fetch(client, f"http://{host}.corp/") for host in ("wiki", "nothing"))
    assert failed(wiki) == "address" and "10.1.2.3" in reason(wiki)
    assert failed(nothing) == "name" and "nothing.corp" in reason(nothing)


def test_names_in_the_machines_own_files_are_found() -> None:
    names = Names()
    assert "127.0.0.1" in look_up(names, "localhost").addresses
    names.close()


def test_a_name_server_is_asked_again_soon_whatever_its_answer_says(
    name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """c-ares keeps answers for up to an hour; an address that fails must be looked up for real."""
    monkeypatch.setattr(lookups, "CHANNEL_SECONDS", 0.0)
    names = Names(lookups.Cares([name_server.where]))
    for found in ("192.0.2.1", "192.0.2.2"):
        name_server.names["moving.test"] = found
        assert look_up(names, "moving.test").addresses == (found,)
    names.close()


def test_an_invalid_name_is_unknown() -> None:
    names = Names()
    for odd in ("a" * 64 + ".test", "a..b", "-", "\u00fc.test", ""):
        assert look_up(names, odd).problem in ("unknown", "failed")
    names.close()
