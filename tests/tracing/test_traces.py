"""One trace from the publisher to the receiver: across doors, batches, links, retries and restarts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tracing.collector import Collector, Seen
from tidings.testing import Receiver, TestServer

_numbers = itertools.count(1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def context() -> tuple[str, str, dict[str, str]]:
    """A trace of a caller's own: its id, the id of the caller's span, and the header."""
    number = next(_numbers)
    trace, span = f"{number:08x}" + "a" * 24, f"{number:08x}" + "b" * 8
    return trace, span, {"traceparent": f"00-{trace}-{span}-01"}


def kind(prefix: str = "cake") -> str:
    return f"{prefix}{next(_numbers)}.baked"


def endpoint(server: TestServer, receiver: Receiver, kind: str, **options: Any) -> str:
    return str(server.api.register(receiver.url(), events=[kind], **options)[0])


def call(server: TestServer, path: str, body: Any, headers: dict[str, str], method: str = "POST") -> Any:
    reply = server.api.call(method, path, body=body, headers=headers)
    assert reply.status < 300, reply
    return reply.json


def spans_of(collector: Collector, trace: str, count: int) -> list[Seen]:
    collector.wait(lambda span: span.trace == trace, count)
    return collector.of(trace)


@pytest.mark.slow
def test_publish_route_and_attempt_are_one_trace(server: TestServer, collector: Collector, receiver: Receiver) -> None:
    trace, span, headers = context()
    this = kind()
    ident = endpoint(server, receiver, this)
    event = call(server, "/v1/events", {"type": this, "data": {}}, headers | {"tracestate": "shop=42, x=y"})["id"]
    [received] = receiver.wait_for(1)
    publish, route, attempt = spans_of(collector, trace, 3)
    assert (publish.name, publish.kind, publish.parent) == ("POST /v1/events", "SERVER", span)
    assert publish.attributes["http.response.status_code"] == 202
    assert publish.attributes["http.route"] == publish.attributes["url.path"] == "/v1/events"
    assert (route.name, route.kind, route.parent) == (f"route {this}", "CONSUMER", publish.id)
    assert route.attributes["messaging.message.id"] == event and route.attributes["tidings.deliveries"] == 1
    assert (attempt.name, attempt.kind, attempt.parent) == ("POST", "CLIENT", publish.id)
    assert attempt.attributes["tidings.link.id"] == ident and attempt.attributes["url.full"] == receiver.url()
    assert attempt.attributes["http.response.status_code"] == 204 and attempt.error is None
    assert received.headers["traceparent"] == f"00-{trace}-{attempt.id}-01"
    assert received.headers["tracestate"] == "shop=42,x=y" and attempt.state == "shop=42,x=y"
    assert collector.resource["service.name"] == "bakery"


@pytest.mark.slow
def test_each_event_of_a_batch_is_part_of_the_trace(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    trace, _, headers = context()
    this = kind()
    endpoint(server, receiver, this)
    events = [{"type": this, "data": {"n": n}} for n in range(3)]
    call(server, "/v1/events:batch", {"events": events}, headers)
    receiver.wait_for(3)
    found = spans_of(collector, trace, 7)
    assert [span.name for span in found].count(f"route {this}") == 3
    assert [span.name for span in found].count("POST") == 3
    assert {one.headers["traceparent"][3:35] for one in receiver.requests()} == {trace}


def test_a_batch_of_several_traces_begins_one_that_names_them(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    this = kind()
    endpoint(server, receiver, this, batch={"max_events": 2, "max_ms": 5_000})
    traces = []
    for _ in range(2):
        trace, _, headers = context()
        traces.append(trace)
        call(server, "/v1/events", {"type": this, "data": {}}, headers)
    [received] = receiver.wait_for(1)
    own = received.headers["traceparent"][3:35]
    [attempt] = spans_of(collector, own, 1)
    assert own not in traces and not attempt.parent
    assert [link[0] for link in attempt.links] == traces
    assert attempt.attributes["messaging.batch.message_count"] == 2


@pytest.mark.slow
def test_a_failed_attempt_says_why_and_its_retry_is_part_of_the_trace(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    trace, _, headers = context()
    this = kind()
    receiver.answer(503, 204)
    endpoint(server, receiver, this, retry_delays_seconds=[0, 1])
    call(server, "/v1/events", {"type": this, "data": {}}, headers)
    receiver.wait_for(2)
    first, second = [span for span in spans_of(collector, trace, 4) if span.kind == "CLIENT"]
    assert first.attributes["error.type"] == "503" and "503" in (first.error or "")
    assert second.error is None and second.attributes["http.request.resend_count"] == 1
    assert [one.headers["traceparent"][36:52] for one in receiver.requests()] == [first.id, second.id]


@pytest.mark.slow
def test_a_trace_survives_a_restart_and_a_replay_is_part_of_it(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    trace, _, headers = context()
    this = kind()
    receiver.down()
    ident = endpoint(server, receiver, this, retry_delays_seconds=[0, 1, 1, 1, 1, 1])
    call(server, "/v1/events", {"type": this, "data": {}}, headers)
    collector.wait(lambda span: span.trace == trace and span.kind == "CLIENT" and span.error is not None)
    server.restart()
    receiver.up()
    receiver.wait_for(1)
    server.api.post("/v1/replays", {"endpoint_id": ident, "since": "2020-01-01T00:00:00Z", "which": "all"})
    receiver.wait_for(2)
    assert {one.headers["traceparent"][3:35] for one in receiver.requests()} == {trace}
    sent = {one.headers["traceparent"][36:52] for one in receiver.requests()}
    collector.wait(lambda span: span.id in sent, 2)


@pytest.mark.slow
def test_an_edit_of_an_item_and_what_links_make_of_it_are_one_trace(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    field = {"type": "string"}
    server.api.put("/v1/collections/orders", {"fields": {"name": field}})
    server.api.put("/v1/collections/tickets", {"fields": {"name": field}})
    edit = {"collection": "tickets", "create": True, "data": {"name": "{{ data.name }}"}}
    link = {"when": {"event": "orders.created"}, "item": edit}
    server.api.put("/v1/links/to-kitchen", link)
    endpoint(server, receiver, "tickets.created")
    trace, _, headers = context()
    call(server, "/v1/items/orders", {"name": "Soup"}, headers)
    [received] = receiver.wait_for(1)
    found = spans_of(collector, trace, 5)
    assert received.headers["traceparent"][3:35] == trace
    assert {span.name for span in found} == {
        "POST /v1/items/{collection}",
        "route orders.created",
        "item to-kitchen",
        "route tickets.created",
        "POST",
    }


def test_a_link_that_calls_sends_the_context_on_and_hides_its_values(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    this = kind()
    server.api.put("/v1/connections/shop", {"base": receiver.url("/api"), "private": ["127.0.0.0/8"]})
    action = {"via": "shop", "post": "/orders/{{ data.token }}", "json": {}}
    server.api.put("/v1/links/to-shop", {"when": {"event": this}, "call": action})
    trace, _, headers = context()
    call(server, "/v1/events", {"type": this, "data": {"token": "s3cret"}}, headers)
    [received] = receiver.wait_for(1)
    [attempt] = [span for span in spans_of(collector, trace, 3) if span.kind == "CLIENT"]
    assert received.headers["traceparent"] == f"00-{trace}-{attempt.id}-01"
    assert "s3cret" not in repr(attempt) and attempt.attributes["url.template"]


@pytest.mark.parametrize("door", ["hook", "form"])
def test_public_doors_begin_a_trace_that_names_the_senders(
    server: TestServer, collector: Collector, receiver: Receiver, door: str
) -> None:
    this = kind()
    if door == "hook":
        made = server.api.post(
            "/v1/hooks", {"path": this, "scheme": "telegram", "secrets": ["t0ken-of-the-sender"], "type": this}
        )
        path = f"/in/{made['path']}"
    else:
        made = server.api.post("/v1/forms", {"path": this, "type": this, "fields": {"name": {"type": "text"}}})
        path = f"/f/{made['path']}"
    endpoint(server, receiver, this)
    trace, span, headers = context()
    call(
        server,
        path,
        {"name": "Ada"},
        headers | {"x-telegram-bot-api-secret-token": "t0ken-of-the-sender", "accept": "application/json"},
    )
    [received] = receiver.wait_for(1)
    own = received.headers["traceparent"][3:35]
    assert own != trace
    request = next(span for span in spans_of(collector, own, 3) if span.kind == "SERVER")
    assert request.links == [(trace, span)] and not request.parent
    assert this not in str(request.attributes["url.path"]), "who knows the path may send"


def test_a_stranger_cannot_add_to_a_trace(server: TestServer, collector: Collector) -> None:
    trace, span, headers = context()
    reply = server.api.with_key("tdk_wrong").call("POST", "/v1/events", body={}, headers=headers)
    assert reply.status == 401
    [request] = collector.wait(lambda found: found.links == [(trace, span)])
    assert request.trace != trace and not collector.of(trace)


def test_a_tenants_key_continues_its_own_trace(server: TestServer, collector: Collector, receiver: Receiver) -> None:
    tenant, this = f"t{next(_numbers)}", kind()
    key = server.api.post("/v1/keys", {"name": "app", "tenant": tenant, "scopes": ["events:write"]})["key"]
    endpoint(server, receiver, this, tenant=tenant)
    trace, _, headers = context()
    reply = server.api.with_key(key).call("POST", "/v1/events", {"type": this, "data": {}}, headers)
    assert reply.status == 202
    [received] = receiver.wait_for(1)
    assert received.headers["traceparent"][3:35] == trace
    assert all(span.attributes["tidings.tenant"] == tenant for span in spans_of(collector, trace, 3)[1:])


@pytest.mark.parametrize("parent", ["nonsense", "00-" + "0" * 32 + "-" + "b" * 16 + "-01", "é" * 50, "0" * 4_000])
def test_a_hostile_context_is_ignored_and_a_trace_begins(
    server: TestServer, collector: Collector, receiver: Receiver, parent: str
) -> None:
    this = kind()
    endpoint(server, receiver, this)
    headers = {"traceparent": parent, "tracestate": "x=1" * 2_000}
    call(server, "/v1/events", {"type": this, "data": {}}, headers)
    [received] = receiver.wait_for(1)
    assert received.headers["traceparent"] != parent and "tracestate" not in received.headers
    request = spans_of(collector, received.headers["traceparent"][3:35], 3)[0]
    assert not request.parent and not request.links


def test_the_api_does_not_show_traces(server: TestServer, receiver: Receiver) -> None:
    trace, _, headers = context()
    this = kind()
    tenant = f"t{next(_numbers)}"
    event = call(server, "/v1/events", {"type": this, "data": {}, "tenant": tenant}, headers)
    shown = server.api.call("GET", f"/v1/events/{event['id']}", query={"tenant": tenant})
    assert trace not in str(shown.json) and trace not in str(event)


@pytest.mark.slow
def test_an_unsampled_trace_is_sent_on_and_not_recorded(
    server: TestServer, collector: Collector, receiver: Receiver
) -> None:
    trace, span, _ = context()
    this = kind()
    endpoint(server, receiver, this)
    call(server, "/v1/events", {"type": this, "data": {}}, {"traceparent": f"00-{trace}-{span}-00"})
    [received] = receiver.wait_for(1)
    assert received.headers["traceparent"].startswith(f"00-{trace}-") and received.headers["traceparent"][-2:] == "00"
    assert received.headers["traceparent"][36:52] != span
    again, _, headers = context()
    call(server, "/v1/events", {"type": this, "data": {}}, headers)
    spans_of(collector, again, 3)
    assert not collector.of(trace)


@pytest.mark.slow
def test_what_no_request_made_begins_a_trace(server: TestServer, collector: Collector, receiver: Receiver) -> None:
    server.api.put("/v1/connections/clock", {"base": receiver.url("/tick"), "private": ["127.0.0.0/8"]})
    server.api.put("/v1/links/tick", {"when": {"every": "1h"}, "call": {"via": "clock", "post": "/", "json": {}}})
    [received] = receiver.wait_for(1)
    found = spans_of(collector, received.headers["traceparent"][3:35], 3)
    assert [span.name for span in found if not span.parent] == ["create timer.due"]


@pytest.mark.slow
def test_probes_are_not_traced(server: TestServer, collector: Collector) -> None:
    trace, _, headers = context()
    for path in ("/healthz", "/readyz", "/metrics"):
        server.api.call("GET", path, headers=headers)
    assert not collector.of(trace)
