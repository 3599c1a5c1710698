"""Mail through libcurl's SMTP: a request like any other, with the same connections, address checks and time limits.

The reply's status is the server's last code. Until the whole message is handed over, a failure means that it was not
accepted; after that, only the server's reply says whether it was.
"""

from __future__ import annotations

import time

import pycurl

from tidings.net import reply as replies
from tidings.net.handle import Done, Handle, HttpRequest
from tidings.net.reply import Reply, TransportFailure
from tidings.rules.network.address import mail_target

REFUSED_FROM = 400
"""SMTP reply codes from this one on are refusals, temporary (4xx) or permanent (5xx)."""


class MailRequest(HttpRequest, frozen=True):
    """A message to be sent: `url` is smtp:// or smtps://, `body` the whole message with CRLF line ends.

    Without recipients, the server is only greeted, and logged in to.
    """

    sender: str = ""
    recipients: tuple[str, ...] = ()
    user: str = ""
    password: str = ""


class MailHandle(Handle):
    """One message as libcurl sees it. Never used again, but its connection is."""

    def load(self, request: HttpRequest, done: Done) -> None:
        """Prepare a message. Raises what pycurl raises if it cannot be sent."""
        assert isinstance(request, MailRequest)
        super().load(request, done)
        self.special, self.target = True, mail_target(request.url)
        curl = self.curl
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_SMTP | pycurl.PROTO_SMTPS)
        if request.recipients:
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.INFILESIZE_LARGE, len(request.body))
        else:
            # Only a greeting and a login; nothing is sent.
            curl.setopt(pycurl.NOBODY, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, "NOOP")
        curl.setopt(pycurl.FRESH_CONNECT, 0)
        curl.setopt(pycurl.HTTPPROXYTUNNEL, 1)
        if request.recipients:
            curl.setopt(pycurl.MAIL_FROM, f"<{request.sender}>")
            curl.setopt(pycurl.MAIL_RCPT, [f"<{each}>" for each in request.recipients])
        if request.user:
            curl.setopt(pycurl.USERNAME, request.user.encode())
            curl.setopt(pycurl.PASSWORD, request.password.encode())
        # A password never travels in the clear; without one, TLS is used if the server offers it.
        curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL if request.user else pycurl.USESSL_TRY)

    def reply(self, number: int, message: str) -> Reply:
        """The result; `number` and `message` are libcurl's, 0 on success."""
        code: int = self.curl.getinfo(pycurl.RESPONSE_CODE)
        duration_ms = int((time.monotonic() - self.began) * 1000)
        lines = self._headers
        said = _last_answer(lines)
        if not number or code >= REFUSED_FROM:
            return Reply(code or 250, lines, said, duration_ms)
        return Reply(None, lines, said, duration_ms, self._why(number, message))

    def stayed_here(self, number: int) -> bool:
        """Never, because a message is not repeated here."""
        return False

    def _why(self, number: int, message: str) -> TransportFailure:
        is_sent = self._sent >= len(self._body)
        if number == pycurl.E_OPERATION_TIMEDOUT:
            if is_sent:
                return TransportFailure("timeout", f"No response arrived within {self.timeout_seconds:g} s.")
            return TransportFailure("connection", f"The message was not sent within {self.timeout_seconds:g} s.")
        if number in (replies.SEND_ERROR, replies.RECV_ERROR, replies.GOT_NOTHING, replies.WEIRD_REPLY):
            said = "The connection broke" if number != replies.WEIRD_REPLY else "The server does not speak SMTP"
            return TransportFailure(
                "answer" if is_sent else "connection", f"{said}: {message or 'no details are available'}."
            )
        if number == pycurl.E_USE_SSL_FAILED:
            return TransportFailure("tls", "The server does not offer TLS, so the password was not sent.")
        if number == pycurl.E_LOGIN_DENIED:
            return TransportFailure("connection", "The server did not accept the user name and the password.")
        failure = self._failure(number, message)
        if failure.kind == "answer" and not is_sent:
            return TransportFailure("connection", f"The message was not sent. {failure.reason}")
        return failure


def _last_answer(lines: list[bytes]) -> bytes:
    """The lines of the server's last reply; all but the last have a dash after the code."""
    begin = len(lines) - 1
    while begin > 0 and lines[begin - 1][3:4] == b"-" and lines[begin - 1][:3] == lines[-1][:3]:
        begin -= 1
    return b"".join(lines[max(begin, 0) :])
