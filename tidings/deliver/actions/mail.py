"""The mail: an event becomes one message for a mail server, whose reply code says whether it accepted the message.

A message that was handed over completely and got no reply may have been sent, so a person has to decide unless the
link says otherwise (`in_doubt`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.deliver.actions.action import Carried, Prepared, Result, Tools
from tidings.deliver.actions.call import UNANSWERED
from tidings.deliver.actions.guarding import Guarding, LineOf, Scopes, scope_with
from tidings.deliver.actions.once import KeyDone
from tidings.deliver.actions.tokens import tls_of
from tidings.deliver.actions.webhook import OUTCOMES
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import ALL_TENANTS, MailLink
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.net.http import Reply
from tidings.net.mail import MailRequest
from tidings.rules.calls import mail, sending
from tidings.rules.calls.credentials import secrets_of
from tidings.rules.deliver import judgement
from tidings.rules.guard import names_of
from tidings.rules.network import address
from tidings.rules.reading.hiding import hiding
from tidings.rules.template import TemplateFailed


class Letter(msgspec.Struct, frozen=True):
    """What is sent for an event, or why there is no message."""

    request: MailRequest | None = None
    failed: str = ""
    outcome: Outcome = outcomes.TEMPLATE_FAILED
    """The outcome if no message could be built."""
    more: dict[str, Any] = {}
    """The variables that its templates can use in addition to the event."""


class MailReply(msgspec.Struct, frozen=True):
    """What the server answered."""

    letter: Letter
    reply: Reply | None = None


class MailAction:
    """Sends mail for one link."""

    def __init__(self, link: MailLink, tools: Tools) -> None:
        what = link.what
        self._link, self._tools = link, tools
        self._guarding = Guarding(link, tools.once)
        self.follows = self._guarding.has_key
        self._connection = tools.connection(what.via)
        self._hide = hiding(secrets_of(self._connection))
        self.destination = f"mail via {what.via}"
        self._template = mail.MailTemplate(what, names=names_of(what))
        self.line, self._scopes = LineOf(link, tools.parts), Scopes(link, tools.parts)
        private = () if self._connection is None else self._connection.options.private
        self._opens = address.parse_networks(",".join(private))
        self._tenant = None if link.tenant == ALL_TENANTS else link.tenant
        self._repeats = what.in_doubt == "retry"

    def fitting(self, events: Sequence[Event]) -> int:
        """One: a mail is about one event."""
        return 1

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The message with the event's values, or the reason why there is none. Raises ValueError."""
        event, connection = events[0], self._connection
        if connection is None:
            raise ValueError(f"there is no connection {self._link.what.via}")
        try:
            more = self._scopes.more(events[0], carried[0].number)
            scope = scope_with(event, more)
            skipped = self._guarding.skipped(scope)
            if skipped is not None:
                return Prepared(Letter(failed=skipped[1], outcome=skipped[0]), "{}", 0)
            filled = self._template.fill(scope)
        except TemplateFailed as wrong:
            return Prepared(Letter(failed=str(wrong)), "{}", 0)
        options, auth = connection.options, connection.secrets.auth or {}
        key = sending.call_key(self._link.id, event.id, carried[0].number)
        body = mail.message(filled, options.sender, key, now)
        user, password = auth.get("basic", ("", ""))
        request = MailRequest(
            options.base,
            [],
            body,
            options.timeout_seconds,
            self._tenant,
            tls_of(connection),
            opens=self._opens,
            sender=mail.sender_address(options.sender) or "",
            recipients=filled.to,
            user=user,
            password=password,
        )
        shown = {"from": options.sender, "to": ", ".join(filled.to), "subject": filled.subject, "message-id": key}
        return Prepared(Letter(request, more=more), msgspec.json.encode(shown).decode(), len(body))

    def send(self, request: Letter, done: Callable[[MailReply], None]) -> None:
        """Send it. Raises ValueError."""
        if request.request is None:
            self._tools.later(lambda: done(MailReply(request)))
        else:
            self._tools.send(request.request, lambda reply: done(MailReply(request, reply)))

    def judge(self, reply: MailReply, now: Micros) -> Result:
        """The result, from the server's code or the lack of one."""
        found = reply.reply
        if found is None:
            outcome = reply.letter.outcome
            judged = judgement.UNFILLED if outcome is outcomes.TEMPLATE_FAILED else judgement.judge_call(outcome, None)
            return Result(outcome, judged, reply.letter.failed, None, 0)
        failure, status, answer = found.failure, found.status, self._hide.bytes(found.body)
        if failure is not None:
            outcome = OUTCOMES[failure.kind]
            reason = sending.unreached(failure.kind, failure.reason, self._connection)
            if failure.kind in UNANSWERED and not self._repeats:
                outcome = outcomes.IN_DOUBT
                reason += " The email may have been sent anyway. Check whether it arrived; if not, retry the delivery."
        elif status is not None and status < 400:
            outcome, reason = outcomes.OK, f"The mail server accepted the email ({status})."
        else:
            outcome = outcomes.BAD_STATUS
            reason = f"The mail server refused it: {answer.decode('utf-8', 'replace').strip()[:300]}"
        return Result(outcome, judgement.judge_mail(outcome, status), reason, status, found.duration_ms, answer)

    def follow(self, events: Sequence[Event], reply: MailReply, now: Micros) -> KeyDone | None:
        """The key of `once` is stored with the success."""
        return self._guarding.done(events[0], reply.letter.more) if reply.reply is not None else None
