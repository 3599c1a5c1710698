"""The portal's pages without a browser: what a customer can do there, and what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.portal.customer import Customer
from tidings.testing import Api, FakeClock, Receiver, until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def hidden(customer: Customer, path: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(f'name="{name}" value="([^"]*)"', customer.call(path).body.decode())
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_an_endpoint_is_tested_added_found_well_and_rotated(api: Api, receiver: Receiver) -> None:
    customer = Customer(api, "adds").open()
    assert "No endpoints yet" in customer.page()
    secret = hidden(customer, "/add", "secret")
    fields = [("url", receiver.url()), ("events", "orders.*"), ("events", "invoices.sent"), ("secret", secret)]
    fields += [("field", "data.total"), ("operator", "$gte"), ("value", "10"), ("description", "Ours")]
    receiver.answer(401)
    tried = customer.call("/add", [*fields, ("do", "test")])
    assert b"The endpoint answered 401." in tried.body and secret.encode() in tried.body
    receiver.answer(204)
    assert b"The test arrived" in customer.call("/add", [*fields, ("do", "test")]).body
    assert api.get("/v1/endpoints", tenant="adds")["data"] == []
    added = customer.call("/add", [*fields, ("do", "save")])
    made = api.get("/v1/endpoints", tenant="adds")["data"][0]
    assert added.headers["portal-location"] == f"/portal/{customer.id}/endpoints/{made['id']}"
    assert made["events"] == ["orders.*", "invoices.sent"] and made["filter"] == {"data": {"total": {"$gte": 10}}}
    assert api.get(f"/v1/endpoints/{made['id']}/secret")["secret"] == secret
    assert "Your endpoint is working." in customer.page()
    one = f"/endpoints/{made['id']}"
    assert secret in customer.act(f"{one}/secret") and secret not in customer.page(one)
    rotated = customer.act(f"{one}/rotate", overlap="3600")
    assert "The previous secret still signs as well. It expires" in rotated and secret not in rotated
    assert len(api.get(f"/v1/endpoints/{made['id']}/secret")["previous"]) == 1
    asked = customer.page(one)
    assert "Rotate the secret …" in asked and "You have already rotated the secret" in asked, (
        "without showing the secret first"
    )
    again = customer.act(f"{one}/rotate", overlap="86400")
    assert "2 earlier secrets still sign as well: the previous one expires" in again
    assert customer.act(f"{one}/rotate", overlap="0").count("still sign") == 0
    assert "The endpoint is paused" in customer.act(
        f"{one}/pause"
    ) and "The endpoint gets events again" in customer.act(f"{one}/resume")
    stale = [("url", receiver.url("/old")), ("events", "*"), ("revision", "1")]
    refused = customer.call(f"{one}/edit", stale)
    assert refused.status == 412 and b"Somebody else has changed this endpoint" in refused.body
    edited = customer.call(
        f"{one}/edit", [("url", receiver.url("/two")), ("events", "*"), ("field", ""), ("value", "")]
    )
    assert edited.status == 200 and api.get(f"/v1/endpoints/{made['id']}")["filter"] is None
    assert "The endpoint has been deleted." in customer.act(f"{one}/delete")


@pytest.mark.slow
def test_what_was_missed_is_counted_and_sent(api: Api, receiver: Receiver, clock: FakeClock) -> None:
    ident, _ = api.register(receiver.url(), tenant="missed", retry_delays_seconds=[0.01])
    customer = Customer(api, "missed").open()
    receiver.answer(400)
    api.publish("a.b", {"n": 1}, tenant="missed")
    until(lambda: api.get("/v1/deliveries", endpoint=ident, state="dead")["data"], "it is dead")
    delivery = api.get("/v1/deliveries", endpoint=ident)["data"][0]["id"]
    said = customer.page(f"/log/{delivery}")
    assert "failed for good" in said and "The endpoint answered 400." in said and "&quot;n&quot;: 1" in said
    assert "a.b" in customer.page("/log?state=dead") and "No deliveries on this page match" in customer.page(
        "/log?type=x.y"
    )
    receiver.answer(204)
    clock.advance(60)
    one = f"/endpoints/{ident}"
    counted = customer.call(f"{one}/missed", [("hours", "1"), ("which", "failed")]).body.decode()
    assert "1 event will be sent again." in re.sub(r"\s+", " ", counted)
    fields = {name: re.search(f'name="{name}" value="([^"]*)"', counted) for name in ("since", "until", "which")}
    assert "is being sent again" in customer.act(f"{one}/replay", **{k: v[1] for k, v in fields.items() if v})
    until(lambda: api.get(f"/v1/deliveries/{delivery}")["state"] == "delivered", "it is delivered")
    assert "It was delivered after" in customer.page(f"/log/{delivery}")
    until(lambda: api.get("/v1/replays", endpoint=ident)["data"][0]["state"] == "done", "the replay is done")
    drawn_again = f'hx-get="/portal/{customer.id}{one}" hx-trigger="load'
    assert drawn_again in customer.call(one).body.decode(), "its attempts are counted in some seconds"
    clock.advance(60)
    assert drawn_again not in customer.call(one).body.decode()
    assert "It is being sent again." in customer.act(f"/log/{delivery}/retry")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("url", "ftp://x"), ("events", "*")], "URL"),
        ([("url", "http://10.0.0.1/"), ("events", "*")], "10.0.0.1"),
        ([("url", "http://127.0.0.1:1/")], "Choose at least one type"),
        ([("url", "http://127.0.0.1:1/"), ("events", "not a type")], "not a type"),
        ([("url", "http://127.0.0.1:1/"), ("events", "*"), ("field", "x"), ("operator", "$eq"), ("value", "1")], "x"),
        (
            [("url", "http://127.0.0.1:1/"), ("events", "*"), ("field", "a"), ("operator", "$evil"), ("value", "1")],
            "list",
        ),
    ],
)
def test_what_is_wrong_in_the_form_is_said_next_to_what_was_filled_in(
    api: Api, fields: list[tuple[str, str]], said: str
) -> None:
    customer = Customer(api, "wrong").open()
    reply = customer.call("/add", [*fields, ("do", "save"), ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
    body = reply.body.decode()
    assert reply.status == 422 and said in body and 'role="alert"' in body and fields[0][1] in body


@pytest.mark.slow
def test_a_pasted_webhook_is_checked_and_the_wrong_part_is_named(api: Api, receiver: Receiver) -> None:
    ident, _ = api.register(receiver.url(), tenant="checks")
    other, _ = api.register(receiver.url("/other"), tenant="checks", events=["x.y"])
    customer = Customer(api, "checks").open()
    api.publish("a.b", {"text": "Grüße\u2028"}, tenant="checks")
    got = receiver.wait_for(1)[0]
    lines = "\r\n".join(f"{name}: {value}" for name, value in got.headers.items())
    body = got.body.decode()

    def check(headers: str = lines, body: str = body, endpoint: str = ident, **more: str) -> str:
        return customer.act("/verify", endpoint=endpoint, headers=headers, body=body, any_age="1", **more)

    assert "Genuine." in check() and "Genuine." in check(body=body + "\r\n")
    assert "the body" in check(body=body.replace("a.b", "a.c"))
    assert "the secret" in check(endpoint=other)
    assert "The header webhook-id is missing." in check(headers="content-type: application/json")
    assert "webhook-timestamp" in check(headers=re.sub("webhook-timestamp: .*", "webhook-timestamp: soon", lines))
    page = customer.page("/verify")
    assert all(name in page for name in ("Python", "JavaScript", "Go", "PHP", "Ruby"))


@pytest.mark.slow
def test_what_the_operator_s_links_do_for_a_tenant_is_not_in_its_log(api: Api) -> None:
    api.put("/v1/collections/notes", {"fields": {"title": {"type": "string"}}})
    act = {"collection": "notes", "create": True, "data": {"title": "x"}}
    api.put("/v1/links/internal", {"tenant": "linked", "when": {"event": "own.done"}, "item": act})
    api.publish("own.done", tenant="linked")
    found = until(lambda: api.get("/v1/deliveries", link="internal")["data"], "it acted")[0]
    customer = Customer(api, "linked").open()
    assert "own.done" not in customer.page("/log") and customer.call(f"/log/{found['id']}").status == 404
    assert customer.call(f"/log/{found['id']}/retry", []).status == 404


@pytest.mark.slow
def test_event_types_are_shown_with_their_schema_and_chosen(api: Api) -> None:
    api.post("/v1/event-types", {"name": "shop.sold", "description": "It was sold.", "example": {"n": 17}})
    customer = Customer(api, "types").open()
    assert "It was sold." in customer.page("/types") and "17" in customer.page("/types/shop.sold")
    form = customer.call("/add?type=shop.sold").body.decode()
    assert re.search('value="shop.sold" checked', form) and 'value="shop.*"' in form
    assert customer.call("/types/no.such").status == 404 and customer.call("/nowhere").status == 404
