"""The forms' door: a page for people, and what they send from it.

The caller is a person with a browser, or a script on somebody's own page. A browser gets pages, even for refusals; a
script, or a caller that accepts JSON but not HTML, gets JSON and problems. Nothing depends on earlier visits: no
cookie is set or read.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from tidings.control.forms.body import is_target
from tidings.intake.forms.receive import FormAnswer, Submission
from tidings.model.errors import Invalid, NotAllowed, Place, TidingsError, TooLarge
from tidings.model.forms.form import Form
from tidings.rules.forms.posted import JSON
from tidings.rules.forms.senders import is_own
from tidings.rules.forms.texts import FALLBACK, Says, size_text
from tidings.rules.network.origin import ANY, public_url
from tidings.rules.reading.refused import escaped
from tidings.web.callers.arrivals import Arrivals
from tidings.web.forms import pages
from tidings.web.parts import Parts
from tidings.web.wire import problem
from tidings.web.wire.bodies.work import LARGE_BYTES

log = logging.getLogger("tidings.web")

PREFIX = "/f/"
NAME = "form"
"""The name of the forms door's requests in the metrics."""
METHODS = "GET, HEAD, POST, OPTIONS"
PREFLIGHT_SECONDS = "600"

_ALWAYS = [
    ("server", "tidings"),
    ("x-content-type-options", "nosniff"),
    # With no-referrer, browsers would hide the origin of submissions that come from the page.
    ("referrer-policy", "same-origin"),
]
_PRIVATE = ("cache-control", "no-store")
_KEEP = ("cache-control", "public, max-age=31536000, immutable")
_HTML = ("content-type", "text/html; charset=utf-8")
_encode = msgspec.json.Encoder().encode


class Visit(NamedTuple):
    """One request, and the form that it is about."""

    scope: Any
    proto: Any
    headers: dict[str, str]
    request_id: str
    form: Form | None
    says: Says

    @property
    def wants_json(self) -> bool:
        """Whether a program reads the response."""
        accept = self.headers.get("accept", "").lower()
        if "text/html" in accept:
            return False
        sent = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return "json" in accept or sent == JSON or self.headers.get("sec-fetch-dest") == "empty"


class FormsDoor:
    """Takes everything below `/f/`."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._parts, self._receiver = parts, parts.forms.receiver
        self._arrivals = Arrivals(parts)
        self._public = public_url(settings.public_url)
        self._max_body = int(settings.max_form_bytes)
        self._blank = pages.BlankPages(self._max_body)

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request (RSGI 1.x)."""
        began = perf_counter()
        request_id = self._arrivals.next_id(began)
        form = await self._form_at(scope.path)
        says = self._receiver.ready(form).checks.says if form is not None else Says(FALLBACK)
        at = Visit(scope, proto, dict(scope.headers.items()), request_id, form, says)
        is_refused = False
        try:
            status = await self._take(at)
        except Exception as wrong:
            status, is_refused = self._refuse(at, wrong), True
        self._arrivals.answered(NAME, status, began)
        if is_refused:
            await self._parts.bodies.discard(proto, at.headers, status)

    async def _form_at(self, path: str) -> Form | None:
        if not path.startswith(PREFIX):
            return None
        name, others = path[len(PREFIX) :], self._parts.others
        form = self._receiver.form_at(name)
        if form is None and others is not None:
            with contextlib.suppress(TidingsError):
                form = await others.fresh.found(lambda: self._receiver.form_at(name))
        return form

    async def _take(self, at: Visit) -> int:
        scope = at.scope
        peer = self._arrivals.caller(scope)
        self._arrivals.count(peer)
        name, sheet = pages.style()
        if scope.path == PREFIX + name and scope.method in ("GET", "HEAD"):
            return self._send(at, 200, sheet, [("content-type", "text/css; charset=utf-8"), _KEEP])
        form = self._receiver.found(at.form)
        if scope.method in ("GET", "HEAD"):
            self._receiver.limits.take_page(form, peer)
            token = self._receiver.tokens.make(form.id)
            page = await self._written(form, 0, partial(self._blank.page, form, at.says, token, scope.query_string))
            return self._send_page(at, 200, page)
        if scope.method == "OPTIONS":
            return self._options(at)
        if scope.method != "POST":
            raise NotAllowed(f"A form accepts {METHODS}.", headers=[("allow", METHODS)])
        return await self._submit(at, form, peer)

    async def _submit(self, at: Visit, form: Form, peer: str) -> int:
        scope = at.scope
        query = scope.query_string
        given = Submission(
            method=scope.method,
            target=f"{scope.path}?{query}" if query else scope.path,
            headers=tuple(scope.headers.items()),
            body=b"",
            client=peer.rpartition(":")[0].strip("[]"),
            request_id=at.request_id,
        )
        self._receiver.admit(form, given, peer, self._public)
        try:
            raw = await self._parts.bodies.read(at.proto, at.headers, self._max_body, form.tenant)
        except TooLarge as wrong:
            self._receiver.refuse(form, given, "too_large", wrong.detail)
            raise
        given = given._replace(body=raw)
        if len(raw) > LARGE_BYTES:
            async with self._parts.work.place(form.tenant, len(raw)):
                await self._parts.work.step()
                answer = await self._receiver.take(form, given)
        else:
            answer = await self._receiver.take(form, given)
        return await self._answer(at, form, answer, len(raw))

    async def _written(self, form: Form, sent_bytes: int, write: Callable[[], bytes]) -> bytes:
        """Render a page; a large one waits for its tenant's turn.

        `sent_bytes`: the size of the submission that it shows.
        """
        size = self._receiver.ready(form).page_bytes + sent_bytes
        if size <= LARGE_BYTES:
            return write()
        async with self._parts.work.place(form.tenant, size):
            await self._parts.work.step()
            return write()

    async def _answer(self, at: Visit, form: Form, answer: FormAnswer, sent_bytes: int) -> int:
        if not answer.looks_accepted:
            if at.wants_json:
                raise _invalid(at.says, answer)
            token = answer.token or self._receiver.tokens.make(form.id)
            write = partial(pages.form_page, form, at.says, token, answer=answer, body_bytes=self._max_body)
            page = await self._written(form, sent_bytes, write)
            return self._send_page(at, 422, page)
        thanks, leads = form.options.thanks, is_target(form.options.thanks)
        if at.wants_json:
            said = {"redirect": thanks} if leads else {"thanks": thanks or at.says.say("thanks")}
            return self._send(at, 200, _encode(said), [("content-type", "application/json"), _PRIVATE])
        if leads:
            return self._send(at, 303, b"", [("location", thanks), _PRIVATE])
        return self._send_page(at, 200, pages.thanks_page(form, at.says))

    def _options(self, at: Visit) -> int:
        """Answer the preflight that a browser sends before a script on another origin submits the form."""
        headers = [("allow", METHODS), _PRIVATE]
        if _allowed_origin(at, self._public) is not None and "access-control-request-method" in at.headers:
            headers += [
                ("access-control-allow-methods", "POST"),
                ("access-control-allow-headers", "Accept, Content-Type, Idempotency-Key"),
                ("access-control-max-age", PREFLIGHT_SECONDS),
            ]
        return self._send(at, 204, b"", headers)

    def _refuse(self, at: Visit, wrong: Exception) -> int:
        if not isinstance(wrong, TidingsError):
            log.error(
                "%s a request to a form failed", at.request_id, exc_info=wrong, extra={"request_id": at.request_id}
            )
            wrong = problem.Internal(at.request_id)
        headers = [*problem.headers(wrong), _PRIVATE]
        if at.wants_json:
            body = _encode(problem.problem(wrong, at.request_id))
            return self._send(at, wrong.status, body, [*headers, ("content-type", problem.MEDIA)])
        title, text = self._told(at.says, wrong)
        if at.form is None:
            page = pages.nothing_page(title, text, min(at.scope.path[len(PREFIX) :].count("/"), pages.DEPTH_MAX))
        else:
            page = pages.message_page(at.form, at.says, title, text)
        return self._send(at, wrong.status, page, [*headers, _HTML, ("content-security-policy", pages.policy(at.form))])

    def _told(self, says: Says, wrong: TidingsError) -> tuple[str, str]:
        """A refusal in words for people."""
        if wrong.status == 429:
            seconds = max(1, round(wrong.retry_after_seconds or 1))
            return says.say("too_often_title"), says.say("too_often", seconds=seconds)
        if wrong.status == 403:
            return says.say("elsewhere_title"), says.say("elsewhere")
        if wrong.status == 413:
            return says.say("too_big_title"), says.say("too_big", max=size_text(self._max_body))
        if wrong.status == 503:
            return says.say("busy_title"), says.say("busy")
        if wrong.status in (400, 408, 415):
            return says.say("unreadable_title"), wrong.detail
        return wrong.title, wrong.detail

    def _send_page(self, at: Visit, status: int, page: bytes) -> int:
        return self._send(at, status, page, [_HTML, _PRIVATE, ("content-security-policy", pages.policy(at.form))])

    def _send(self, at: Visit, status: int, body: bytes, headers: list[tuple[str, str]]) -> int:
        headers = [*_ALWAYS, *headers, *_cors(at, self._public), ("request-id", at.request_id)]
        if body:
            at.proto.response_bytes(status, headers, body)
        else:
            at.proto.response_empty(status, headers)
        return status


def _allowed_origin(at: Visit, public: Any) -> str | None:
    """The other origin that a request comes from, if the form allows it."""
    origin = at.headers.get("origin")
    if origin is None or at.form is None or is_own(origin, at.headers.get("host", ""), public):
        return None
    origins = at.form.options.origins
    return ANY if ANY in origins else origin if origin in origins else None


def _cors(at: Visit, public: Any) -> list[tuple[str, str]]:
    if at.form is None or not at.form.options.origins:
        return []
    allowed = _allowed_origin(at, public)
    vary = [] if ANY in at.form.options.origins else [("vary", "Origin")]
    if allowed is None:
        return vary
    return [
        ("access-control-allow-origin", allowed),
        ("access-control-expose-headers", "Request-Id, Retry-After"),
        *vary,
    ]


def _invalid(says: Says, answer: FormAnswer) -> Invalid:
    """What is wrong with a submission, as a problem."""
    places = [
        Place(pointer=f"/{escaped(each.name)}" if each.name else "", code=each.code, detail=each.text)
        for each in answer.wrong
    ]
    return Invalid(says.say(answer.again) if answer.again else "Some fields are wrong.", errors=places)
