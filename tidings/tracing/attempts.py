"""A span for each attempt, whose context the request carries on: around an action, which knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.deliver.actions.action import Action, Carried, Prepared, Result
from tidings.deliver.settle import FollowUp
from tidings.model.event import Event
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.net.http import HttpRequest
from tidings.rules.tracing.context import (
    FLAG,
    PARENT_CHARS,
    SAMPLED,
    SAMPLED_FLAGS,
    SPAN_ID,
    is_sampled,
    of_stored,
    with_span,
)
from tidings.tracing.records import NOT_FAILED, AttemptRecord, LinkAbout
from tidings.tracing.tracing import Tracing, new_span

LINKS_MAX = 128
"""How many traces a batch's span names."""


class _Begun(msgspec.Struct):
    """One attempt under way, and then its reply."""

    request: Any
    here: str
    """As an event keeps it (`Trace.stored`)."""
    parent: str | None
    links: tuple[str, ...]
    began: Micros
    events: Sequence[Event]
    n: int
    http: HttpRequest | None
    reply: Any = None
    done: Callable[[Any], None] | None = None

    def replied(self, reply: Any) -> None:
        """It has ended."""
        self.reply, done, self.done = reply, self.done, None
        assert done is not None
        done(self)


class TracedAction:
    """An action whose attempts are traced. Belongs to the deliver thread."""

    def __init__(self, tracing: Tracing, link: AnyLink, action: Action) -> None:
        self._spans, self._action = tracing.spans, action
        self.destination, self.follows = action.destination, action.follows
        self.fitting, self.line = action.fitting, action.line
        if link.kind == "endpoint":
            where = ("url.full", _shown_url(action.destination))
        else:
            # The values in it may be secrets; its pattern is what the link's declaration says.
            where = ("url.template", action.destination.partition(" ")[2])
        self._about = LinkAbout(link.id, f"{link.kind} {link.name or link.id}", *where)
        self._sends_its_own: bool | None = None
        """Whether the link itself sets a traceparent; known once it has made a request."""

    def __getattr__(self, name: str) -> Any:
        # Trials know what kind of action they try out.
        return getattr(self._action, name)

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The action's request, which carries the context on. Raises ValueError."""
        prepared = self._action.prepare(events, carried, now)
        event = events[0]
        if len(events) > 1:
            traces = [each.trace for each in events if each.trace is not None]
            if not traces:
                return prepared
            parent, here, links = _child_of_several(traces)
        elif (trace := event.trace) is None:
            return prepared
        else:
            parent, here, links = trace[SPAN_ID], with_span(trace, new_span()), ()
        request, shown = prepared.request, prepared.shown
        http = request if type(request) is HttpRequest else _http(request)
        if http is not None:
            if self._sends_its_own is None:
                self._sends_its_own = any(line.lower().startswith("traceparent:") for line in http.headers)
            if not self._sends_its_own:
                shown = _carrying(http.headers, shown, here)
        begun = _Begun(request, here, parent, links, now, events, carried[0].n, http)
        return Prepared(begun, shown, prepared.size)

    def send(self, request: Any, done: Callable[[Any], None]) -> None:
        """Start. Raises ValueError."""
        if type(request) is not _Begun:
            self._action.send(request, done)
            return

        request.done = done
        self._action.send(request.request, request.replied)

    def judge(self, reply: Any, now: Micros) -> Result:
        """The action's judgement."""
        if type(reply) is not _Begun:
            return self._action.judge(reply, now)
        result = self._action.judge(reply.reply, now)
        here = reply.here
        if here[FLAG] in SAMPLED_FLAGS:
            self._add(here, reply, result, now)
        return result

    def follow(self, events: Sequence[Event], reply: Any, now: Micros) -> FollowUp | None:
        """What follows from a success."""
        return self._action.follow(events, reply.reply if type(reply) is _Begun else reply, now)

    def _add(self, here: str, begun: _Begun, result: Result, now: Micros) -> None:
        spans = self._spans
        if not spans.has_room:
            spans.drop()
            return
        event, http, outcome = begun.events[0], begun.http, result.outcome.name
        spans.add(
            AttemptRecord(
                here,
                begun.parent,
                begun.links,
                begun.began,
                now,
                self._about,
                event.id,
                event.tenant,
                event.type,
                len(begun.events),
                begun.n,
                "" if http is None else http.method,
                "" if http is None else http.url,
                outcome,
                result.status,
                None if outcome in NOT_FAILED else result.reason,
            )
        )


def _child_of_several(traces: Sequence[str]) -> tuple[str | None, str, tuple[str, ...]]:
    """For a batch: the span's parent, the span itself, and what it links to.

    A request is part of one trace: one with events of several traces begins its own, which names them.
    """
    first, links = traces[0], tuple(traces[:LINKS_MAX])
    if all(of_stored(each).trace_id == of_stored(first).trace_id for each in traces):
        return first[SPAN_ID], with_span(first, new_span()), links[1:]
    flags = SAMPLED if any(map(is_sampled, traces)) else 0
    return None, f"00-{new_span()}{new_span()}-{new_span()}-{flags:02x}", links


def _http(request: Any) -> HttpRequest | None:
    """The HTTP request of an action's own kind of request, if it is one."""
    found = request if isinstance(request, HttpRequest) else getattr(request, "request", None)
    return found if type(found) is HttpRequest else None


def _carrying(headers: list[str], shown: str, here: str) -> str:
    """Add the headers; returns what the attempt shows then."""
    parent, state = here[:PARENT_CHARS], here[PARENT_CHARS + 1 :]
    headers.append(f"traceparent: {parent}")
    more = f'"traceparent":"{parent}"'
    if state:
        headers.append(f"tracestate: {state}")
        more += f',"tracestate":{msgspec.json.encode(state).decode()}'
    return f"{shown[:-1]}{'' if shown == '{}' else ','}{more}}}"


def _shown_url(url: str) -> str:
    """Without a user, a password, and the query's values."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "?REDACTED" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"
