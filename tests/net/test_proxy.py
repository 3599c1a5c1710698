"""An outbound proxy makes every connection; what we know of an address is checked before it is asked."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.net.certificates import Authority
from tests.net.test_names import Book
from tests.net.world import FINE, failed, fetch, listening, reason, saying
from tidings.net.http import HttpClient, Tls
from tidings.net.names import Names
from tidings.net.reply import CANNOT_USE
from tidings.rules.network import address
from tidings.rules.reading.refused import Refused
from tidings.testing import Receiver, TestServer, until

AUTHORITY = Authority()
OPEN = address.parse_networks("127.0.0.0/8")


class Proxy:
    """A proxy for http:// and CONNECT, for which every name leads to 127.0.0.1. `heads` are what it was asked."""

    def __init__(self, answer: bytes | None = None) -> None:
        self._answer = answer
        self.heads: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            data = connection.recv(65536)
            head = data.partition(b"\r\n\r\n")[0].decode()
            self.heads.append(head)
            if self._answer is not None:
                connection.sendall(self._answer)
                return
            method, where, _ = head.split(None, 2)
            port = int(where.rstrip("/").rpartition(":")[2].partition("/")[0])
            with socket.create_connection(("127.0.0.1", port)) as there:
                if method == "CONNECT":
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
                else:
                    there.sendall(data)
                back = threading.Thread(target=_copy, args=(there, connection), daemon=True)
                back.start()
                _copy(connection, there)
                back.join(5)

    def close(self) -> None:
        """Stop."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def _copy(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := here.recv(65536):
            there.sendall(piece)
        there.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


@contextmanager
def through(
    url: str, book: Book | None = None, refusal: Callable[[str], str | None] = lambda ip: address.refusal(ip, OPEN)
) -> Iterator[HttpClient]:
    names = Names(book or Book(), (book or Book()).clock)
    client = HttpClient(refusal, "Tidings/test", names=names, proxy=url)
    yield client
    client.close()
    names.close()


def test_https_goes_through_a_tunnel_and_only_the_endpoint_sees_the_request(proxy: Proxy) -> None:
    book = Book(localhost="unknown")
    url = proxy.url.replace("//", "//us:secret@")
    with through(url, book) as client, listening(saying(FINE), tls=AUTHORITY.server()) as server:
        for _ in range(2):
            reply = fetch(client, server.url(host="localhost"), tls=Tls(AUTHORITY.pem.encode()))
            assert (failed(reply), reply.status) == (None, 200)
        assert len(server.posts) == 2
        assert "proxy-authorization" not in server.posts[0].decode().lower()
    [head] = proxy.heads
    assert head.startswith(f"CONNECT localhost:{server.port} ")
    assert base64.b64encode(b"us:secret").decode() in head


def test_http_is_handed_to_the_proxy_with_its_whole_url(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "*")
    book = Book(elsewhere_test="unknown")
    with through(proxy.url, book) as client, listening(saying(FINE)) as server:
        assert fetch(client, server.url("/hook", "elsewhere.test")).status == 200
        assert fetch(client, server.url("/hook")).status == 200
    assert proxy.heads[0].startswith(f"POST http://elsewhere.test:{server.port}/hook ")


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "0x0a000001", "167772161", "10.1", "[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]"]
)
def test_an_address_that_may_not_be_called_is_not_asked_for_in_any_spelling(proxy: Proxy, host: str) -> None:
    with through(proxy.url) as client:
        assert failed(fetch(client, f"http://{host}:9/")) == "address"
    assert proxy.heads == []


def test_a_name_known_to_resolve_to_a_private_address_is_refused(proxy: Proxy) -> None:
    book = Book(wiki_corp=["10.1.2.3"], mixed_test=["127.0.0.1", "10.1.2.3"], fine_test=["127.0.0.1"])
    with through(proxy.url, book) as client, listening(saying(FINE)) as server:
        assert failed(fetch(client, server.url(host="wiki.corp"))) == "address"
        told = fetch(client, server.url(host="wiki.corp"), tenant="acme")
        assert (failed(told), reason(told)) == ("name", CANNOT_USE)
        # The proxy chooses among the addresses of a name, so each must do.
        assert failed(fetch(client, server.url(host="mixed.test"))) == "address"
        assert proxy.heads == []
        assert fetch(client, server.url(host="fine.test")).status == 200


def test_names_unknown_here_are_left_to_the_proxy_after_a_moment(proxy: Proxy) -> None:
    names = Names(lambda name, answer: None)
    client = HttpClient(address.refusal, "Tidings/test", names=names, proxy=proxy.url)
    with listening(saying(FINE)) as server:
        assert fetch(client, server.url(host="outside.test")).status == 200
    client.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refused the connection: it answered 403"),
        (b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "it answered 407"),
        (b"", "closed the connection instead"),
    ],
)
def test_a_proxy_that_refuses_is_a_failed_connection(answer: bytes, why: str) -> None:
    proxy = Proxy(answer)
    with through(proxy.url, Book(far_test="unknown")) as client:
        reply = fetch(client, "https://far.test/")
    proxy.close()
    assert failed(reply) == "connection" and reply.status is None
    assert why in reason(reply)


def test_a_proxy_that_is_not_there_or_silent_is_a_failed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with through(f"http://127.0.0.1:{port}", Book(far_test="unknown")) as client:
            reply = fetch(client, "https://far.test/", timeout_seconds=0.3)
    assert (failed(reply), reason(reply)) == (
        "connection",
        "The outbound proxy did not connect within 0.3 s.",
    )
    with through(f"http://127.0.0.1:{port}", Book(far_test="unknown")) as client:
        reply = fetch(client, "https://far.test/")
    assert (failed(reply), reason(reply)) == (
        "connection",
        "The connection to the outbound proxy failed.",
    )


@pytest.mark.slow
def test_webhooks_of_a_server_with_a_proxy_arrive_through_it(proxy: Proxy, tmp_path: Path) -> None:
    with Receiver() as receiver, TestServer(tmp_path, outbound_proxy=proxy.url) as server:
        server.api.post("/v1/endpoints", {"url": receiver.url("/hook", host="nowhere.invalid")})
        server.api.publish("step")
        receiver.wait_for(1)
        until(lambda: proxy.heads, "the proxy was asked")
    assert proxy.heads[0].startswith("POST http://nowhere.invalid:")


@pytest.mark.parametrize("url", ["", "http://proxy:3128", "https://u:p%40ss@proxy.corp", "socks5h://[::1]:1080/"])
def test_urls_of_proxies(url: str) -> None:
    address.check_proxy(url)


@pytest.mark.parametrize(
    "url", ["proxy:3128", "ftp://proxy", "http://", "http://a b", "http://proxy/path", "socks5://p"]
)
def test_an_invalid_proxy_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Refused) as refused:
        address.check_proxy(url)
    assert "http://HOST:PORT" in refused.value.detail
