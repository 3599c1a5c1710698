"""Links with the action `call`: what is sent, what its answer means, and whom a pause or a rate concerns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.calls.world import Calls
from tidings.testing import FakeClock, Reaction, Receiver, TestServer

JSON = {"Content-Type": "application/json"}


def answer(status: int, body: str = "", **headers: str) -> Reaction:
    return Reaction(status=status, body=body.encode(), headers={**JSON, **headers})


# --- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_event_becomes_a_request_with_its_values(calls: Calls) -> None:
    calls.connection(auth={"header": {"X-Api-Key": "k-1"}}, headers={"X-App": "tidings"})
    calls.link(
        call={
            "via": "shop",
            "put": "/orders/{{ data.id }}",
            "query": {"notify": "{{ data.notify }}", "tag": "{{ data.tags }}", "none": "{{ data.nothing }}"},
            "json": {"title": "{{ data.title }}", "pieces": "{{ data.pieces }}", "x": "{{ data.nothing }}", "y": None},
            "headers": {"X-Trace": "{{ id }}"},
        }
    )
    data = {"id": "a/../b", "title": 'Two "chairs"', "pieces": 2, "notify": True, "tags": ["a b", "c"]}
    event = calls.api.publish("order.made", data)
    done = calls.ended(event)
    (got,) = calls.peer.requests()
    assert (got.method, got.path) == ("PUT", "/api/orders/a%2F..%2Fb?notify=true&tag=a%20b&tag=c")
    assert got.json == {"title": 'Two "chairs"', "pieces": 2, "y": None}
    expected = {"x-api-key": "k-1", "x-app": "tidings", "x-trace": event, "content-type": "application/json"}
    assert {name: got.headers[name] for name in expected} == expected
    (attempt,) = done["attempts"]
    assert (done["state"], attempt["outcome"], attempt["status"]) == ("delivered", "ok", 204)
    assert attempt["call"] == {"method": "PUT", "url": calls.peer.url(got.path)}
    shown = attempt["request_headers"]
    assert (shown["x-api-key"], shown["x-app"], shown["x-trace"]) == ("***", "***", event)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("auth", "header"),
    [({"bearer": "t-1"}, "Bearer t-1"), ({"basic": ["user", "pass:word"]}, "Basic dXNlcjpwYXNzOndvcmQ=")],
)
def test_a_connection_authenticates(calls: Calls, auth: Any, header: str) -> None:
    calls.connection(auth=auth)
    calls.link(call={"via": "shop", "get": "/ping"})
    calls.ended(calls.api.publish("order.made", {}))
    (got,) = calls.peer.requests()
    assert (got.method, got.headers["authorization"], got.body) == ("GET", header, b"")


@pytest.mark.slow
def test_bodies_are_forms_xml_or_text(calls: Calls) -> None:
    calls.connection()
    xml = '<a xmlns:s="urn:x"><s:b id="{{ data.v }}">{{ data.v }}</s:b></a>'
    calls.link("form", call={"via": "shop", "post": "/form", "form": {"To": "{{ data.v }}", "From": "+1"}})
    calls.link("xml", call={"via": "shop", "post": "/xml", "xml": xml, "headers": {"SOAPAction": '""'}})
    calls.link("text", call={"via": "shop", "post": "/text", "text": "Hello {{ data.v }}"})
    event = calls.api.publish("order.made", {"v": '<&" ü'})
    for name in ("form", "xml", "text"):
        assert calls.ended(event, name)["state"] == "delivered"
    form, xml_got, text = (calls.peer.requests(f"/api/{name}")[0] for name in ("form", "xml", "text"))
    assert form.body == b"To=%3C%26%22%20%C3%BC&From=%2B1"
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert xml_got.body.decode() == ('<a xmlns:s="urn:x"><s:b id="&lt;&amp;&quot; ü">&lt;&amp;&quot; ü</s:b></a>')
    assert (xml_got.headers["content-type"], xml_got.headers["soapaction"]) == ("text/xml; charset=utf-8", '""')
    assert (text.body.decode(), text.headers["content-type"]) == ('Hello <&" ü', "text/plain; charset=utf-8")


@pytest.mark.slow
def test_a_call_without_a_connection_has_a_whole_url(calls: Calls) -> None:
    calls.link(call={"post": calls.peer.url("/leads/{{ data.id }}"), "json": "{{ data }}"})
    calls.ended(calls.api.publish("order.made", {"id": 7}))
    (got,) = calls.peer.requests()
    assert (got.path, got.json) == ("/leads/7", {"id": 7})


@pytest.mark.slow
def test_every_post_carries_the_same_key_on_each_attempt(calls: Calls) -> None:
    calls.connection()
    calls.link(call={"via": "shop", "post": "/orders", "json": {}}, retry_delays_seconds=[0, 1])
    calls.link("own", call={"via": "shop", "post": "/own", "headers": {"Idempotency-Key": "{{ id }}"}})
    calls.peer.answer(500, 201, path="/api/orders")
    first = calls.api.publish("order.made", {})
    calls.delivery(first)
    calls.clock.advance(2)
    calls.ended(first)
    calls.ended(first, "own")
    keys = [each.headers["idempotency-key"] for each in calls.peer.requests("/api/orders")]
    assert len(keys) == 2 and len(set(keys)) == 1
    assert calls.peer.requests("/api/own")[0].headers["idempotency-key"] == first
    second = calls.api.publish("order.made", {})
    calls.ended(second)
    assert calls.peer.requests("/api/orders")[-1].headers["idempotency-key"] != keys[0]


@pytest.mark.slow
def test_a_value_that_would_change_the_path_is_refused_before_anything_is_sent(calls: Calls) -> None:
    calls.connection()
    calls.link(call={"via": "shop", "delete": "/orders/{{ data.id }}"})
    for value, said in (("..", "would be '..'"), ("", "is empty"), (None, "is empty"), ({}, "an object")):
        done = calls.ended(calls.api.publish("order.made", {"id": value}))
        (attempt,) = done["attempts"]
        assert (done["state"], attempt["outcome"]) == ("dead", "template_failed")
        assert said in attempt["reason"], attempt["reason"]
    assert calls.peer.requests() == []
    assert calls.ended(calls.api.publish("order.made", {"id": "a"}))["state"] == "delivered"


# --- what an answer means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [(400, "dead"), (403, "dead"), (404, "dead"), (410, "dead"), (422, "dead")]
    + [(status, "waiting") for status in (401, 408, 425, 429, 500, 502, 503, 302)],
)
@pytest.mark.few(4)
def test_what_is_retried_and_what_is_dead_at_once(calls: Calls, status: int, state: str) -> None:
    calls.connection()
    calls.link(call={"via": "shop", "post": "/orders", "json": {}})
    calls.peer.answer(status)
    found = calls.delivery(calls.api.publish("order.made", {}))
    assert found["state"] == state
    assert f"Answered {status}" in found["attempts"][0]["reason"]
    assert calls.api.get("/v1/links/push")["state"] == "enabled"


@pytest.mark.slow
def test_ok_decides_by_status_headers_and_body(calls: Calls) -> None:
    calls.connection()
    calls.link(
        call={"via": "shop", "post": "/orders", "json": {}, "ok": "{{ status in [200, 409] and not body.error }}"},
        retry_delays_seconds=[0],
    )
    for reaction, state, outcome in (
        (answer(200, "{}"), "delivered", "ok"),
        (answer(409, "{}"), "delivered", "ok"),
        (answer(200, '{"error": "full"}'), "dead", "not_ok"),
        (answer(201, "{}"), "dead", "not_ok"),
        (answer(409, '{"error": "full"}'), "dead", "bad_status"),
    ):
        calls.peer.answer(reaction)
        done = calls.ended(calls.api.publish("order.made", {}))
        assert (done["state"], done["attempts"][0]["outcome"]) == (state, outcome), reaction


@pytest.mark.slow
def test_a_soap_fault_is_a_failure_and_xml_is_read_without_prefixes(calls: Calls) -> None:
    calls.connection()
    ok = "{{ status == 200 and not body.Envelope.Body.Fault and body.Envelope.Body.r['@ok'] == 'true' }}"
    calls.link(call={"via": "shop", "post": "/soap", "xml": "<a/>", "ok": ok}, retry_delays_seconds=[0])
    envelope = '<s:Envelope xmlns:s="urn:s"><s:Body>{}</s:Body></s:Envelope>'
    xml = {"Content-Type": "text/xml; charset=utf-8"}
    for inner, state in (('<x:r xmlns:x="urn:x" ok="true"/>', "delivered"), ("<s:Fault/>", "dead"), ("<r/>", "dead")):
        calls.peer.answer(Reaction(status=200, body=envelope.format(inner).encode(), headers=xml))
        assert calls.ended(calls.api.publish("order.made", {}))["state"] == state, inner
    for hostile in ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "<a>" * 10_000, "{" * 1000, "[" * 100_000):
        calls.peer.answer(Reaction(status=200, body=hostile.encode(), headers=xml))
        assert calls.ended(calls.api.publish("order.made", {}))["state"] == "dead", hostile[:20]


@pytest.mark.slow
def test_a_soap_fault_is_a_failure_without_ok_and_its_words_are_the_reason(calls: Calls) -> None:
    calls.connection()
    calls.link(call={"via": "shop", "post": "/soap", "xml": "<a/>"}, retry_delays_seconds=[0])
    envelope = '<s:Envelope xmlns:s="urn:s"><s:Body>{}</s:Body></s:Envelope>'
    for status, inner, outcome, reason in (
        (200, "<s:Fault><faultstring>No such\n customer.</faultstring></s:Fault>", "not_ok", ": No such customer."),
        (200, "<s:Fault><s:Reason><s:Text xml:lang='en'>No</s:Text></s:Reason></s:Fault>", "not_ok", ": No."),
        (200, "<s:Fault/>", "not_ok", "."),
        (500, "<s:Fault><faultstring>Busy</faultstring></s:Fault>", "bad_status", ": Busy."),
    ):
        body = envelope.format(inner).encode()
        calls.peer.answer(Reaction(status=status, body=body, headers={"Content-Type": "application/soap+xml"}))
        (attempt,) = calls.ended(calls.api.publish("order.made", {}))["attempts"]
        said = f"Answered {status}. The response is a SOAP fault{reason}"
        assert (attempt["outcome"], attempt["reason"]) == (outcome, said)
    calls.peer.answer(Reaction(status=200, body=envelope.format("<r/>").encode(), headers={"Content-Type": "text/xml"}))
    assert calls.ended(calls.api.publish("order.made", {}))["state"] == "delivered"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "outcome", "state"),
    [
        ({"post": "/x", "json": {}}, "in_doubt", "dead"),
        ({"patch": "/x", "json": {}}, "in_doubt", "dead"),
        ({"post": "/x", "json": {}, "in_doubt": "retry"}, "timeout", "waiting"),
        ({"post": "/x", "headers": {"idempotency-key": "{{ id }}"}}, "timeout", "waiting"),
        ({"put": "/x", "json": {}}, "timeout", "waiting"),
        ({"put": "/x", "json": {}, "in_doubt": "park"}, "in_doubt", "dead"),
        ({"delete": "/x"}, "timeout", "waiting"),
        ({"get": "/x"}, "timeout", "waiting"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"emit": {"type": "made", "key": "id"}}], ids=["", "emit"])
@pytest.mark.few(5)
def test_a_lost_answer_is_repeated_only_if_that_is_safe(
    calls: Calls, call: Any, outcome: str, state: str, more: Any
) -> None:
    calls.connection(timeout_seconds=0.3)
    calls.link(call={"via": "shop", **call}, **more)
    calls.peer.answer(Reaction(silent=True))
    found = calls.delivery(calls.api.publish("order.made", {}))
    assert (found["attempts"][0]["outcome"], found["state"]) == (outcome, state)


@pytest.mark.parametrize("answer", [b'{"id": 1, "na', b'{"name": "no id"}', b"null", b"<html>"])
@pytest.mark.parametrize(("call", "state"), [("post", "dead"), ("put", "waiting")])
@pytest.mark.few(3)
def test_a_call_that_creates_is_not_repeated_because_its_answer_cannot_be_used(
    calls: Calls, call: str, state: str, answer: bytes
) -> None:
    """It made a second invoice."""
    calls.connection()
    calls.link(call={"via": "shop", call: "/invoices", "json": {}}, emit={"type": "invoice", "key": "id"})
    calls.peer.answer(Reaction(status=201, body=answer, headers={"Content-Type": "application/json"}))
    found = calls.delivery(calls.api.publish("order.made", {}))
    outcome = "in_doubt" if call == "post" else "bad_answer"
    assert (found["attempts"][0]["outcome"], found["state"]) == (outcome, state)
    assert len(calls.peer.requests()) == 1


@pytest.mark.slow
def test_what_never_left_is_retried_whatever_the_method(calls: Calls) -> None:
    calls.connection()
    calls.link(call={"via": "shop", "post": "/x", "json": {}}, retry_delays_seconds=[0, 1])
    calls.peer.down()
    event = calls.api.publish("order.made", {})
    assert calls.delivery(event)["attempts"][0]["outcome"] == "connect_failed"
    calls.peer.up()
    calls.clock.advance(2)
    assert calls.ended(event)["state"] == "delivered"


def test_give_up_on_ends_what_would_be_retried(calls: Calls) -> None:
    calls.connection()
    calls.link(call={"via": "shop", "post": "/x", "json": {}, "give_up_on": [500]})
    calls.peer.answer(500)
    assert calls.ended(calls.api.publish("order.made", {}))["state"] == "dead"


# --- one connection, many links ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pause_stops_every_link_of_the_connection_and_no_other(calls: Calls) -> None:
    calls.connection()
    calls.connection("other", base=calls.peer.url("/other"))
    calls.link("a", "order.made", {"via": "shop", "post": "/a", "json": {}})
    calls.link("b", "order.paid", {"via": "shop", "post": "/b", "json": {}})
    calls.link("c", "order.paid", {"via": "other", "post": "/c", "json": {}})
    calls.peer.answer(Reaction(status=429, headers={"Retry-After": "30"}), 204, path="/api/a")
    made = calls.api.publish("order.made", {})
    assert calls.delivery(made, "a")["attempts"][0]["status"] == 429
    paid = calls.api.publish("order.paid", {})
    assert calls.ended(paid, "c")["state"] == "delivered"
    assert calls.peer.requests("/api/b") == [], "its connection was asked to wait"
    asked, waits, free = (calls.api.get(f"/v1/links/{name}")["health"] for name in ("a", "b", "c"))
    assert waits["held"].startswith("The system that the link calls answered 429, so nothing is sent until ")
    assert waits["held_until"] == asked["held_until"] and waits["failing_since"] is None and "held" not in free
    calls.clock.advance(31)
    assert calls.ended(paid, "b")["state"] == "delivered"
    assert calls.ended(made, "a")["state"] == "delivered"
    assert "held" not in calls.api.get("/v1/links/b")["health"]


@pytest.mark.slow
def test_a_connection_that_is_declared_again_takes_no_pause_over(calls: Calls) -> None:
    call = {"via": "shop", "post": "/orders", "json": {}}
    calls.connection()
    calls.link(call=call)
    calls.peer.answer(Reaction(status=429, headers={"Retry-After": "600"}), 204)
    assert calls.delivery(calls.api.publish("order.made", {}))["state"] == "waiting"
    for made in ("links/push", "connections/shop"):
        calls.api.delete(f"/v1/{made}")
    calls.connection()
    calls.link(call=call)
    assert calls.ended(calls.api.publish("order.made", {}))["state"] == "delivered"


@pytest.mark.slow
def test_a_rate_is_shared_by_the_links_of_a_connection(calls: Calls) -> None:
    calls.connection(rate="2/s")
    for name in ("a", "b", "c"):
        calls.link(name, call={"via": "shop", "post": f"/{name}", "json": {}})
    for _ in range(2):
        calls.api.publish("order.made", {})
    for count in range(1, 7):
        calls.peer.wait_for(count)
        assert len(calls.peer.requests()) == count
        calls.clock.advance(0.6)
    assert {each.path for each in calls.peer.requests()} == {"/api/a", "/api/b", "/api/c"}


@pytest.mark.slow
def test_max_in_flight_is_shared_too(calls: Calls) -> None:
    calls.connection(max_in_flight=2)
    calls.peer.answer(Reaction(delay_seconds=0.02))
    for name in ("a", "b", "c"):
        calls.link(name, call={"via": "shop", "post": f"/{name}", "json": {}}, order="none")
    events = [calls.api.publish("order.made", {}) for _ in range(5)]
    for event in events:
        for name in ("a", "b", "c"):
            assert calls.ended(event, name)["state"] == "delivered"
    assert calls.peer.most_at_once <= 2


@pytest.mark.slow
def test_a_connection_that_is_mended_sends_at_once(calls: Calls) -> None:
    calls.connection(auth={"bearer": "old"})
    calls.link(call={"via": "shop", "post": "/x", "json": {}})
    calls.peer.answer_by(lambda got: 204 if got.headers["authorization"] == "Bearer new" else 401)
    event = calls.api.publish("order.made", {})
    assert calls.delivery(event)["attempts"][0]["status"] == 401
    calls.connection(auth={"bearer": "new"})
    assert calls.ended(event)["state"] == "delivered"


@pytest.mark.slow
def test_a_connection_opens_its_own_private_addresses_and_nobody_elses(tmp_path: Path, peer: Receiver) -> None:
    with TestServer(tmp_path / "tidings", allow_addresses="") as server:
        calls = Calls(server, FakeClock(0), peer)
        calls.connection("open", private=True)
        calls.connection("range", base=peer.url("/range", host="localhost"), private=["127.0.0.0/8", "::1"])
        for name in ("open", "range"):
            calls.link(name, call={"via": name, "get": "/x"}, retry_delays_seconds=[0])
        for _ in range(3):
            event = server.api.publish("order.made", {})
            for name in ("open", "range"):
                done = calls.ended(event, name)
                assert done["state"] == "delivered", (name, done)
        assert peer.connections <= 2, "those who may call it keep their connections"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "100.100.100.200", "[fd00:ec2::254]", "localhost", "2130706433"]
)
@pytest.mark.few(2)
def test_an_address_that_is_not_open_is_refused_where_it_is_declared(tmp_path: Path, peer: Receiver, host: str) -> None:
    with TestServer(tmp_path / "tidings", allow_addresses="") as server:
        api, call = server.api, {"get": f"http://{host}/x"}
        moved = {"oauth2": "client_credentials", "token": f"http://{host}/t", "id": "i", "secret": "s3cret"}
        private = {"base": f"http://{host}", "private": True}
        for path, declared, at in (
            ("connections/c", {"base": f"http://{host}"}, "/base"),
            ("connections/c", {"base": "https://api.example.com", "auth": moved}, "/auth/token"),
            ("connections/c", {"smtp": f"smtp://{host}", "from": "a@example.com"}, "/smtp"),
            ("links/l", {"when": {"event": "a.b"}, "call": call}, "/call/get"),
        ):
            refused = api.call("PUT", f"/v1/{path}", declared)
            assert refused.status == 422, (path, refused.body)
            (place,) = refused.json["errors"]
            assert (place["pointer"], place["code"]) == (at, "refused_address"), place
        metadata = host in ("100.100.100.200", "[fd00:ec2::254]")
        assert api.call("PUT", "/v1/connections/c", private).status == (422 if metadata else 201)


@pytest.mark.slow
def test_a_call_of_an_address_that_was_closed_since_says_so(tmp_path: Path, peer: Receiver) -> None:
    with TestServer(tmp_path / "tidings", allow_addresses="127.0.0.0/8") as server:
        calls = Calls(server, FakeClock(0), peer)
        calls.connection("closed")
        calls.link("closed", call={"via": "closed", "get": "/x"}, retry_delays_seconds=[0])
        calls.link("alone", call={"get": peer.url("/alone")}, retry_delays_seconds=[0])
    with TestServer(tmp_path / "tidings", allow_addresses="") as server:
        calls = Calls(server, FakeClock(0), peer)
        event = server.api.publish("order.made", {})
        for name, whose in (("closed", "The connection closed"), ("alone", "A connection")):
            (attempt,) = calls.ended(event, name)["attempts"]
            assert attempt["outcome"] == "refused_address"
            assert f"{whose} can also allow this address with `private`." in attempt["reason"]
    assert peer.requests() == []
