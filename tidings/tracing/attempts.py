"""A span for each attempt, whose context the request carries on: around an action, which knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
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
from tidings.tracing.spans import Attributes, TraceSpan
from tidings.tracing.tracing import Tracing, about, new_span

LINKS_MAX = 128
"""How many traces a batch's span names."""
NOT_FAILED = (outcomes.OK, outcomes.SKIPPED, outcomes.SPLIT)


class _Begun(msgspec.Struct, frozen=True):
    """One attempt under way."""

    request: Any
    here: Trace
    parent: str | None
    links: tuple[Trace, ...]
    began: Micros
    events: Sequence[Event]
    n: int
    http: HttpRequest | None


class _Reply(msgspec.Struct, frozen=True):
    begun: _Begun
    reply: Any


class TracedAction:
    """An action whose attempts are traced. Belongs to the deliver thread."""

    def __init__(self, tracing: Tracing, link: AnyLink, action: Action) -> None:
        self._tracing, self._link, self._action = tracing, link, action
        self.destination, self.follows = action.destination, action.follows
        self.fitting, self.line = action.fitting, action.line
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
        if all(each.trace_id == first.trace_id for each in found):
            here = Trace(first.trace_id, new_span(), first.flags, first.state)
            parent, links = first.span_id, tuple(found[1:LINKS_MAX])
        else:
            # A request is part of one trace: one of several traces begins its own, which names them.
            flags = SAMPLED if any(each.is_sampled for each in found) else 0
            here, parent, links = Trace(new_span() + new_span(), new_span(), flags), None, tuple(found[:LINKS_MAX])
        http = _http(prepared.request)
        if http is not None:
            if self._sends_its_own is None:
                self._sends_its_own = any(line.lower().startswith("traceparent:") for line in http.headers)
            if not self._sends_its_own:
                prepared = _carrying(prepared, http, here)
        begun = _Begun(prepared.request, here, parent, links, now, events, carried[0].n, http)
        return Prepared(begun, prepared.shown, prepared.size)

    def send(self, request: Any, done: Callable[[Any], None]) -> None:
        """Start. Raises ValueError."""
        if type(request) is _Begun:
            self._action.send(request.request, lambda reply: done(_Reply(request, reply)))
        else:
            self._action.send(request, done)

    def judge(self, reply: Any, now: Micros) -> Result:
        """The action's judgement."""
        if type(reply) is not _Reply:
            return self._action.judge(reply, now)
        result = self._action.judge(reply.reply, now)
        if reply.begun.here.is_sampled and self._tracing.spans.has_room():
            self._record(reply.begun, result)
        return result

    def follow(self, events: Sequence[Event], reply: Any, now: Micros) -> FollowUp | None:
        """What follows from a success."""
        return self._action.follow(events, reply.reply if type(reply) is _Reply else reply, now)

    def _record(self, begun: _Begun, result: Result) -> None:
        link, event, http = self._link, begun.events[0], begun.http
        attributes = about(event.type, event.id, event.tenant, "deliver", "send")
        if len(begun.events) > 1:
            del attributes["messaging.message.id"]
            attributes["messaging.batch.message_count"] = len(begun.events)
        attributes["tidings.link.id"] = link.id
        attributes["tidings.outcome"] = result.outcome.name
        if http is None:
            name = f"{link.kind} {link.name or link.id}"
        else:
            name = http.method
            _say_http(attributes, http, result, begun.n)
            if link.kind == "endpoint":
                attributes["url.full"] = _shown_url(http.url)
            else:
                # The values in it may be secrets; its pattern is what the link's declaration says.
                attributes["url.template"] = self._action.destination.partition(" ")[2]
        error = None
        if result.outcome not in NOT_FAILED:
            status = result.status
            attributes["error.type"] = str(status) if status is not None and status >= 300 else result.outcome.name
            error = result.reason
        ended = max(self._tracing.now(), begun.began)
        self._tracing.spans.add(
            TraceSpan(
                name,
                "internal" if http is None else "client",
                begun.here,
                begun.parent,
                False,
                begun.began,
                ended,
                attributes,
                error,
                begun.links,
            )
        )


def _http(request: Any) -> HttpRequest | None:
    """The HTTP request of an action's own kind of request, if it is one."""
    found = request if isinstance(request, HttpRequest) else getattr(request, "request", None)
    return found if type(found) is HttpRequest else None


def _carrying(prepared: Prepared, http: HttpRequest, here: Trace) -> Prepared:
    """Add the headers, also to what the attempt shows."""
    http.headers.append(f"traceparent: {here.parent}")
    more = f'"traceparent":"{here.parent}"'
    if here.state:
        http.headers.append(f"tracestate: {here.state}")
        more += f',"tracestate":{msgspec.json.encode(here.state).decode()}'
    shown = prepared.shown[:-1]
    return Prepared(prepared.request, f"{shown}{'' if shown == '{' else ','}{more}}}", prepared.size)


def _say_http(attributes: Attributes, http: HttpRequest, result: Result, n: int) -> None:
    attributes["http.request.method"] = http.method
    attributes["server.address"], attributes["server.port"] = _server(http.url)
    if result.status is not None:
        attributes["http.response.status_code"] = result.status
    if n:
        attributes["http.request.resend_count"] = n


@lru_cache(maxsize=1_000)
def _server(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


@lru_cache(maxsize=1_000)
def _shown_url(url: str) -> str:
    """Without a user, a password, and the query's values."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "?REDACTED" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"
