"""`tidings listen --hook` and `tidings receipts replay`: what came to a hook is sent on as received."""

from __future__ import annotations

import hmac
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Run
from tests.cli.test_listen import listening
from tests.web import wire
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest
from tidings.testing import Received, Receiver, TestServer, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ODD = b'{ "n": 1.50,\r\n "name": "J\xc3\xbcrgen" }\n'


def signed(scheme: str, url: str, body: bytes, ident: str = "", *, ago: float = 0.0, secret: str = SECRET) -> bytes:
    """A whole request as its sender signs it, some seconds ago."""
    named = schemes.named(scheme)
    headers = {"Content-Type": "application/json", "webhook-id": ident} if ident else {}
    request = schemes.sign(named, secret, HookRequest("POST", url, headers, body), time.time() - ago)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    target = "/" + request.url.split("/", 3)[3]
    head = [f"POST {target} HTTP/1.1", "Host: hooks.example.com", *lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def hook(server: TestServer, path: str, scheme: Any = "standard-webhooks", **more: Any) -> str:
    """Declare a hook; its URL."""
    server.api.post("/v1/hooks", {"path": path, "scheme": scheme, "secrets": [SECRET], **more})
    return f"{server.url}/in/{path}"


def newest(server: TestServer, path: str) -> str:
    """The id of the newest receipt of a path."""
    found: str = next(each["id"] for each in server.api.pages("/v1/receipts") if each["target"].startswith(path))
    return found


def genuine(request: Received) -> None:
    """What the user's app does, with the sender's own package."""
    import svix.webhooks  # Here, as each process that runs tests would load its hundreds of files.

    svix.webhooks.Webhook(SECRET).verify(request.body, dict(request.headers))


@pytest.mark.slow
def test_what_comes_is_sent_on_byte_for_byte_and_its_own_signature_is_verified(
    server: TestServer, tmp_path: Path
) -> None:
    url = hook(server, "replayed")
    with Receiver(genuine) as app:
        args = ["--hook", "replayed", "--to", app.url("/webhooks?key=k"), "--cursor-file", str(tmp_path / "c")]
        with listening(server, *args) as process:
            until((tmp_path / "c").exists, "it follows")
            begun = json.loads((tmp_path / "c").read_bytes())["cursor"]
            assert wire.send(server.url, signed("standard-webhooks", f"{url}?a=%2Fb&a=c+d", ODD, "msg_1")).status == 200
            [first] = app.wait_for(1)
            assert first.path == "/webhooks?key=k&a=%2Fb&a=c+d" and first.body == ODD
            assert first.headers["host"] == f"127.0.0.1:{app.port}"
            assert process.stdout is not None
            assert "Forwarding " in process.stdout.readline()
            assert "POST /in/replayed?a=%2Fb&a=c+d  rcp_" in process.stdout.readline()
            until(lambda: json.loads((tmp_path / "c").read_bytes())["cursor"] != begun, "the position is after it")
            process.send_signal(signal.SIGKILL)
            process.wait()
        wire.send(server.url, signed("standard-webhooks", url, ODD, "msg_2"))
        server.api.publish("other.event")
        with listening(server, *args, "--json") as process:
            assert process.stdout is not None
            line = json.loads(process.stdout.readline())
            assert (line["status"], line["type"]) == (204, "POST /in/replayed")
        assert [request.headers["webhook-id"] for request in app.requests()] == ["msg_1", "msg_2"]
        assert app.refused == []


@pytest.mark.slow
def test_method_repeated_headers_and_bytes_are_those_of_the_sender(server: TestServer, run: Run) -> None:
    """Only the framing is ours: a body in chunks is sent whole."""
    url = hook(server, "bytes", "github", methods=["PUT"])
    body = bytes(range(256)) * 300
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    head = (
        f"PUT {url.removeprefix(server.url)}?a=%2f&&b HTTP/1.1\r\nHost: a\r\nX-Two: 1\r\nX-Two: 2\r\nX-Empty:\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"100\r\n%b\r\n" % bytes(range(256)) for _ in range(300)) + b"0\r\n\r\n"
    assert wire.send(server.url, head.encode() + chunks).status == 200
    with Capture() as capture:
        assert run("receipts", "replay", newest(server, "/in/bytes"), "--to", capture.url).exit_code == 0
    first, *lines = capture.head
    assert first == "PUT /app?a=%2f&&b HTTP/1.1"
    assert capture.body == body
    wanted = ["x-two: 1", "x-two: 2", "x-empty: ", f"x-hub-signature-256: sha256={signature}"]
    assert sorted(lines) == sorted([*wanted, f"Host: {urlsplit(capture.url).netloc}", f"Content-Length: {len(body)}"])


def test_a_credential_that_is_hidden_is_given_with_the_secret(server: TestServer, run: Run) -> None:
    url = hook(server, "token", {"check": {"kind": "token", "from": "header:Authorization", "prefix": "Bearer "}})
    head = f"POST {url.removeprefix(server.url)}?x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {SECRET}\r\n"
    assert wire.send(server.url, head.encode() + b"Content-Length: 2\r\n\r\n{}").status == 200
    ident = newest(server, "/in/token")
    with Capture() as capture:
        refused = run("receipts", "replay", ident, "--to", capture.url)
        assert refused.exit_code == 1 and "--secret" in refused.output
        assert run("receipts", "replay", ident, "--to", capture.url, "--secret", SECRET).exit_code == 0
    assert capture.head[0] == "POST /app?x HTTP/1.1" and f"authorization: Bearer {SECRET}" in capture.head


@pytest.mark.slow
def test_since_sends_what_came_before_in_order_and_then_goes_on(server: TestServer, tmp_path: Path) -> None:
    url = hook(server, "earlier")
    for number in range(3):
        wire.send(server.url, signed("standard-webhooks", url, b"{}", f"old_{number}"))
    with Receiver(genuine) as app:
        args = ["--hook", "earlier", "--to", app.url("/"), "--since", "1h", "--cursor-file", str(tmp_path / "c")]
        with listening(server, *args):
            app.wait_for(3)
            wire.send(server.url, signed("standard-webhooks", url, b"{}", "new"))
            app.wait_for(4)
        assert [request.headers["webhook-id"] for request in app.requests()] == ["old_0", "old_1", "old_2", "new"]


@pytest.mark.slow
def test_what_was_refused_is_sent_on_once_it_is_let_in(server: TestServer, tmp_path: Path) -> None:
    url = hook(server, "let-in")
    other = "whsec_" + "A" * 32
    with Receiver() as app:
        args = ["--hook", "let-in", "--to", app.url("/"), "--cursor-file", str(tmp_path / "c")]
        with listening(server, *args):
            until((tmp_path / "c").exists, "it follows")
            refused = wire.send(server.url, signed("standard-webhooks", url, b"{}", "late", secret=other))
            assert refused.status == 401
            wire.send(server.url, signed("standard-webhooks", url, b"{}", "first"))
            app.wait_for(1)
            [declared] = [each for each in server.api.pages("/v1/hooks") if each["path"] == "let-in"]
            rows = until(lambda: server.api.pages("/v1/refusals", hook=declared["id"]), "it is kept")
            server.api.patch(f"/v1/hooks/{declared['id']}", {"secrets": [other]})
            server.api.post(f"/v1/refusals/{rows[0]['id']}:retry")
            app.wait_for(2)
        assert [request.headers["webhook-id"] for request in app.requests()] == ["first", "late"]


@pytest.mark.slow
def test_an_old_request_can_be_signed_again(server: TestServer, run: Run) -> None:
    """The sender's own package refuses what was signed a while ago; with the secret it is as fresh as a new one."""
    url = hook(server, "again", tolerance_seconds=3_600)
    wire.send(server.url, signed("standard-webhooks", url, ODD, "msg_old", ago=1_000))
    ident = newest(server, "/in/again")
    with Receiver(genuine) as app:
        said = run("receipts", "replay", ident, "--to", app.url("/x"))
        assert said.exit_code == 1 and ": 400" in said.output
        assert run("receipts", "replay", ident, "--to", app.url("/x"), "--secret", SECRET).exit_code == 0
        assert app.requests()[-1].body == ODD


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["listen", "--to", "http://127.0.0.1:9/", "--hook", "none"], "There is no hook none. The hooks are: "),
        (["listen", "--to", "http://127.0.0.1:9/", "--since", "1h"], "--since requires --hook"),
        (["listen", "--to", "http://127.0.0.1:9/", "--hook", "x", "--since", "1h", "--after", "end"], "not both"),
        (["listen", "--to", "http://127.0.0.1:9/", "--hook", "x", "--since", "soon"], "is not a time"),
        (["receipts", "replay", "rcp_x", "--to", "localhost"], "--to must be a URL such as"),
        (["receipts", "replay", "rcp_x", "--to", "http://127.0.0.1:9/"], "There is no receipt rcp_x"),
    ],
)
def test_what_is_wrong_is_said(run: Run, args: list[str], sentence: str) -> None:
    said = run(*args)
    assert said.exit_code == 1 and sentence in said.output


class Capture:
    """A server that keeps one request as bytes, and answers 204."""

    def __init__(self) -> None:
        self.data = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/app"
        self._thread = threading.Thread(target=self._take)

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        self._server.close()

    def _take(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            while not self._whole():
                self.data += connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    @property
    def head(self) -> list[str]:
        """The request line, and the lines of its headers."""
        return self.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def body(self) -> bytes:
        """What follows."""
        return self.data.partition(b"\r\n\r\n")[2]

    def _whole(self) -> bool:
        length = next((line[16:] for line in self.head if line.startswith("Content-Length: ")), "0")
        return b"\r\n\r\n" in self.data and len(self.body) >= int(length)
