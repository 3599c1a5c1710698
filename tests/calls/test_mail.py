"""Links with the action `mail`, against a real mail server: what is sent, what its codes mean, and who gets it."""

from __future__ import annotations

import contextlib
import email
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.calls.world import Calls
from tidings.testing.ports import free_port

pytestmark = pytest.mark.sqlite_only

WELCOME = {
    "via": "mail",
    "to": "{{ data.email }}",
    "subject": "Welcome, {{ data.name or 'friend' }}",
    "text": "Hello {{ data.name }},\nyour account {{ data.id }} is ready.",
    "html": "<p>Hello <b>{{ data.name }}</b></p>",
}


class MailServer:
    """aiosmtpd, with a script of answers."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []
        self.rcpt: list[str] = []
        self.data: list[str] = []
        self.sessions: set[int] = set()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.sessions.add(id(session))
        if self.data:
            return self.data.pop(0)
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.got.append((list(envelope.rcpt_tos), message))
        return "250 queued"


@pytest.fixture
def handler() -> MailServer:
    return MailServer()


@pytest.fixture
def port(handler: MailServer, unused_port: int) -> Iterator[int]:
    controller = Controller(handler, hostname="127.0.0.1", port=unused_port)
    controller.start()
    yield unused_port
    controller.stop()


@pytest.fixture
def unused_port() -> int:
    return free_port()


def connect(calls: Calls, port: int, **parts: Any) -> None:
    declared = {"smtp": f"smtp://127.0.0.1:{port}", "from": "Acme <hello@acme.example>", **parts}
    calls.api.put("/v1/connections/mail", declared)


def welcome(calls: Calls, **parts: Any) -> None:
    link = {"when": {"event": "user.*"}, "mail": {**WELCOME, **parts.pop("mail", {})}, **parts}
    calls.api.put("/v1/links/push", link)


@pytest.mark.slow
def test_an_event_becomes_a_mail_in_text_and_html(calls: Calls, handler: MailServer, port: int) -> None:
    connect(calls, port)
    welcome(calls)
    data = {"id": "u-1", "name": "Änne <b>", "email": "a.b+c@example.com"}
    done = calls.ended(calls.api.publish("user.created", data))
    (attempt,) = done["attempts"]
    assert (done["state"], attempt["outcome"], attempt["status"]) == ("delivered", "ok", 250)
    assert attempt["request_headers"]["to"] == "a.b+c@example.com"
    ((recipients, message),) = handler.got
    assert recipients == ["a.b+c@example.com"]
    assert (message["From"], message["Subject"]) == ("Acme <hello@acme.example>", "Welcome, Änne <b>")
    assert message["Message-ID"].startswith("<call_") and message["Auto-Submitted"] == "auto-generated"
    text, html = message.iter_parts()
    assert text.get_content().replace("\r", "") == "Hello Änne <b>,\nyour account u-1 is ready.\n"
    assert html.get_content().replace("\r", "") == "<p>Hello <b>Änne &lt;b&gt;</b></p>\n"
    shown = calls.api.get("/v1/links/push")
    assert calls.api.put("/v1/links/push", shown)["revision"] == 1
    connection = calls.api.get("/v1/connections/mail")
    assert (connection["base"], connection["from"]) == (None, "Acme <hello@acme.example>")
    assert calls.api.put("/v1/connections/mail", connection)["revision"] == 1


@pytest.mark.parametrize(
    "value",
    [
        "a@x.example, evil@y.example",
        "a@x.example\r\nBcc: evil@y.example",
        "a@x.example> SIZE=1\r\nRCPT TO:<evil@y.example",
        "Name <a@x.example>",
        '"a b"@x.example',
        "a@@x",
        "a@x.example\0",
        "@x.example",
        "",
        None,
        {"a": 1},
        ["a@x.example", "b c@x.example"],
    ],
)
@pytest.mark.few(4)
def test_no_value_adds_a_recipient(calls: Calls, handler: MailServer, port: int, value: Any) -> None:
    connect(calls, port)
    welcome(calls)
    try:
        event = calls.api.publish("user.created", {"email": value, "name": "x"})
    except Exception as refused:
        assert "NUL" in str(refused)
        return
    done = calls.ended(event)
    assert (done["state"], done["attempts"][0]["outcome"]) == ("dead", "template_failed")
    assert handler.got == []


@pytest.mark.slow
def test_no_value_adds_a_header(calls: Calls, handler: MailServer, port: int) -> None:
    connect(calls, port)
    welcome(calls)
    name = "x\r\nBcc: evil@y.example\r\n\r\n.\r\nQUIT"
    calls.ended(calls.api.publish("user.created", {"email": ["a@x.example", "b@x.example"], "name": name, "id": "."}))
    ((recipients, message),) = handler.got
    assert recipients == ["a@x.example", "b@x.example"]
    assert message["Bcc"] is None and message["Subject"] == "Welcome, x Bcc: evil@y.example . QUIT"


@pytest.mark.slow
def test_4xx_is_retried_and_5xx_is_dead_with_the_servers_words(calls: Calls, handler: MailServer, port: int) -> None:
    connect(calls, port)
    welcome(calls, retry_delays_seconds=[0, 1])
    handler.rcpt = ["451 greylisted, try later"]
    event = calls.api.publish("user.created", {"email": "a@x.example", "name": "x"})
    found = calls.delivery(event)
    assert (found["state"], found["attempts"][0]["status"]) == ("waiting", 451)
    assert "451 greylisted, try later" in found["attempts"][0]["reason"]
    calls.clock.advance(2)
    assert calls.ended(event)["state"] == "delivered"
    handler.data = ["554 looks like spam"]
    dead = calls.ended(calls.api.publish("user.created", {"email": "b@x.example", "name": "x"}))
    assert (dead["state"], dead["attempts"][0]["status"]) == ("dead", 554)
    assert "554 looks like spam" in dead["attempts"][0]["reason"]
    assert calls.ended(calls.api.publish("user.created", {"email": "c@x.example", "name": "x"}))["state"] == "delivered"


@pytest.mark.slow
def test_a_server_that_is_down_is_waited_for(calls: Calls, unused_port: int) -> None:
    connect(calls, unused_port)
    welcome(calls)
    found = calls.delivery(calls.api.publish("user.created", {"email": "a@x.example", "name": "x"}))
    assert (found["state"], found["attempts"][0]["outcome"]) == ("waiting", "connect_failed")


@pytest.mark.slow
def test_one_mail_for_each_user_whatever_is_replayed(calls: Calls, handler: MailServer, port: int) -> None:
    connect(calls, port)
    welcome(calls, once="{{ data.id }}")
    data = {"email": "a@x.example", "name": "x", "id": "u-1"}
    for _ in range(3):
        calls.ended(calls.api.publish("user.created", data))
    assert len(handler.got) == 1


@pytest.mark.slow
def test_a_password_is_not_sent_in_the_clear(calls: Calls, handler: MailServer, port: int) -> None:
    connect(calls, port, auth={"basic": ["user", "s3cret"]})
    welcome(calls)
    found = calls.delivery(calls.api.publish("user.created", {"email": "a@x.example", "name": "x"}))
    assert (found["state"], found["attempts"][0]["outcome"]) == ("waiting", "tls_failed")
    assert "does not offer TLS" in found["attempts"][0]["reason"]
    assert "s3cret" not in str(calls.api.get("/v1/connections/mail"))


def test_a_trial_shows_the_mail_and_sends_nothing(calls: Calls, handler: MailServer, port: int) -> None:
    connect(calls, port)
    welcome(calls)
    event = {"type": "user.created", "data": {"email": "a@x.example", "name": "Ann", "id": "u"}}
    tried = calls.api.post("/v1/links/push:test", {"event": event})
    assert (tried["mail"]["to"], tried["mail"]["subject"]) == (["a@x.example"], "Welcome, Ann")
    assert handler.got == []


@pytest.mark.parametrize(
    ("link", "place", "said"),
    [
        ({"mail": {"via": "shop", "to": "a@x", "subject": "x", "text": "x"}}, "/mail/via", "to a mail server"),
        ({"mail": {"via": "none", "to": "a@x", "subject": "x", "text": "x"}}, "/mail/via", "There is no connection"),
        ({"mail": {"via": "mail", "to": "a@x", "subject": "x"}}, "/mail/text", "needs `text`"),
        ({"mail": {"via": "mail", "to": 5, "subject": "x", "text": "x"}}, "/mail/to", "an address or a list"),
        ({"mail": {"via": "mail", "to": "{{ a }}", "subject": "x", "text": "x"}}, "/mail/to", "There is no a here."),
        ({"mail": {"via": "mail", "to": "a", "subject": "x", "text": "x", "cc": "b"}}, "/mail/cc", "unknown here"),
        ({"call": {"via": "mail", "get": "/"}}, "/call/via", "an HTTP server"),
        ({"mail": {**WELCOME}, "emit": {"type": "x", "each": "a", "key": "id"}}, "/emit", "no response to read"),
        ({"mail": {**WELCOME}, "rate": 5}, "/rate", "the connection's rate"),
    ],
)
@pytest.mark.few(3)
def test_a_wrong_mail_is_refused(calls: Calls, link: dict[str, Any], place: str, said: str) -> None:
    calls.connection()
    connect(calls, 25)
    reply = calls.api.call("PUT", "/v1/links/push", {"when": {"event": "a"}, **link})
    found = {each["pointer"]: each["detail"] for each in reply.json["errors"]}
    assert said in found[place], found


@pytest.mark.slow
def test_an_endless_answer_before_the_message_is_sent_leaves_no_doubt(calls: Calls) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"220 mail\r\n")
            connection.recv(1000)
            while True:
                connection.sendall(b"250" + b"x" * 65_536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        calls.api.put("/v1/connections/post", {"smtp": f"smtp://127.0.0.1:{port}", "from": "a@b.example"})
        mail = {"via": "post", "to": "x@y.example", "subject": "s", "text": "t"}
        calls.api.put("/v1/links/endless", {"when": {"event": "user.made"}, "mail": mail})
        (attempt,) = calls.delivery(calls.api.publish("user.made", {}), "endless")["attempts"]
        assert attempt["outcome"] == "connect_failed" and "The message was not sent." in attempt["reason"]
        thread.join(5)
