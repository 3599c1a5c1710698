"""From a record to its span. Names and attributes follow OpenTelemetry's conventions for HTTP and messaging."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.rules.tracing.context import NO_SPAN, SPAN_ID
from tidings.tracing.exporter.otlp import Attributes, attribute, common, span
from tidings.tracing.records import (
    NOT_FAILED,
    AttemptRecord,
    CreationRecord,
    LinkAbout,
    Record,
    RequestRecord,
    RoutingRecord,
)

SYSTEM = "tidings"
TENANT, MESSAGE = "tidings.tenant", "messaging.message.id"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"))


def made(record: Record) -> bytes:
    """A record's span, encoded."""
    return _MAKERS[type(record)](record)


def _of_request(record: RequestRecord) -> bytes:
    status, path, link = record.status, record.path, record.link
    peer = record.client.rpartition(":")[0]
    own = b"" if record.request_id is None else attribute("tidings.request.id", record.request_id)
    if path is not None:
        own += attribute("url.path", path)
    return span(
        _shared_by_requests(
            record.method,
            record.scheme,
            record.route,
            path is None,
            record.version,
            peer,
            status,
            record.host,
            record.agent,
        ),
        own,
        record.trace,
        bytes.fromhex(record.trace[SPAN_ID]),
        record.parent,
        int(record.began),
        int(record.ended),
        is_remote=record.parent is not None,
        links=() if link is None else (link,),
        error="" if _has_failed(status) else None,
    )


def _has_failed(status: int) -> bool:
    """Whether it was our fault, or the caller went away."""
    return status >= 500 or not status


@lru_cache(maxsize=1_000)
def _shared_by_requests(
    given: str,
    scheme: str,
    route: str,
    is_whole: bool,
    version: str,
    peer: str,
    status: int,
    host: str | None,
    agent: str | None,
) -> bytes:
    """What one caller's requests have in common, if they have the same result. `is_whole`: the route is the path."""
    # Methods that nobody knows count as one, as the conventions ask.
    method = given if given in METHODS else "_OTHER"
    attributes: Attributes = {
        "http.request.method": method,
        "url.scheme": scheme,
        "network.protocol.version": version,
        "network.peer.address": peer.strip("[]"),
    }
    if is_whole:
        attributes["url.path"] = route
    if status:
        attributes["http.response.status_code"] = status
    if host:
        attributes["server.address"] = host.rpartition(":")[0] if ":" in host else host
    if agent:
        attributes["user_agent.original"] = agent
    if route:
        attributes["http.route"] = route
    if _has_failed(status):
        attributes["error.type"] = str(status or "cancelled")
    return common(f"{given if given in METHODS else 'HTTP'} {route}".strip(), "server", attributes)


def _of_routing(record: RoutingRecord) -> bytes:
    shared = _shared_by_routing(record.type, record.tenant, record.deliveries)
    trace, own = record.trace, attribute(MESSAGE, record.id)
    # Nothing is part of this span, so nobody else has to know its id.
    return span(shared, own, trace, random.randbytes(8), trace[SPAN_ID], record.began, record.ended)  # noqa: S311


@lru_cache(maxsize=1_000)
def _shared_by_routing(kind: str, tenant: str | None, deliveries: int) -> bytes:
    attributes = _about(kind, tenant, "route", "process") | {"tidings.deliveries": deliveries}
    return common(f"route {kind}", "consumer", attributes)


def _of_creation(record: CreationRecord) -> bytes:
    shared = common(f"create {record.type}", "producer", _about(record.type, record.tenant, "create", "create"))
    here = bytes.fromhex(record.trace[SPAN_ID])
    return span(shared, attribute(MESSAGE, record.id), record.trace, here, None, record.at, record.at)


def _of_attempt(record: AttemptRecord) -> bytes:
    trace, events = record.trace, record.events
    parent: str | None = trace[SPAN_ID]
    return span(
        _shared_by_attempts(
            record.about,
            record.method,
            _server(record.url),
            record.type,
            record.tenant,
            events,
            record.outcome,
            record.status,
            record.n,
        ),
        attribute(MESSAGE, record.id) if events == 1 else b"",
        trace,
        bytes.fromhex(record.span),
        None if parent == NO_SPAN else parent,
        record.began,
        record.ended,
        links=record.links,
        error=record.error,
    )


@lru_cache(maxsize=2_000)
def _shared_by_attempts(
    about: str,
    method: str,
    server: tuple[str, int],
    kind: str,
    tenant: str | None,
    events: int,
    outcome: str,
    status: int | None,
    n: int,
) -> bytes:
    """What a link's attempts have in common, if they have the same result.

    `method`: empty if it is not an HTTP request.
    """
    link = msgspec.json.decode(about, type=LinkAbout)
    attributes = _about(kind, tenant, "deliver", "send")
    if events > 1:
        attributes["messaging.batch.message_count"] = events
    attributes["tidings.link.id"] = link.id
    attributes["tidings.outcome"] = outcome
    if method:
        attributes["http.request.method"] = method
        attributes["server.address"], attributes["server.port"] = server
        if status is not None:
            attributes["http.response.status_code"] = status
        if n:
            attributes["http.request.resend_count"] = n
        attributes[link.url_key] = link.url
    if outcome not in NOT_FAILED:
        attributes["error.type"] = str(status) if status is not None and status >= 300 else outcome
    return common(method or link.name, "client" if method else "internal", attributes)


@lru_cache(maxsize=1_000)
def _server(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _about(kind: str, tenant: str | None, word: str, what: str) -> Attributes:
    """The attributes that identify the event of a span. `word`: our name for the operation; `what`: its type in
    OpenTelemetry's conventions.
    """
    found: Attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": word,
        "messaging.operation.type": what,
        "messaging.destination.name": kind,
    }
    if tenant is not None:
        found[TENANT] = tenant
    return found


_MAKERS: dict[type, Callable[[Any], bytes]] = {
    RequestRecord: _of_request,
    RoutingRecord: _of_routing,
    CreationRecord: _of_creation,
    AttemptRecord: _of_attempt,
}
