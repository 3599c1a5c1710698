"""The call: an event becomes one HTTP request to another system's API, and the response says whether it succeeded.

Templates determine the content of a request (rules/calls/request.py), and its connection determines how it is
authenticated. A call is repeated only if that is safe: with POST and PATCH, nobody knows whether a request whose
response was lost had an effect, so a person has to decide unless the link says otherwise (`in_doubt`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.deliver.actions.action import Carried, Prepared, Result, Tools
from tidings.deliver.actions.guarding import Guarding, LineOf, Scopes, scope_with
from tidings.deliver.actions.tokens import tls_of
from tidings.deliver.actions.webhook import OUTCOMES
from tidings.deliver.settle import FollowUp, FollowUps
from tidings.model import outcome as outcomes
from tidings.model.calls.connection import TIMEOUT_SECONDS
from tidings.model.event import Event
from tidings.model.link import ALL_TENANTS, CallLink
from tidings.model.moment import Micros
from tidings.model.outcome import Outcome
from tidings.net.http import A_GLANCE, AnswerLimits, HttpRequest, Reply
from tidings.rules.calls import sending
from tidings.rules.calls.answers import header_values, read_answer, soap_fault
from tidings.rules.calls.credentials import secrets_of
from tidings.rules.calls.keeping import KeepTemplate
from tidings.rules.calls.request import CallRequest, CallTemplate
from tidings.rules.deliver import judgement, retry
from tidings.rules.guard import MINE, names_of
from tidings.rules.network import address
from tidings.rules.reading.hiding import hiding
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.signing.calls import CallSigner
from tidings.rules.template import Scope, TemplateFailed
from tidings.store.base import StoreError

ANSWER_BYTES_MAX = 1024 * 1024
WHOLE_ANSWER = AnswerLimits(keep_bytes=ANSWER_BYTES_MAX, read_bytes=ANSWER_BYTES_MAX, seconds=15.0)
UNANSWERED = ("timeout", "answer")
"""Kinds of failures after which the request may nevertheless have taken effect."""
IN_DOUBT_MORE = "The call may have taken effect. Check whether it did; if not, retry the delivery."


class Call(msgspec.Struct, frozen=True):
    """What is sent for an event, or why there is no request."""

    event: Event
    request: HttpRequest | None = None
    failed: str = ""
    outcome: Outcome = outcomes.TEMPLATE_FAILED
    """The outcome if no request could be built."""
    more: dict[str, Any] = {}
    """The variables that its templates can use in addition to the event."""


class CallReply(msgspec.Struct, frozen=True):
    """The response to a call."""

    call: Call
    reply: Reply | None = None
    no_token: str = ""
    """The reason why there is no access token, so that nothing was sent, or nothing was sent again after a 401."""
    tokens: tuple[str, ...] = ()
    """The access tokens that were sent with its requests."""
    kept: dict[str, Any] = {}
    """The values to keep from the response, once the call was judged a success."""


class CallAction:
    """Calls another system for one link."""

    def __init__(
        self, link: CallLink, tools: Tools, names: Sequence[str] | None = None, wanted: AnswerLimits | None = None
    ) -> None:
        """`names`: what its templates see, if not the usual names. `wanted`: how much of a response it reads."""
        what = link.what
        self._link, self._what, self._tools = link, what, tools
        self.guarding = Guarding(link, tools.once)
        self.follows = self.guarding.has_key or what.keep is not None
        connection = None if what.via is None else tools.connection(what.via)
        self._connection, self.auth = connection, sending.auth_scope(connection)
        self._secrets = (*secrets_of(connection), *what.sealed.sign)
        self.hide = hiding(self._secrets)
        self._has_token = sending.is_oauth2(connection)
        self._missing = what.via is not None and connection is None
        self.base = base = None if connection is None else connection.options.base
        self._template = CallTemplate(what, base, names=names or (*names_of(what), MINE))
        self.destination = f"{what.verb.upper()} {base or ''}{what.path}"
        self.line, self._scopes = LineOf(link, tools.parts), Scopes(link, tools.parts, tools.memory)
        self._signer = None if what.sign is None else CallSigner(what.sign, what.sealed.sign)
        self._keep = None if what.keep is None else KeepTemplate(what)
        names_auth = self._template.names_auth
        self._secret_headers = sending.secret_headers(connection, names_auth=names_auth)
        self._tls = None if connection is None else tls_of(connection)
        self._opens = address.parse_networks("" if connection is None else ",".join(connection.options.private))
        default = TIMEOUT_SECONDS if connection is None else connection.options.timeout_seconds
        self._timeout_seconds = default if what.call_timeout_seconds is None else what.call_timeout_seconds
        self._tenant = None if link.tenant == ALL_TENANTS else link.tenant
        self._wanted = wanted or (WHOLE_ANSWER if self._template.reads_answer or self._keep else A_GLANCE)
        self.repeats = self._template.is_repeatable if what.in_doubt is None else what.in_doubt == "retry"

    def fitting(self, events: Sequence[Event]) -> int:
        """One: a call is about one event."""
        return 1

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The request with the event's values, or why there is none. Raises ValueError."""
        event = events[0]
        self.check_connection()
        try:
            more = self._scopes.more(event, carried[0].number)
            if self._keep is not None and self._scopes.key(event, more) is None:
                raise TemplateFailed("/keep", "the event has no subject to keep values for.")
            scope = scope_with(event, more, self.auth)
            skipped = self.guarding.skipped(scope)
            if skipped is not None:
                return Prepared(Call(event, outcome=skipped[0], failed=skipped[1]), "{}", 0)
            filled = self.filled(scope)
        except TemplateFailed as wrong:
            return Prepared(Call(event, failed=str(wrong)), "{}", 0)
        except StoreError as wrong:
            said = f"The store cannot be read: {wrong.detail}."
            return Prepared(Call(event, failed=said, outcome=outcomes.EDIT_FAILED), "{}", 0)
        key = sending.call_key(self._link.id, event.id, carried[0].number)
        try:
            request, shown = self.request(sending.with_key(filled, key), now, key)
        except Refused as refused:
            return Prepared(Call(event, failed=f"The request cannot be signed: {refused.detail}"), "{}", 0)
        return Prepared(Call(event, request, more=more), shown, len(filled.body))

    def check_connection(self) -> None:
        """Raise ValueError if its connection no longer exists."""
        if self._missing:
            raise ValueError(f"there is no connection {self._what.via}")

    def filled(self, scope: Scope) -> CallRequest:
        """The request with the values of a scope. Raises TemplateFailed."""
        return self._template.fill(scope)

    def request(self, filled: CallRequest, now: Micros, ident: str = "") -> tuple[HttpRequest, str]:
        """A request as it is sent, signed and with the credentials that are already known, and as the attempt shows it.

        `ident`: its id, if the scheme signs one. Raises Refused if it cannot be signed.
        """
        secret = self._secret_headers
        if self._signer is not None:
            filled, more = sending.signed_by(filled, self._signer, now, ident)
            secret = secret | more
        if self._connection is not None:
            filled, more = sending.signed(filled, self._connection, now, secrets.token_hex(16))
            secret = secret | more
        request = HttpRequest(
            filled.url,
            [*sending.lines(filled, secret), "Expect:"],
            filled.body,
            self._timeout_seconds,
            self._tenant,
            self._tls,
            method=filled.method,
            wanted=self._wanted,
            opens=self._opens,
        )
        return request, sending.as_shown(filled, secret)

    def send(self, request: Call, done: Callable[[CallReply], None]) -> None:
        """Send it. Raises ValueError."""
        if request.request is None:
            self._tools.later(lambda: done(CallReply(request)))
        elif self._has_token:
            self._with_token(request, None, None, done)
        else:
            self._tools.send(request.request, lambda reply: done(CallReply(request, reply)))

    def _with_token(
        self, call: Call, refused: str | None, answer: Reply | None, done: Callable[[CallReply], None]
    ) -> None:
        """Send it with an access token.

        `refused`: the token that was sent before, if the response to it (`answer`) was a 401.
        """
        assert self._connection is not None and call.request is not None
        wanted, sent = call.request, () if refused is None else (refused,)

        def send(token: str | None, why: str) -> None:
            if token is None:
                self._tools.later(lambda: done(CallReply(call, answer, why, sent)))
                return
            headers, body = sending.with_token(wanted.headers, wanted.body, token)
            request = msgspec.structs.replace(wanted, headers=headers, body=body)
            try:
                self._tools.send(request, lambda reply: came(token, reply))
            except ValueError as wrong:
                self._tools.later(lambda said=str(wrong): done(CallReply(call, None, said)))  # type: ignore[misc]

        def came(token: str, reply: Reply) -> None:
            if reply.status == 401 and reply.answered and refused is None:
                self._with_token(call, token, reply, done)
            else:
                done(CallReply(call, reply, tokens=(*sent, token)))

        self._tools.tokens.use(self._connection, refused, send)

    def judge(self, reply: CallReply, now: Micros) -> Result:
        """The result, from the response or the lack of one; our credentials are removed from it."""
        hide = hiding((*self._secrets, *reply.tokens)) if reply.tokens else self.hide
        result = self._judged(reply, now)
        return msgspec.structs.replace(result, reason=hide.text(result.reason), answer=hide.bytes(result.answer))

    def _judged(self, reply: CallReply, now: Micros) -> Result:
        found = reply.reply
        if reply.no_token:
            status, took = (None, 0) if found is None else (found.status, found.duration_ms)
            judged = judgement.judge_call(outcomes.AUTH_FAILED, None)
            return Result(outcomes.AUTH_FAILED, judged, reply.no_token, status, took)
        if found is None:
            outcome = reply.call.outcome
            judged = judgement.UNFILLED if outcome is outcomes.TEMPLATE_FAILED else judgement.judge_call(outcome, None)
            return Result(outcome, judged, reply.call.failed, None, 0)
        status, failure = found.status or None, found.failure
        try:
            outcome, reason = self.outcome_of(reply.call, found)
        except TemplateFailed as wrong:
            return _template_failed(str(wrong), found.duration_ms, found.body, status)
        if outcome is outcomes.OK and self._keep is not None:
            reason += self._keeping(self._keep, reply, found)
        asked = found.header("retry-after") if found.answered else None
        wait_seconds = None if asked is None else retry.parse_retry_after(asked, now)
        judged = judgement.judge_call(outcome, status, asked_to_wait=wait_seconds is not None)
        if failure is None or found.answered:
            judged = judgement.given_up(judged, status, self._link.pacing.give_up_on)
        return Result(outcome, judged, reason, status, found.duration_ms, found.body, wait_seconds)

    def _keeping(self, keep: KeepTemplate, reply: CallReply, found: Reply) -> str:
        """Find what to keep from a response. Returns a sentence about it."""
        try:
            reply.kept.update(keep.fill(scope_with(reply.call.event, reply.call.more, _answer(found))))
        except TemplateFailed as wrong:
            # The call has taken effect, so it has not failed.
            return f" Nothing was kept. {wrong}"
        return f" Kept {', '.join(sorted(reply.kept))}." if reply.kept else " There was nothing to keep."

    def follow(self, events: Sequence[Event], reply: CallReply, now: Micros) -> FollowUp | None:
        """The key of `once`, and what is kept from the response, are stored with the success."""
        if reply.reply is None:
            return None
        done = self.guarding.done(events[0], reply.call.more) if self.guarding.has_key else None
        key = self._scopes.key(events[0], reply.call.more) if reply.kept else None
        if key is None:
            return done
        keep = self._tools.memory.keep(key, reply.kept)
        return FollowUps((keep,) if done is None else (keep, done), (keep.stored,))

    def outcome_of(self, call: Call, reply: Reply) -> tuple[Outcome, str]:
        """The outcome, and a sentence. Raises TemplateFailed."""
        failure = reply.failure
        if failure is not None and not reply.answered:
            if failure.kind in UNANSWERED and not self.repeats:
                return outcomes.IN_DOUBT, f"{failure.reason} {IN_DOUBT_MORE}"
            return OUTCOMES[failure.kind], sending.unreached(failure.kind, failure.reason, self._connection)
        status = reply.status or 0
        more = "" if failure is None else f" {failure.reason}"
        is_ok = 200 <= status < 300
        if self._template.speaks_xml and (fault := soap_fault(_answer(reply)["body"])) is not None:
            is_ok, more = False, f" The response is {fault}.{more}"
        if self._template.reads_answer:
            is_ok = self._template.is_ok(scope_with(call.event, call.more, _answer(reply)))
        if is_ok:
            return outcomes.OK, f"Answered {status}.{more}"
        if 200 <= status < 300 and not self._template.reads_answer:
            return outcomes.NOT_OK, f"Answered {status}.{more}"
        if 200 <= status < 300:
            return outcomes.NOT_OK, f"Answered {status}, which is a failure according to the link's `ok`.{more}"
        if 300 <= status < 400:
            return outcomes.REDIRECT, f"Answered {status}; redirects are not followed.{more}"
        return outcomes.BAD_STATUS, f"Answered {status}.{more}"


def _answer(reply: Reply) -> dict[str, Any]:
    """What templates see of a response."""
    headers = header_values(reply.lines)
    body = read_answer(headers.get("content-type", ""), reply.body)
    return {"status": reply.status or 0, "headers": headers, "body": body}


def _template_failed(reason: str, duration_ms: int, answer: bytes, status: int | None = None) -> Result:
    return Result(outcomes.TEMPLATE_FAILED, judgement.UNFILLED, reason, status, duration_ms, answer)
