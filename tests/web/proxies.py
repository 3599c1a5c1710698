"""Real proxies before a server, each with the configuration that docs/howto/proxies.md shows for it."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.net.certificates import Authority
from tests.programs import needed
from tests.repository import ROOT
from tests.web.wire import Said, read
from tidings.rules.schemes import HookRequest
from tidings.testing import TestServer, until
from tidings.testing.api import OPERATOR_KEY, ApiReply
from tidings.testing.ports import free_port

PAGE = ROOT / "docs" / "howto" / "proxies.md"
PREFIX = "/hooks"
LANGUAGES = {"nginx": "nginx", "caddy": "caddyfile", "haproxy": "haproxy"}
"""The proxies, and how the page calls the language of their configuration."""
TIMEOUT_SECONDS = 30.0
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
user root;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{block}
}}
"""
CADDY = """
{{
    admin off
    auto_https off
    storage file_system {folder}/caddy
}}
{block}
"""


class Proxied:
    """A server, and the proxy before it, which ends TLS."""

    def __init__(self, server: TestServer, url: str, context: ssl.SSLContext, authority: str) -> None:
        self.server, self.url, self._context, self.authority = server, url, context, authority
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)

    def dial(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection to the proxy, from an address of this machine."""
        plain = socket.create_connection(self._address, timeout=TIMEOUT_SECONDS, source_address=(source, 0))
        return self._context.wrap_socket(plain, server_hostname=self._address[0])

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """The head of a request to a path below the prefix."""
        host = self.url.split("/")[2]
        return "\r\n".join([f"{method} {PREFIX}{path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()

    def say(self, raw: bytes, source: str = "127.0.0.1") -> Said:
        """Send bytes, and read one answer."""
        with self.dial(source) as sock:
            sock.sendall(raw)
            return read(sock)

    def rows(self, sql: str, **params: Any) -> list[Any]:
        """What the server's database holds."""
        assert self.server.server is not None
        return self.server.server.parts.writer.wait(lambda db: db.query(sql, params))

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> ApiReply:
        """An operator's call of the API, below the prefix."""
        target = PREFIX + path + ("?" + urlencode(query) if query else "")
        lines = {"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json", **(headers or {})}
        return self._exchange(method, target, body, lines)

    def send(self, request: HookRequest) -> ApiReply:
        """A webhook, its target as it is written."""
        parts = urlsplit(request.url)
        target = request.url.removeprefix(f"{parts.scheme}://{parts.netloc}")
        return self._exchange(request.method, target, request.body, dict(request.headers))

    def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> ApiReply:
        connection = http.client.HTTPSConnection(*self._address, timeout=TIMEOUT_SECONDS, context=self._context)
        try:
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return ApiReply(status=answer.status, headers=named, body=answer.read())
        finally:
            connection.close()


@contextmanager
def proxied_server(
    name: str, folder: Path, *, change: Callable[[str], str] = lambda block: block, **settings: Any
) -> Iterator[Proxied]:
    """A server behind a proxy, with `settings` of its own. Skips the test if the proxy is not installed.

    `change`: what somebody made of the page's configuration.
    """
    program, port = needed(name), free_port()
    authority, pair = Authority(), folder / "example.com.pem"
    issued = authority.issue()
    pair.write_text(issued.certificate + issued.key)
    public = f"https://127.0.0.1:{port}{PREFIX}"
    usual: dict[str, Any] = {"public_url": public, "trusted_proxies": "127.0.0.1"}
    with TestServer(folder / "data", **{**usual, **settings}) as server:
        assert server.server is not None
        block = change(_shown(name)).replace("127.0.0.1:8080", f"127.0.0.1:{server.server.port}")
        command = _configured(name, program, folder, block, port, pair)
        log = (folder / "proxy.log").open("wb")
        environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            until(lambda: _answers(port) or process.poll() is not None, f"{name} listens")
            assert process.poll() is None, (folder / "proxy.log").read_text()
            context = ssl.create_default_context(cadata=authority.pem)
            yield Proxied(server, public, context, authority.pem)
        finally:
            process.terminate()
            process.wait()
            log.close()


def _configured(name: str, program: str, folder: Path, block: str, port: int, pair: Path) -> list[str]:
    """Write the file, with what belongs to this test in place of example.com, and return how the proxy is started."""
    file = folder / "proxy.conf"
    if name == "nginx":
        block = block.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        block = re.sub(r"/etc/ssl/example\.com\.(pem|key)", str(pair), block)
        file.write_text(NGINX.format(folder=folder, block=block))
        return [program, "-p", str(folder), "-c", str(file), "-e", "stderr"]
    if name == "caddy":
        block = block.replace("example.com {", f"https://127.0.0.1:{port} {{\n    tls {pair} {pair}")
        file.write_text(CADDY.format(folder=folder, block=block))
        return [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    block = block.replace("bind :443", f"bind 127.0.0.1:{port}").replace("/etc/haproxy/example.com.pem", str(pair))
    file.write_text(block)
    return [program, "-db", "-f", str(file)]


def _shown(name: str) -> str:
    """The configuration that the page shows."""
    found = re.search(rf"^```{LANGUAGES[name]}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{PAGE.name} shows a configuration of {name}"
    return found[1]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
