"""Mail over TLS to a real server (aiosmtpd): STARTTLS, TLS from the first byte, a password, and wrong peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.calls.test_mail import MailServer, welcome
from tests.calls.world import Calls
from tests.net.certificates import Authority
from tidings.testing.ports import free_port

# aiosmtpd only counts STARTTLS as TLS.
pytestmark = [pytest.mark.sqlite_only, pytest.mark.filterwarnings("ignore:Requiring AUTH")]

USER, PASSWORD = "tidings", "s3cret-Ü"
PERSON = {"email": "a@x.example", "name": "Ann", "id": "u-1"}


class TlsMailServer(MailServer):
    """It notes how each message came: with which TLS, and whose."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[tuple[str, str]] = []
        self.with_tls: list[bool] = []

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Let one user in."""
        assert isinstance(data, LoginPassword)
        self.tried.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=self.tried[-1] == (USER, PASSWORD), handled=False)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert server.transport is not None
        self.with_tls.append(server.transport.get_extra_info("ssl_object") is not None)
        return await super().handle_DATA(server, session, envelope)


Start = Callable[..., tuple[TlsMailServer, str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a mail server with a certificate; returns it with its URL."""
    with ExitStack() as stack:

        def started(scheme: str, authority: Authority, **how: Any) -> tuple[TlsMailServer, str]:
            handler, context = TlsMailServer(), authority.server(**how)
            options: dict[str, Any] = {"authenticator": handler.authenticate, "auth_required": True}
            if scheme == "smtps":
                options |= {"ssl_context": context, "auth_require_tls": False}
            else:
                options |= {"tls_context": context, "require_starttls": True}
            controller = Controller(handler, hostname="127.0.0.1", port=free_port(), **options)
            controller.start()
            stack.callback(controller.stop)
            return handler, f"{scheme}://127.0.0.1:{controller.port}"

        yield started


def connect(calls: Calls, url: str, **parts: Any) -> None:
    declared = {"smtp": url, "from": "hello@acme.example", "auth": {"basic": [USER, PASSWORD]}, **parts}
    calls.api.put("/v1/connections/mail", declared)


SCHEMES = pytest.mark.parametrize("scheme", ["smtp", "smtps"], ids=["STARTTLS", "implicit"])


@pytest.mark.slow
@SCHEMES
def test_mail_travels_with_tls_and_a_password(calls: Calls, start: Start, scheme: str) -> None:
    authority = Authority()
    handler, url = start(scheme, authority)
    connect(calls, url, ca=authority.pem)
    welcome(calls, retry_delays_seconds=[0, 1])
    handler.data = ["451 try later"]
    event = calls.api.publish("user.created", PERSON)
    found = calls.delivery(event)
    assert (found["state"], found["attempts"][0]["status"]) == ("waiting", 451), found["attempts"]
    calls.clock.advance(2)
    assert calls.ended(event)["state"] == "delivered"
    handler.data = ["552 the mailbox is full"]
    dead = calls.ended(calls.api.publish("user.created", PERSON))
    assert (dead["state"], dead["attempts"][0]["status"]) == ("dead", 552)
    assert "552 the mailbox is full" in dead["attempts"][0]["reason"]
    ((recipients, message),) = handler.got
    assert (recipients, message["Subject"]) == (["a@x.example"], "Welcome, Ann")
    assert set(handler.tried) == {(USER, PASSWORD)}
    assert handler.with_tls == [True] * 3


WRONG: dict[str, dict[str, Any]] = {
    "an unknown authority": {},
    "an expired certificate": {"days": -1},
    "another name": {"name": "mail.example.com", "here": False},
}


@SCHEMES
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.few(3)
def test_a_server_with_the_wrong_certificate_gets_nothing(calls: Calls, start: Start, scheme: str, wrong: str) -> None:
    how, authority = WRONG[wrong], Authority()
    handler, url = start(scheme, authority, issued=authority.issue(**how))
    connect(calls, url, ca=(authority if how else Authority("Another")).pem)
    welcome(calls)
    found = calls.delivery(calls.api.publish("user.created", PERSON))
    assert (found["state"], found["attempts"][0]["outcome"]) == ("waiting", "tls_failed"), found
    assert (handler.got, handler.tried) == ([], [])


@pytest.mark.slow
@SCHEMES
def test_a_wrong_password_is_waited_for_and_a_corrected_one_sends_at_once(
    calls: Calls, start: Start, scheme: str
) -> None:
    authority = Authority()
    handler, url = start(scheme, authority)
    connect(calls, url, ca=authority.pem, auth={"basic": [USER, "wrong"]})
    welcome(calls)
    event = calls.api.publish("user.created", PERSON)
    found = calls.delivery(event)
    assert found["state"] == "waiting"
    assert found["attempts"][0]["status"] == 535, found["attempts"]
    connect(calls, url, ca=authority.pem)
    assert calls.ended(event)["state"] == "delivered"
    assert len(handler.got) == 1
