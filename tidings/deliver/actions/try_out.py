"""Trials of three kinds: a link that observes asks as its next run would, compares one page, and writes nothing; a
connection greets the other system and authenticates; an endpoint gets an event that is not stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from tidings.deliver.actions.action import Tools
from tidings.deliver.actions.call import Call, CallAction, CallReply
from tidings.deliver.actions.observe import ObserveAction, ObserveReply, Run
from tidings.deliver.actions.observing import RunId, add
from tidings.deliver.actions.paging.sizes import end_of_part
from tidings.deliver.actions.tokens import tls_of
from tidings.deliver.actions.webhook import WebhookAction
from tidings.deliver.contained import contained, why
from tidings.model import outcome as outcomes
from tidings.model.calls.connection import Connection
from tidings.model.calls.trial import RECORDS_SHOWN, Observed, Reached, Tried
from tidings.model.errors import Invalid, NotFound, Unavailable
from tidings.model.event import Event
from tidings.model.link import CallApi, Endpoint, Link
from tidings.model.moment import Micros
from tidings.net.http import Reply
from tidings.net.mail import MailRequest
from tidings.rules.calls import sending
from tidings.rules.calls.credentials import secrets_of
from tidings.rules.calls.mail import sender_address
from tidings.rules.mirror.difference import Observation
from tidings.rules.mirror.observer import ReadAnswer
from tidings.rules.network import address
from tidings.rules.reading.hiding import hiding
from tidings.rules.template import Scope

NOT_ACCEPTED = (401, 403)
_NOTHING = Event(id="", type="", time=0, data="null")


class LanesTried(Protocol):
    """What trials need from the lanes (deliver/lanes.py)."""

    @property
    def tools(self) -> Tools:
        """The tools that actions send with."""

    @property
    def by_link(self) -> Mapping[int, Any]:
        """The lanes, by the numbers of their links."""


Trial = Callable[[LanesTried, Micros, Callable[[Any, Exception | None], None]], None]
"""A trial, which is started in the deliver thread. It reports once: its result, or the error."""


def begin(
    trial: Trial, lanes: LanesTried, now: Callable[[], Micros], tell: Callable[[Any, Exception | None], None]
) -> None:
    """Begin it; in the deliver thread."""
    try:
        trial(lanes, now(), tell)
    except Exception as wrong:
        tell(None, _untried(wrong))


def _untried(wrong: Exception) -> Unavailable:
    return Unavailable(f"The test could not be run: {why(wrong)}.")


class Trials:
    """Trials, for an event loop. Each raises Unavailable."""

    def __init__(self, try_out: Callable[[Trial], Awaitable[Any]]) -> None:
        """`try_out`: makes the deliver thread begin a trial."""
        self._try_out = try_out

    async def observe(self, link: int, event: Event) -> Observed:
        """What a link that observes would do with one page now."""
        found: Observed = await self._try_out(of_link(link, event))
        return found

    async def post(self, endpoint: Endpoint, event: Event) -> Tried:
        """An endpoint's response to an event."""
        found: Tried = await self._try_out(of_endpoint(endpoint, event))
        return found

    async def reach(self, connection: Connection, path: str) -> Reached:
        """Whether a connection works, with a GET of `path` if given."""
        found: Reached = await self._try_out(of_connection(connection, path))
        return found


def of_endpoint(endpoint: Endpoint, event: Event) -> Trial:
    """The trial of an endpoint that need not be stored: it gets one event, signed as usual."""

    def trial(lanes: LanesTried, now: Micros, tell: Callable[[Any, Exception | None], None]) -> None:
        action = WebhookAction(endpoint, lanes.tools)
        try:
            prepared = action.prepare([event], [], now)
        except ValueError as wrong:
            tell(None, Invalid(str(wrong)))
            return

        def came(reply: Reply) -> None:
            result = action.judge(reply, now)
            answer = result.answer.decode("utf-8", "replace") if result.answer else ""
            tell(
                Tried(
                    outcome=result.outcome,
                    status=result.status,
                    duration_ms=result.duration_ms,
                    says=result.reason or "",
                    answer=answer,
                    headers=prepared.shown,
                ),
                None,
            )

        action.send(prepared.request, contained(came, lambda wrong: tell(None, _untried(wrong))))

    return trial


def of_link(link: int, event: Event) -> Trial:
    """The trial of a link that observes."""

    def trial(lanes: LanesTried, now: Micros, tell: Callable[[Any, Exception | None], None]) -> None:
        lane = lanes.by_link.get(link)
        if lane is None:
            tell(None, NotFound("The link was deleted."))
        else:
            try_out(lane.action, event, now, lambda found: tell(found, None))

    return trial


def of_connection(connection: Connection, path: str) -> Trial:
    """The trial of a connection: a GET of `path`; without one, a HEAD of its base, or a greeting of its mail server."""

    def trial(lanes: LanesTried, now: Micros, tell: Callable[[Any, Exception | None], None]) -> None:
        try:
            if connection.options.is_mail:
                _greet(connection, lanes.tools, lambda found: tell(found, None))
            else:
                _ask(connection, path, lanes.tools, now, lambda found: tell(found, None))
        except ValueError as wrong:
            tell(_unreached(str(wrong)), None)

    return trial


def _ask(connection: Connection, path: str, tools: Tools, now: Micros, done: Callable[[Reached], None]) -> None:
    what = CallApi(via=connection.name, verb="get" if path else "head", path=path, ok="{{ true }}")
    action = CallAction(Link(num=0, id="", kind="call", tenant=None, what=what), tools)
    request, _ = action.request(action.filled(Scope(_NOTHING)), now)

    def came(reply: CallReply) -> None:
        result = action.judge(reply, now)
        status, took = result.status, result.duration_ms
        token = " with a new or stored access token" if reply.tokens else ""
        if result.outcome is outcomes.AUTH_FAILED:
            says, accepted = result.reason, False
        elif status is None:
            says, accepted = result.reason, None
        elif status in NOT_ACCEPTED:
            says, accepted = f"The server answered {status}{token}: it did not accept the credentials.", False
        else:
            known = bool(path) and status < 400
            more = (
                ""
                if known
                else " It is unknown whether the credentials are accepted. To find out, give a path that requires them."
            )
            says, accepted = f"The server answered {status}{token} within {took} ms.{more}", True if known else None
        done(
            Reached(
                is_reached=status is not None,
                is_accepted=accepted,
                outcome=result.outcome,
                status=status,
                duration_ms=took,
                says=says,
            )
        )

    action.send(Call(_NOTHING, request), contained(came, lambda wrong: done(_unreached(why(wrong)))))


def _greet(connection: Connection, tools: Tools, done: Callable[[Reached], None]) -> None:
    options, auth = connection.options, connection.secrets.auth or {}
    user, password = auth.get("basic", ("", ""))
    request = MailRequest(
        options.base,
        [],
        b"",
        options.timeout_seconds,
        None,
        tls_of(connection),
        opens=address.parse_networks(",".join(options.private)),
        sender=sender_address(options.sender) or "",
        user=user,
        password=password,
    )
    hide = hiding(secrets_of(connection)).text

    def came(reply: Reply) -> None:
        if reply.failure is not None:
            done(_unreached(hide(sending.unreached(reply.failure.kind, reply.failure.reason, connection))))
            return
        is_ok = reply.status is not None and reply.status < 400
        login = " It accepted the user name and the password." if user else " It asked for no password."
        refused = f"The server answered {reply.status}: {reply.body.decode('utf-8', 'replace').strip()[:300]}"
        done(
            Reached(
                is_reached=True,
                is_accepted=is_ok,
                outcome=outcomes.OK if is_ok else outcomes.BAD_STATUS,
                status=reply.status,
                duration_ms=reply.duration_ms,
                says=f"The mail server answered within {reply.duration_ms} ms.{login}" if is_ok else hide(refused),
            )
        )

    tools.send(request, contained(came, lambda wrong: done(_unreached(why(wrong)))))


def _unreached(says: str) -> Reached:
    return Reached(
        is_reached=False, is_accepted=None, outcome=outcomes.CONNECT_FAILED, status=None, duration_ms=0, says=says
    )


def try_out(action: ObserveAction, event: Event, now: Micros, done: Callable[[Observed], None]) -> None:
    """Read one page for this event; in the deliver thread."""
    run = _TrialRun(action, RunId(event, 0, 0, now), lambda reply: done(_failed(action, reply, now)))
    run.report = done
    run.start()


_Shown = tuple[tuple[str, str], ...]


class _TrialRun(Run):
    """A run of one page, whose jobs only read."""

    report: Callable[[Observed], None]

    def start(self) -> None:
        """Ask where the next run would begin."""
        self._write(lambda db, again: self._writes.look(db), self._begun_at)

    def _took(self, answer: ReadAnswer, observed: list[Observation], digest: bytes) -> None:
        pages, following = self._action.pages, None
        if pages is not None:
            following = pages.following(self._run.event, self._given(1), answer, self._request)
        self._compare(answer, observed, has_more=following is not None)

    def _end(self, answer: ReadAnswer, observed: list[Observation]) -> None:
        self._compare(answer, observed, has_more=False)

    def _compare(
        self, answer: ReadAnswer, observed: list[Observation], at: int = 0, shown: _Shown = (), *, has_more: bool
    ) -> None:
        """Compare a page part by part from a place. `shown`: the first changes of earlier parts."""
        end = end_of_part(observed, at, is_large=self._is_large)
        part = observed[at:end]

        def compared(found: Any) -> None:
            add(self._counts, found)
            changes = (*shown, *((each.kind, each.key) for each in found.changes[:RECORDS_SHOWN]))[:RECORDS_SHOWN]
            if end < len(observed):
                self._compare(answer, observed, end, changes, has_more=has_more)
            else:
                self._report(answer, changes, has_more=has_more)

        self._write(lambda db, again: self._writes.compare(db, part), compared, heavy=len(observed) > end)

    def _report(self, answer: ReadAnswer, changes: _Shown, *, has_more: bool) -> None:
        counts = self._counts
        self.report(
            Observed(
                outcome=outcomes.OK,
                reason="The mirror and the cursor are unchanged.",
                shown=self._shown,
                records=len(answer.records),
                first=tuple(self._action.call.hide.value(each) for each in answer.records[:RECORDS_SHOWN]),
                created=counts.created,
                updated=counts.updated,
                deleted=counts.deleted,
                changes=changes,
                has_more=has_more,
            )
        )


def _failed(action: ObserveAction, reply: ObserveReply, now: Micros) -> Observed:
    result = action.judge(reply, now)
    return Observed(outcome=result.outcome, reason=result.reason, shown=result.shown)
