"""Events of hooks and forms by templates: `emit` and `verify` next to them in a file, as in the gallery of links."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.hooks.world import SECRET, Declared, HookWorld, send
from tidings.config import read_config
from tidings.model.errors import Invalid
from tidings.rules.schemes import HookRequest
from tidings.settings import SettingsError

FILE = """
links:
  contact-form:
    when:
      form: {path: contact, fields: {email: {type: email, required: true}, message: {max: 5000}}, thanks: /thanks}
    emit: {type: form.contact.submitted, key: "{{ delivery.id }}"}
  stripe-in:
    when: {hook: {path: stripe, verify: {scheme: stripe, secret: "${STRIPE_WH}"}}}
    emit: {type: "stripe.{{ body.type }}", key: "{{ body.id }}", mode: all, data: "{{ body.data.object }}"}
  shop-in:
    when: {hook: {path: shop, verify: {scheme: hmac-sha256, header: X-Sig, secret: "${SHOP_WH}"}}}
    emit: {type: shop.pinged, key: "{{ headers['x-event-id'] }}", mode: all}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.setenv("STRIPE_WH", SECRET)
    monkeypatch.setenv("SHOP_WH", SECRET)

    def read(text: str) -> Any:
        (tmp_path / "tidings.yaml").write_text(text)
        return read_config(tmp_path / "tidings.yaml")

    return read


_numbers = itertools.count(1)


def declared(world: HookWorld, what: str, bodies: dict[str, Any], path: str) -> Any:
    world.api.post(f"/v1/{what}:apply", {what: bodies})
    view = next(each for each in world.api.pages(f"/v1/{what}") if each["path"] == path)
    return Declared(world.server, world.clock, view, [SECRET]) if what == "hooks" else view


def made_hook(world: HookWorld, scheme: str = "stripe", **more: Any) -> Declared:
    given = {"path": f"emit-{next(_numbers)}", "scheme": scheme, "secrets": [SECRET], **more}
    return Declared(world.server, world.clock, world.api.post("/v1/hooks", given), [SECRET])


def ping(hook: Declared, number: str, body: bytes = b'{"order_id": 7}', **headers: str) -> int:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    named = {"Content-Type": "application/json", "X-Sig": signature, "X-Event-Id": number, **headers}
    return hook.send(HookRequest("POST", hook.url, named, body)).status


@pytest.mark.slow
def test_the_hooks_and_the_form_of_the_gallery_run_as_written(world: HookWorld, file: Any) -> None:
    config = file(FILE)
    stripe = declared(world, "hooks", config.hooks, "stripe")
    paid = {"id": "evt_s1", "type": "invoice.payment_failed", "data": {"object": {"id": "in_1", "amount_due": 12}}}
    assert stripe.send(stripe.signed(json.dumps(paid).encode())).status == 200
    assert stripe.send(stripe.signed(json.dumps({**paid, "created": 2}).encode())).status == 200, "a repeat by its key"
    [event] = stripe.events()
    assert (event["type"], event["subject"]) == ("stripe.invoice.payment_failed", "evt_s1")
    assert event["data"] == {"id": "in_1", "amount_due": 12}

    shop = declared(world, "hooks", config.hooks, "shop")
    assert [ping(shop, "1"), ping(shop, "1"), ping(shop, "2"), ping(shop, "1", b'{"order_id": 8}')] == [200] * 4
    found = [(each["type"], each["subject"], each["data"]["order_id"]) for each in shop.events()]
    # The header is not signed, so another body with its value is not taken for a repeat.
    assert found == [("shop.pinged", "1", 7), ("shop.pinged", "2", 7), ("shop.pinged", "1", 8)]
    assert ping(shop, "3", b"{}", **{"X-Sig": "0" * 64}) == 401

    form = declared(world, "forms", config.forms, "contact")
    body = urlencode({"email": "a@b.c", "message": "hello"}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    assert send(world.server.url, HookRequest("POST", form["url"], kind, body)).status < 400
    event = next(each for each in world.api.pages("/v1/events", limit=1000) if each["type"] == "form.contact.submitted")
    assert event["subject"].startswith("rcp_") and event["data"]["email"] == "a@b.c"


@pytest.mark.slow
def test_a_template_that_fails_refuses_the_request_and_it_can_be_let_in_later(world: HookWorld) -> None:
    made = made_hook(world, type="pay.{{ body.type }}", key="{{ body.id }}")
    assert made.send(made.signed(b'{"type": "x"}')).status == 422
    [refused] = made.refusals()
    assert refused["reason"] == "schema"
    assert "The template at /key failed: it must yield a single line" in refused["detail"]
    made.api.call("PATCH", f"/v1/hooks/{made.id}", {"key": "{{ body.id or 'none' }}"})
    assert made.api.call("POST", f"/v1/refusals/{refused['id']}:retry").status == 200
    assert [(each["type"], each["subject"]) for each in made.events()] == [("pay.x", "none")]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("invoice.paid", "pay.invoice.paid"),
        ("../../x y\r\n", "pay._._x_y_"),
        ("{{ body.id }}", "pay._body.id_"),
        ("", "pay"),
        (None, "pay"),
        ([1], "pay._1_"),
        ("x" * 500, "pay." + "x" * 196),
    ],
)
def test_a_hostile_value_makes_a_valid_type(world: HookWorld, said: Any, kind: str) -> None:
    made = made_hook(world, type="pay.{{ body.type }}", repeats="accept")
    assert made.send(made.signed(json.dumps({"type": said}).encode())).status == 200
    [event] = made.events()
    assert event["type"].startswith(kind[:20])


def test_templates_see_no_credentials(world: HookWorld) -> None:
    made = made_hook(world, "gitlab-token", data={"h": "{{ headers }}", "a": "{{ body.a }}"}, repeats="accept")
    assert made.send(made.signed(b'{"a": 12345678901234567.89}', {"Cookie": "c=hush", "X-Ok": "1"})).status == 200
    [event] = made.events()
    assert event["data"]["h"]["x-ok"] == "1"
    assert "hush" not in json.dumps(event) and SECRET not in json.dumps(event)
    assert b"12345678901234567.89" in made.api.call("GET", f"/v1/events/{event['id']}").body


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"type": "a.{{ record.x }}"}, "/type"),
        ({"key": "body.id"}, "/key"),
        ({"key": "{{ body.id", "subject": ""}, "/key"),
        ({"key": "{{ body.id }}", "subject": "json:id"}, "/subject"),
        ({"data": {"a": "{{ event.x }}"}}, "/data/a"),
        ({"key": "{{ body.id }}", "tenant": "acme", "path": "acme/x"}, "/key"),
        ({"data": "{{ body.x }}", "tenant": "acme", "path": "acme/x"}, "/data"),
    ],
)
def test_wrong_templates_are_refused_with_their_place(world: HookWorld, body: dict[str, Any], pointer: str) -> None:
    given = {"path": "x", "scheme": "stripe", "secrets": ["whsec_1"], **body}
    answer = world.api.call("POST", "/v1/hooks", given)
    assert answer.status == 422
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("when: {hook: {path: a, verify: {scheme: hmac-sha256, secret: x}}}", "hmac-sha256 needs `header`"),
        (
            "when: {hook: {path: a, verify: {scheme: stripe, secret: x, header: y}}}",
            "`header` requires a scheme that signs the body",
        ),
        ("when: {hook: {path: a, scheme: stripe, verify: {scheme: stripe, secret: x}}}", "given in both `verify` and"),
        ("when: {hook: {path: a, verify: {schem: stripe}}}", "'schem' is unknown here"),
        (
            "when: {hook: {path: a, verify: {scheme: stripe, secret: x}}}\n    emit: {mode: changes}",
            "`mode` must be `all`",
        ),
        (
            "when: {hook: {path: a, type: b, verify: {scheme: stripe, secret: x}}}\n    emit: {type: c}",
            "`type` is given in both",
        ),
        ("when: {hook: {path: a, verify: {scheme: stripe, secret: x}}}\n    emit: {each: c}", "'each' is unknown here"),
        (
            "when: {form: {path: a, fields: {b: {}}}}\n    emit: {data: c}",
            "The data of a form's events consists of the form's fields",
        ),
        ("when: {form: {path: a, fields: {b: {}}}}\n    emit: {key: c}", "The key of a form's events must be"),
    ],
)
def test_what_is_wrong_beside_a_hook_or_form_is_said(file: Any, link: str, said: str) -> None:
    with pytest.raises((SettingsError, Invalid), match="line") as wrong:
        file(f"links:\n  one:\n    {link}\n")
    assert said in str(wrong.value)
