"""A span for each attempt, whose context the request passes on. It wraps an action, which knows nothing about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.deliver.actions.action import Action, Carried, Prepared, Result
from tidings.model.event import Event
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.net.http import HttpRequest
from tidings.rules.tracing.context import (
    FLAG,
    NO_SPAN,
    PARENT_CHARS,
    SAMPLED,
    SAMPLED_FLAGS,
    is_sampled,
    of_stored,
)
from tidings.tracing.records import NOT_FAILED, AttemptRecord, LinkAbout
from tidings.tracing.tracing import Tracing, new_span

LINKS_MAX = 128
"""The maximum number of traces to which the span of a batch is linked."""
_NONE: tuple[str, ...] = ()


class TracedAction:
    """An action whose attempts are traced. Belongs to the deliver thread."""

    def __init__(self, tracing: Tracing, link: AnyLink, action: Action) -> None:
        self._spans, self._action, self._prepare = tracing.spans, action, action.prepare
        self.destination, self.follows = action.destination, action.follows
        self.fitting, self.line = action.fitting, action.line
        self.send, self.judge, self.follow = action.send, action.judge, action.follow
        if link.kind == "endpoint":
            where = ("url.full", _shown_url(action.destination))
        else:
            # The values in it may be secrets; its pattern is what the link's declaration says.
            where = ("url.template", action.destination.partition(" ")[2])
        about = LinkAbout(link.id, f"{link.kind} {link.name or link.id}", *where)
        self._about = msgspec.json.encode(about).decode()
        self._sends_its_own: bool | None = None
        """Whether the link itself sets a traceparent; None until it has made a request."""

    def __getattr__(self, name: str) -> Any:
        # Trials know what kind of action they try out.
        return getattr(self._action, name)

    def prepare(self, events: Sequence[Event], carried: Sequence[Carried], now: Micros) -> Prepared:
        """The action's request, with the context added. Raises ValueError."""
        prepared = self._prepare(events, carried, now)
        event, count, links = events[0], len(events), _NONE
        if count == 1:
            if (trace := event.trace) is None:
                return prepared
        elif traces := [each.trace for each in events if each.trace is not None]:
            trace, links = _of_several(traces)
        else:
            return prepared
        span, request, method, url = new_span(), prepared.request, "", ""
        http = request if type(request) is HttpRequest else _http(request)
        if http is not None:
            method, url = http.method, http.url
            if self._sends_its_own is None:
                self._sends_its_own = any(line.lower().startswith("traceparent:") for line in http.headers)
            if not self._sends_its_own:
                prepared.shown = _carrying(http.headers, prepared.shown, trace, span)
        if trace[FLAG] in SAMPLED_FLAGS:
            n, about = carried[0].n, self._about
            record = AttemptRecord(
                trace, span, links, now, about, event.id, event.tenant, event.type, count, n, method, url
            )
            prepared.told = partial(self._ended, record)
        return prepared

    def _ended(self, record: AttemptRecord, result: Result, now: Micros) -> None:
        spans = self._spans
        if not spans.has_room:
            spans.drop()
            return
        outcome = result.outcome.name
        record.ended, record.outcome, record.status = now, outcome, result.status
        if outcome not in NOT_FAILED:
            record.error = result.reason
        spans.add(record)


def _of_several(traces: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """For a batch: the trace that its span is part of, in an event's form, and the traces that it only names.

    A request is part of one trace: one with events of several traces begins its own, which names them.
    """
    first, links = traces[0], tuple(traces[:LINKS_MAX])
    if all(of_stored(each).trace_id == of_stored(first).trace_id for each in traces):
        return first, links[1:]
    flags = SAMPLED if any(map(is_sampled, traces)) else 0
    return f"00-{new_span()}{new_span()}-{NO_SPAN}-{flags:02x}", links


def _http(request: Any) -> HttpRequest | None:
    """The HTTP request of an action's own kind of request, if it is one."""
    found = request if isinstance(request, HttpRequest) else getattr(request, "request", None)
    return found if type(found) is HttpRequest else None


def _carrying(headers: list[str], shown: str, trace: str, span: str) -> str:
    """Add the headers; returns what the attempt shows then."""
    parent = f"{trace[:36]}{span}{trace[52:55]}"
    headers.append(f"traceparent: {parent}")
    comma = "," if len(shown) > len("{}") else ""
    if len(trace) == PARENT_CHARS:
        return f'{shown[:-1]}{comma}"traceparent":"{parent}"}}'
    state = trace[PARENT_CHARS + 1 :]
    headers.append(f"tracestate: {state}")
    return f'{shown[:-1]}{comma}"traceparent":"{parent}","tracestate":{msgspec.json.encode(state).decode()}}}'


def _shown_url(url: str) -> str:
    """Without a user, a password, and the query's values."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "?REDACTED" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"
