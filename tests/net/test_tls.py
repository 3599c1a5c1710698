"""TLS as endpoints ask for it: a private authority, our certificate, and true sentences where it fails."""

from __future__ import annotations

import ssl

import pytest

from tests.net.certificates import Authority
from tests.net.world import FINE, Answer, client, failed, fetch, listening, reason, saying
from tidings.net.http import HttpClient, Tls

__all__ = ["client"]

SERVERS, CLIENTS = Authority("Servers"), Authority("Clients")
GOOD, OLD, FOREIGN = CLIENTS.issue("client"), CLIENTS.issue("old", days=-1), SERVERS.issue("client")
TRUST = Tls(SERVERS.pem.encode())
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.slow
def test_only_the_authority_of_the_endpoint_is_trusted(client: HttpClient) -> None:
    with listening(saying(FINE), tls=SERVERS.server()) as server:
        assert fetch(client, server.url(), tls=TRUST).status == 200
        for other in (None, Tls(CLIENTS.pem.encode())):
            reply = fetch(client, server.url(), tls=other)
            assert failed(reply) == "tls"
            assert "certificate was not accepted: it is signed by an unknown authority. Set ca to" in reason(reply)
        assert len(server.posts) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_wants_a_certificate_gets_ours(client: HttpClient, version: ssl.TLSVersion) -> None:
    ours = Tls(TRUST.authorities, GOOD.certificate.encode(), GOOD.key.encode())
    with listening(saying(FINE), tls=SERVERS.server(wants=CLIENTS, highest=version)) as server:
        for _ in range(3):
            assert fetch(client, server.url(), tls=ours).status == 200
        assert server.connections == 1
        # A connection that was opened with a certificate is not used without it.
        assert failed(fetch(client, server.url(), tls=TRUST)) == "tls"
        assert len(server.posts) == 3


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ours", [None, OLD, FOREIGN])
def test_a_certificate_that_is_missing_or_not_accepted_is_a_tls_failure(
    client: HttpClient, version: ssl.TLSVersion, ours: object
) -> None:
    tls = TRUST
    if ours is not None:
        tls = Tls(TRUST.authorities, ours.certificate.encode(), ours.key.encode())  # type: ignore[attr-defined]
    with listening(saying(FINE), tls=SERVERS.server(wants=CLIENTS, highest=version)) as server:
        for _ in range(5):
            reply = fetch(client, server.url(), tls=tls)
            assert failed(reply) == "tls"
            assert "client certificate" in reason(reply)
        assert server.posts == []


@pytest.mark.parametrize("head", [b"Content-Length: 10\r\n\r\nhello", b"Connection: close\r\n\r\nhello"])
def test_a_missing_tls_close_notify_does_not_undo_a_2xx(client: HttpClient, head: bytes) -> None:
    answer: Answer = saying(b"HTTP/1.1 200 OK\r\n" + head, then="cut")
    with listening(answer, tls=SERVERS.server()) as server:
        reply = fetch(client, server.url(), tls=TRUST)
    assert (reply.answered, reply.status, reply.body) == (True, 200, b"hello")
    assert "broke off after 5 bytes" in reason(reply)


def test_the_name_in_the_certificate_must_be_the_hosts(client: HttpClient) -> None:
    with listening(saying(FINE), "127.0.0.2", tls=SERVERS.server()) as server:
        assert failed(fetch(client, server.url(host="127.0.0.2"), tls=TRUST)) == "tls"
