"""A span for each attempt, whose context the request carries on: around an action, which knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tidings.deliver.actions.action import Action, Carried, Prepared, Result
from tidings.deliver.settle import FollowUp
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.net.http import HttpRequest
from tidings.rules.tracing.context import SAMPLED, Trace, of_stored
from tidings.tracing.otlp import attribute, common, span
from tidings.tracing.tracing import MESSAGE, Tracing, about, new_span, within

LINKS_MAX = 128
"""How many traces a batch's span names."""
NOT_FAILED = frozenset(each.name for each in (outcomes.OK, outcomes.SKIPPED, outcomes.SPLIT))


class _Begun(msgspec.Struct):
    """One attempt under way, and then its reply."""

    request: Any
    here: Trace
    parent: str | None
    links: tuple[Trace, ...]
    began: Micros
    events: Sequence[Event]
    n: int
    http: HttpRequest | None
    reply: Any = None


class _About(NamedTuple):
    """What is known of a link's attempts before any is made."""

    id: str
    name: str
    """Of a span that is not an HTTP request."""
    url_key: str
    url: str


class TracedAction:
    """An action whose attempts are traced. Belongs to the deliver thread."""

    def __init__(self, tracing: Tracing, link: AnyLink, action: Action) -> None:
        self._tracing, self._link, self._action = tracing, link, action
        self.destination, self.follows = action.destination, action.follows
        self.fitting, self.line = action.fitting, action.line
        if link.kind == "endpoint":
            where = ("url.full", _shown_url(action.destination))
        else:
            # The values in it may be secrets; its pattern is what the link's declaration says.
            where = ("url.template", action.destination.partition(" ")[2])
        self._about = _About(link.id, f"{link.kind} {link.name or link.id}", *where)
        self._sends_its_own: bool | None = None
        """Whether the link itself sets a traceparent; known once it has made a request."""

    def __getattr__(self, name: str) -> Any:
        # Trials know what kind of action they try out.
        return getattr(self._action, name)

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The action's request, which carries the context on. Raises ValueError."""
        prepared = self._action.prepare(events, carried, now)
        found = [of_stored(event.trace) for event in events if event.trace is not None]
        if not found:
            return prepared
        first = found[0]
        if len(found) == 1 or all(each.trace_id == first.trace_id for each in found):
            here = within(first)
            parent, links = first.span_id, tuple(found[1:LINKS_MAX])
        else:
            # A request is part of one trace: one of several traces begins its own, which names them.
            flags = SAMPLED if any(each.is_sampled for each in found) else 0
            here, parent, links = Trace(new_span() + new_span(), new_span(), flags), None, tuple(found[:LINKS_MAX])
        http, shown = _http(prepared.request), prepared.shown
        if http is not None:
            if self._sends_its_own is None:
                self._sends_its_own = any(line.lower().startswith("traceparent:") for line in http.headers)
            if not self._sends_its_own:
                shown = _carrying(http, shown, here)
        begun = _Begun(prepared.request, here, parent, links, now, events, carried[0].n, http)
        return Prepared(begun, shown, prepared.size)

    def send(self, request: Any, done: Callable[[Any], None]) -> None:
        """Start. Raises ValueError."""
        if type(request) is not _Begun:
            self._action.send(request, done)
            return

        def replied(reply: Any) -> None:
            request.reply = reply
            done(request)

        self._action.send(request.request, replied)

    def judge(self, reply: Any, now: Micros) -> Result:
        """The action's judgement."""
        if type(reply) is not _Begun:
            return self._action.judge(reply, now)
        result = self._action.judge(reply.reply, now)
        if reply.here.is_sampled and self._tracing.spans.has_room():
            self._record(reply, result)
        return result

    def follow(self, events: Sequence[Event], reply: Any, now: Micros) -> FollowUp | None:
        """What follows from a success."""
        return self._action.follow(events, reply.reply if type(reply) is _Begun else reply, now)

    def _record(self, begun: _Begun, result: Result) -> None:
        event, http, status = begun.events[0], begun.http, result.status
        what = (event.type, event.tenant, len(begun.events), result.outcome.name, status, begun.n)
        if http is None:
            shared = _common(self._about, "", "", 0, *what)
        else:
            shared = _common(self._about, http.method, *_server(http.url), *what)
        self._tracing.spans.add(
            span(
                shared,
                attribute(MESSAGE, event.id) if len(begun.events) == 1 else b"",
                begun.here,
                begun.parent,
                begun.began,
                self._tracing.now(),
                links=begun.links,
                error=None if result.outcome.name in NOT_FAILED else result.reason,
            )
        )


@lru_cache(maxsize=2_000)
def _common(
    link: _About,
    method: str,
    server: str,
    port: int,
    kind: str,
    tenant: str | None,
    events: int,
    outcome: str,
    status: int | None,
    n: int,
) -> bytes:
    """What a link's attempts have in common, if they end alike. `method`: empty if it is not an HTTP request."""
    attributes = about(kind, tenant, "deliver", "send")
    if events > 1:
        attributes["messaging.batch.message_count"] = events
    attributes["tidings.link.id"] = link.id
    attributes["tidings.outcome"] = outcome
    if method:
        attributes["http.request.method"] = method
        attributes["server.address"], attributes["server.port"] = server, port
        if status is not None:
            attributes["http.response.status_code"] = status
        if n:
            attributes["http.request.resend_count"] = n
        attributes[link.url_key] = link.url
    if outcome not in NOT_FAILED:
        attributes["error.type"] = str(status) if status is not None and status >= 300 else outcome
    return common(method or link.name, "client" if method else "internal", attributes)


def _http(request: Any) -> HttpRequest | None:
    """The HTTP request of an action's own kind of request, if it is one."""
    found = request if isinstance(request, HttpRequest) else getattr(request, "request", None)
    return found if type(found) is HttpRequest else None


def _carrying(http: HttpRequest, shown: str, here: Trace) -> str:
    """Add the headers; returns what the attempt shows then."""
    parent = here.parent
    http.headers.append(f"traceparent: {parent}")
    more = f'"traceparent":"{parent}"'
    if here.state:
        http.headers.append(f"tracestate: {here.state}")
        more += f',"tracestate":{msgspec.json.encode(here.state).decode()}'
    return f"{shown[:-1]}{'' if shown == '{}' else ','}{more}}}"


@lru_cache(maxsize=1_000)
def _server(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _shown_url(url: str) -> str:
    """Without a user, a password, and the query's values."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "?REDACTED" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"
