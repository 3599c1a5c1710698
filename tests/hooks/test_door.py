"""`/in/{path}`: what a sender meets, and what happens to its request."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hooks.world import PUBLIC, SECRET, HookWorld, as_json, send, until
from tidings.rules.schemes import HookRequest
from tidings.testing import Receiver

BODY = b'{ "action":"opened",  "n": 1.50 }\n'


def github(delivery: str = "d-1", event: str = "issues") -> dict[str, str]:
    return {"X-GitHub-Delivery": delivery, "X-GitHub-Event": event}


def test_a_genuine_request_becomes_one_event_with_the_body_as_its_data(world: HookWorld) -> None:
    hook = world.hook("github", subject="json:action")
    answer = hook.send(hook.signed(BODY, github()))
    assert (answer.status, answer.body) == (200, b"")
    (event,) = hook.events()
    assert event["type"] == f"{hook.path}.issues"
    assert event["data"] == {"action": "opened", "n": 1.5}
    assert (event["subject"], event["tenant"], event["actor"]) == ("opened", None, hook.id)
    assert event["request_id"] == answer.headers["request-id"]


def test_the_event_goes_out_as_a_webhook_with_the_senders_own_bytes(world: HookWorld) -> None:
    hook = world.hook("github")
    with Receiver() as receiver:
        world.api.register(receiver.url(), events=[f"{hook.path}.*"])
        hook.send(hook.signed(BODY, github()))
        (got,) = receiver.wait_for(1)
    assert b'"data":' + BODY.strip() in got.body


def test_the_request_is_kept_as_received(world: HookWorld) -> None:
    hook = world.hook("github")
    request = hook.signed(BODY, github() | {"X-Odd": "odd \t x"}, query="a=%2F&a=+&%zz")
    hook.send(request)
    (row,) = hook.receipts()
    (event,) = hook.events()
    assert (row["state"], row["event_id"], row["hook_id"]) == ("accepted", event["id"], hook.id)
    assert (row["method"], row["target"]) == ("POST", f"/in/{hook.path}?a=%2F&a=+&%zz")
    assert (row["bytes"], row["client"], row["reason"]) == (len(BODY), "127.0.0.1", None)
    whole = world.api.get(f"/v1/receipts/{row['id']}")
    assert whole["text"].encode() == BODY
    headers = {line["name"]: line["value"] for line in whole["headers"]}
    assert headers["x-odd"] == "odd \t x"
    assert headers["x-hub-signature-256"] == request.headers["x-hub-signature-256"]
    assert headers["host"] == "hooks.example.com"
    body = world.api.call("GET", f"/v1/receipts/{row['id']}/body")
    assert (body.status, body.body, body.headers["content-type"]) == (200, BODY, "application/octet-stream")


def test_bytes_that_are_not_text_are_kept_and_shown_in_base64(world: HookWorld) -> None:
    hook = world.hook("github")
    raw = bytes(range(256))
    hook.send(hook.signed(raw, {"Content-Type": "application/octet-stream"}))
    (row,) = hook.receipts()
    whole = world.api.get(f"/v1/receipts/{row['id']}")
    assert (whole["text"], base64.b64decode(whole["base64"])) == (None, raw)
    assert world.api.call("GET", f"/v1/receipts/{row['id']}/body").body == raw


def test_a_repeat_gets_the_same_response_and_no_second_event(world: HookWorld) -> None:
    hook = world.hook("github", repeated={"status": 208, "text": "again"})
    request = hook.signed(BODY, github())
    assert hook.send(request).status == 200
    again = hook.send(request)
    assert (again.status, again.body) == (208, b"again")
    assert len(hook.events()) == len(hook.receipts()) == 1


@pytest.mark.slow
def test_copies_that_arrive_together_are_one_event(world: HookWorld) -> None:
    hook = world.hook("github")
    request = hook.signed(BODY, github())
    with ThreadPoolExecutor(16) as pool:
        answers = [answer.status for answer in pool.map(lambda _: hook.send(request), range(200))]
    assert set(answers) == {200}
    assert len(hook.events()) == len(hook.receipts()) == 1


def test_equal_bodies_under_two_delivery_ids_are_two_events(world: HookWorld) -> None:
    hook = world.hook("github")
    for delivery in ("d-1", "d-2", "d-1"):
        hook.send(hook.signed(BODY, github(delivery)))
    assert len(hook.events()) == 2


def test_an_unsigned_delivery_id_cannot_hide_another_request(world: HookWorld) -> None:
    """Whoever replays one request under the id of the next must not have that one dropped."""
    hook = world.hook("github")
    hook.send(hook.signed(b'{"n":1}', github("the-next")))
    hook.send(hook.signed(b'{"n":2}', github("the-next")))
    assert [event["data"] for event in hook.events()] == [{"n": 1}, {"n": 2}]


def test_a_signed_delivery_id_alone_tells_a_repeat(world: HookWorld) -> None:
    hook = world.hook("stripe")
    for attempt in (1, 2):
        hook.send(hook.signed(as_json({"id": "evt_1", "type": "charge.failed", "attempt": attempt})))
    assert [event["type"] for event in hook.events()] == [f"{hook.path}.charge.failed"]


def test_a_hook_can_tell_repeats_by_content_or_accept_them(world: HookWorld) -> None:
    by_content, every = world.hook("github", repeats="content"), world.hook("github", repeats="accept")
    for hook in (by_content, every):
        for delivery in ("d-1", "d-2", "d-2"):
            hook.send(hook.signed(BODY, github(delivery)))
    assert (len(by_content.events()), len(every.events())) == (1, 3)


def test_a_sender_without_delivery_ids_is_known_by_what_it_sent(world: HookWorld) -> None:
    hook = world.hook("gocardless")
    for body in (b'{"a":1}', b'{"a":1}', b'{"a":2}'):
        hook.send(hook.signed(body))
    assert [event["data"] for event in hook.events()] == [{"a": 1}, {"a": 2}]


def test_no_key_is_needed_and_nothing_of_the_sender_is_refused(world: HookWorld) -> None:
    """Authorization, unknown parameters, repeated headers: all of that is the sender's business."""
    hook = world.hook("github")
    request = hook.signed(BODY, {"Authorization": "Basic eDp5"}, query="unknown=1&unknown=2&limit=x")
    request.headers["content-encoding"] = "aws-chunked"
    assert hook.send(request).status == 200


def test_an_unknown_path_is_404_and_leaves_nothing(world: HookWorld) -> None:
    before = len(world.api.pages("/v1/receipts", limit=1000))
    for path in ("nothing", "", "github/", "../v1/events", "a" * 3_000):
        answer = send(world.server.url, HookRequest("POST", f"{PUBLIC}/in/{path}", {}, BODY))
        assert answer.status in (404, 401), path
    assert len(world.api.pages("/v1/receipts", limit=1000)) == before


def test_methods_are_those_that_the_hook_takes(world: HookWorld) -> None:
    hook = world.hook("github", methods=["PUT", "POST"])
    assert hook.send(hook.signed(BODY, method="PUT")).status == 200
    for method in ("GET", "HEAD", "DELETE", "PATCH"):
        answer = hook.send(HookRequest(method, hook.url, {}, b""))
        assert (answer.status, answer.headers["allow"]) == (405, "PUT, POST, OPTIONS")
    answer = hook.send(HookRequest("OPTIONS", hook.url, {}, b""))
    assert (answer.status, answer.headers["allow"]) == (204, "PUT, POST, OPTIONS")


def test_a_get_becomes_an_event_of_its_query(world: HookWorld) -> None:
    hook = world.hook({"check": {"kind": "token", "from": "query:key"}}, methods=["GET"])
    assert hook.send(HookRequest("GET", f"{hook.url}?key={SECRET}&to=49&text=hi+there&to=50", {}, b"")).status == 200
    (event,) = hook.events()
    assert event["data"] == {"key": SECRET, "to": ["49", "50"], "text": "hi there"}


def test_a_hook_can_have_its_own_responses(world: HookWorld) -> None:
    hook = world.hook(
        "github",
        accepted={"status": 202, "json": {"ok": True}, "headers": {"X-Mine": "yes"}},
        refused={"status": 498, "text": "no"},
    )
    answer = hook.send(hook.signed(BODY))
    assert (answer.status, answer.json, answer.headers["x-mine"]) == (202, {"ok": True}, "yes")
    assert answer.headers["content-type"] == "application/json"
    answer = hook.send(hook.signed(BODY, secret="wrong"))
    assert (answer.status, answer.body) == (498, b"no")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("scheme", "status"), [("xero", 401), ("gocardless", 498), ("github", 401)])
def test_senders_get_the_refusals_that_they_expect(world: HookWorld, scheme: str, status: int) -> None:
    hook = world.hook(scheme)
    assert hook.send(hook.signed(b'{"x":1}', secret="wrong")).status == status


def test_adyen_gets_the_response_that_it_expects(world: HookWorld) -> None:
    hook = world.hook("adyen", ["44" * 32])
    item = {"NotificationRequestItem": {"pspReference": "1", "eventCode": "REFUND", "amount": {"value": 1}}}
    answer = hook.send(hook.signed(as_json({"notificationItems": [item]})))
    assert (answer.status, answer.body) == (200, b"[accepted]")


def test_a_disabled_hook_is_404_until_it_is_enabled(world: HookWorld) -> None:
    hook = world.hook("github")
    hook.edit(enabled=False)
    assert hook.send(hook.signed(BODY)).status == 404
    hook.edit(enabled=True)
    assert hook.send(hook.signed(BODY)).status == 200


def test_an_edit_applies_from_the_next_request_on(world: HookWorld) -> None:
    hook = world.hook("github")
    hook.edit(secrets=["new", SECRET], path=f"moved-{hook.path}", type="moved.{type}")
    assert hook.send(hook.signed(BODY)).status == 404
    moved = f"{PUBLIC}/in/{hook.view['path']}"
    for secret in ("new", SECRET):
        request = hook.signed(as_json({"by": secret}), github(), secret=secret)
        assert send(world.server.url, request.but(url=moved)).status == 200
    assert {event["type"] for event in hook.events()} == {"moved.issues"}


@pytest.mark.slow
def test_reserved_event_types_are_refused(world: HookWorld) -> None:
    world.api.post("/v1/collections", {"name": "orders", "fields": {"n": {"type": "integer"}}})
    hook = world.hook("github", type="{type}")
    for number, event in enumerate(("orders.created", "endpoint.disabled", "push", "Odd one/..", "")):
        hook.send(hook.signed(as_json({"n": number}), github(event=event)))
    assert [event["type"] for event in hook.events()] == [
        "hook.orders.created",
        "hook.endpoint.disabled",
        "push",
        "Odd_one_",
        "received",
    ]


def test_data_that_does_not_match_its_types_schema_is_refused_and_can_be_let_in(world: HookWorld) -> None:
    hook = world.hook("github", type="checked.hook")
    schema = {"type": "object", "required": ["id"]}
    world.api.post("/v1/event-types", {"name": "checked.hook", "schema": schema})
    assert hook.send(hook.signed(BODY)).status == 422
    (row,) = hook.refusals()
    assert row["reason"] == "schema" and "id" in row["detail"]
    world.api.patch("/v1/event-types/checked.hook", {"schema": None})
    world.api.post(f"/v1/refusals/{row['id']}:retry")
    assert len(hook.events()) == 1


def test_a_hook_of_a_tenant_makes_events_of_that_tenant(world: HookWorld) -> None:
    hook = world.hook("github", tenant="acme", path="acme/github")
    hook.send(hook.signed(BODY, github()))
    (event,) = hook.events()
    assert (event["tenant"], event["type"]) == ("acme", "acme.github.issues")


@pytest.mark.slow
def test_a_restart_forgets_no_hook_and_no_repeat(world: HookWorld) -> None:
    hook = world.hook("github")
    request = hook.signed(BODY, github())
    hook.send(request)
    refused = hook.send(hook.signed(BODY, secret="wrong"))
    assert refused.status == 401
    world.server.restart()
    assert hook.send(request).status == 200
    assert len(hook.events()) == 1
    assert [row["state"] for row in hook.receipts()] == ["refused", "accepted"]


@pytest.mark.slow
def test_metrics_count_verdicts(world: HookWorld) -> None:
    hook = world.hook("github")
    hook.send(hook.signed(BODY))
    hook.send(hook.signed(BODY, secret="wrong"))

    def counted() -> bool | None:
        text = world.api.call("GET", "/metrics").body.decode()
        wanted = (
            'tidings_hook_requests_total{verdict="accepted"}',
            'tidings_answers_total{operation="hook",status="401"}',
        )
        return all(name in text for name in wanted) or None

    until(counted, "the metrics of hooks")
