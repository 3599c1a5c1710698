"""Behind a real nginx with its defaults: the page of docs/howto/behind-a-proxy.md, tried."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.programs import needed
from tests.repository import ROOT
from tests.web.test_events import Reader
from tests.web.wire import KEY_LINE, dial, get, read, send
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest
from tidings.testing import Api, TestServer, until
from tidings.testing.api import OPERATOR_KEY, ApiReply

PAGE = ROOT / "docs" / "howto" / "behind-a-proxy.md"
CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
user root;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
{location}
    }}
}}
"""

CALLS = 60


class Through(Api):
    """The API, asked below the prefix."""

    def call(self, method: str, path: str, *more: Any, **query: Any) -> ApiReply:
        return super().call(method, f"/hooks{path}", *more, **query)


class Proxied:
    """A server, and the address of the nginx before it."""

    def __init__(self, server: TestServer, url: str) -> None:
        self.server, self.url = server, url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def location(port: int) -> str:
    """The location block that the page shows, for a server at this port."""
    found = re.search(r"^location /hooks/ \{.*?^\}", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, "the page shows a location"
    return found[0].replace("127.0.0.1:8080", f"127.0.0.1:{port}")


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    nginx, folder, port = needed("nginx"), tmp_path_factory.mktemp("nginx"), free_port()
    public = f"http://127.0.0.1:{port}/hooks"
    with TestServer(
        folder / "data", public_url=public, trusted_proxies="127.0.0.1", max_calls_per_address=CALLS
    ) as server:
        assert server.server is not None
        config = CONFIG.format(folder=folder, port=port, location=location(server.server.port))
        (folder / "nginx.conf").write_text(config)
        process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"])
        try:
            until(lambda: answers(port) or process.poll() is not None, "nginx listens")
            assert process.poll() is None, (folder / "error.log").read_text()
            yield Proxied(server, public)
        finally:
            process.terminate()
            process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_events_come_through_at_once(proxied: Proxied) -> None:
    with dial(proxied.url) as sock:
        sock.sendall(get("/hooks/v1/events/stream?type=proxied.a"))
        said = b""
        while b": tidings" not in said:
            said += sock.recv(4_096)
        began = time.monotonic()
        event = proxied.server.api.publish("proxied.a")
        while event.encode() not in said:
            piece = sock.recv(4_096)
            assert piece, said
            said += piece
        assert time.monotonic() - began < 5


def test_what_the_server_says_of_itself_leads_back_through_the_proxy(proxied: Proxied) -> None:
    api = Through(proxied.url, OPERATOR_KEY)
    made = api.call("POST", "/v1/tenants", {"id": "behind", "name": "x"})
    assert made.headers["location"] == f"{proxied.url}/v1/tenants/behind"
    api.post("/v1/tenants", {"id": "behind2", "name": "x"})
    link = api.call("GET", "/v1/tenants", limit=1).headers["link"]
    path = link[1:].partition(">")[0].removeprefix(proxied.url)
    assert Through(proxied.url, OPERATOR_KEY).call("GET", path).json["data"]
    assert api.get("/v1/openapi.json")["servers"][0]["url"] == proxied.url
    for path in ("/hooks/", "/hooks/docs/"):
        led = send(proxied.url, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (led.status, led.headers["location"]) == (307, f"{proxied.url}/docs")
    page = send(proxied.url, b"GET /hooks/docs HTTP/1.1\r\nHost: x\r\n\r\n")
    assert page.status == 200 and b'href="docs/page.css"' in page.body


def test_each_caller_is_counted_by_its_own_address(proxied: Proxied) -> None:
    """No address that a caller makes up is believed; nginx sees the one that it really has."""

    def ask(source: str, header: str) -> int:
        parts = urlsplit(proxied.url)
        address = (parts.hostname or "", parts.port or 0)
        with socket.create_connection(address, timeout=15, source_address=(source, 0)) as sock:
            sock.sendall(f"GET /hooks/healthz HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
            return read(sock).status

    for source, header in (
        ("127.0.0.2", "X-Forwarded-For: 203.0.113.{}"),
        ("127.0.0.3", "Forwarded: for=203.0.113.{}"),
    ):
        statuses = [ask(source, header.format(number)) for number in range(CALLS + 1)]
        assert statuses.count(200) >= CALLS - 5 and statuses[-1] == 429, header
        assert ask("127.0.0.4", "X-Forwarded-For: 203.0.113.1") == 200


def test_a_ticket_leads_through_the_proxy(proxied: Proxied) -> None:
    made = Through(proxied.url, OPERATOR_KEY).post("/v1/events/stream:ticket?type=ticketed.a", None)
    assert made["url"].startswith(f"{proxied.url}/v1/events/stream?ticket=")
    reader = Reader(proxied.server, "/v1/events/stream" + made["url"].partition("stream")[2], key=b"")
    event = proxied.server.api.publish("ticketed.a")
    frame = reader.frame()
    assert frame is not None and json.loads(frame["data"])["id"] == event
    reader.close()


def test_an_import_and_a_large_answer_pass(proxied: Proxied) -> None:
    api = Through(proxied.url, OPERATOR_KEY)
    api.post("/v1/collections", {"name": "passed", "fields": {"text": {"type": "string"}}})
    lines = b"".join(b'{"text": "%s"}\n' % (b"x" * 300) for _ in range(2_000))
    told = api.call("POST", "/v1/items/passed:import", lines, headers={"Content-Type": "application/x-ndjson"})
    assert told.status == 200, told.body
    raw = b"GET /hooks/v1/items/passed?limit=1000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n"
    packed = send(proxied.url, raw + KEY_LINE + b"\r\n")
    assert packed.status == 200 and packed.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("scheme", ["square", "hubspot", "twilio", "trello"])
def test_webhooks_whose_url_is_signed_are_verified_behind_the_prefix(proxied: Proxied, scheme: str) -> None:
    secret, api = "the sender's secret", proxied.server.api
    hook = api.post("/v1/hooks", {"path": f"behind-{scheme}", "scheme": scheme, "secrets": [secret]})
    assert hook["url"] == f"{proxied.url}/in/behind-{scheme}"
    named = schemes.named(scheme)
    unsigned = schemes.sample(named, f"{hook['url']}?a=%2Fb&c=d+e")
    request = schemes.sign(named, secret, unsigned, time.time())
    assert sent(proxied, request) == 200
    assert sent(proxied, request.but(url=request.url.replace("%2F", "%2f"))) == 401
    assert [event["actor"] for event in api.pages("/v1/events", limit=1000)].count(hook["id"]) == 1


def sent(proxied: Proxied, request: HookRequest) -> int:
    """The status of a webhook that comes through the proxy, its target as it is written."""
    parts = urlsplit(proxied.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    target = request.url.removeprefix(f"{parts.scheme}://{parts.netloc}")
    connection.request(request.method, target, request.body, dict(request.headers))
    try:
        return connection.getresponse().status
    finally:
        connection.close()
