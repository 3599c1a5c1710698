"""A service that repeats our credentials in its answers shows them to nobody."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.calls.world import Calls
from tidings.rules.reading.hiding import HIDDEN, hiding
from tidings.testing import Reaction, until

pytestmark = pytest.mark.sqlite_only

SECRET = "s3cret/+="


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("auth", "echo"),
    [
        ({"bearer": SECRET}, f"Bearer {SECRET} {quote(SECRET, safe='')} {b64(SECRET)}"),
        ({"basic": ["u", SECRET]}, f"{SECRET} Basic {b64('u:' + SECRET)}"),
        ({"header": {"X-Key": f"Key {SECRET}"}}, f"no key {SECRET}"),
    ],
)
def test_credentials_that_a_service_repeats_are_hidden(calls: Calls, auth: dict[str, Any], echo: str) -> None:
    calls.connection(auth=auth)
    calls.link(call={"via": "shop", "post": "/x", "json": {}}, retry_delays_seconds=[0])
    calls.peer.answer(Reaction(status=400, body=echo.encode()))
    shown = str(calls.ended(calls.api.publish("order.made", {})))
    assert HIDDEN in shown
    for each in (SECRET, quote(SECRET, safe=""), b64(SECRET).rstrip("="), b64("u:" + SECRET)):
        assert each not in shown


@pytest.mark.slow
def test_what_a_token_endpoint_repeats_is_hidden(calls: Calls) -> None:
    auth = {"oauth2": "client_credentials", "token": calls.peer.url("/token"), "id": "i", "secret": SECRET}
    calls.connection(auth=auth)
    calls.link(call={"via": "shop", "post": "/x", "json": {}}, retry_delays_seconds=[0])
    said = f"{SECRET} {quote(SECRET, safe='')} {b64('i:' + quote(SECRET, safe=''))}"
    calls.peer.answer(Reaction(status=401, body=msgspec.json.encode({"error_description": said})))
    (attempt,) = calls.ended(calls.api.publish("order.made", {}))["attempts"]
    assert attempt["reason"] == f"The token endpoint responded with 401: {HIDDEN} {HIDDEN} {HIDDEN}."


@pytest.mark.slow
def test_an_access_token_that_a_service_repeats_is_hidden(calls: Calls) -> None:
    auth = {"oauth2": "client_credentials", "token": calls.peer.url("/token"), "id": "i", "secret": SECRET}
    calls.connection(auth=auth)
    calls.link(call={"via": "shop", "post": "/x", "json": {}}, retry_delays_seconds=[0])
    given = msgspec.json.encode({"access_token": "t0ken-of-ours", "token_type": "bearer"})
    calls.peer.answer(Reaction(status=200, body=given), path="/token")
    calls.peer.answer(Reaction(status=400, body=b"bad t0ken-of-ours"), path="/api/x")
    (attempt,) = calls.ended(calls.api.publish("order.made", {}))["attempts"]
    assert "t0ken" not in str(attempt) and HIDDEN in str(attempt), attempt


@pytest.mark.slow
def test_a_header_of_an_endpoint_that_a_receiver_repeats_is_hidden(calls: Calls) -> None:
    calls.api.post("/v1/endpoints", {"url": calls.peer.url("/hook"), "headers": {"Authorization": f"Bearer {SECRET}"}})
    calls.peer.answer(Reaction(status=410, body=f"gone, {SECRET}".encode()))
    event = calls.api.publish("order.made", {})

    def look() -> str | None:
        found = [
            calls.api.get(f"/v1/deliveries/{each['id']}") for each in calls.api.pages("/v1/deliveries", event=event)
        ]
        return next((str(each) for each in found if each["attempts"]), None)

    shown = until(look, "it is attempted")
    assert SECRET not in str(shown) and HIDDEN in str(shown)


def test_an_answer_that_was_cut_within_a_secret_shows_no_beginning_of_it() -> None:
    hide = hiding(("s3cret-of-ours",))
    assert hide.bytes(b"so: s3cret-of") == b"so: (hidden)"
    assert hide.bytes(b"so: s3cret-of-ours, s3cret-o") == b"so: (hidden), (hidden)"
    assert hide.bytes(b"so: s3cret-on") == b"so: s3cret-on"
    assert hide.value({"a": ["s3cret-of-ours", 1]}) == {"a": ["(hidden)", 1]}
    assert hiding(("short",)).text("short") == "short"
