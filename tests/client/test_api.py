"""Both clients against a real server: every call once, and what goes wrong as typed errors."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

import tidings.client
from tests.client.conftest import Face, MakeFace
from tidings.client import (
    Client,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Invalid,
    LimitReached,
    Malformed,
    NotFound,
    Stale,
    Unauthorized,
)
from tidings.client.calls import create
from tidings.client.exchange import ClientRequest
from tidings.testing import Receiver, TestServer, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server."""
    with TestServer(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def client(face: MakeFace, server: TestServer) -> Face:
    """The client, as the operator."""
    return face(server.url, server.api.key)


def test_events(client: Face) -> None:
    earlier = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=123_456)
    made = client.call("publish", "a.b", {"n": 1}, subject="ä/ö", time=earlier)
    assert client.call("event", made["id"])["subject"] == "ä/ö"
    assert made["time"] == earlier.isoformat(timespec="microseconds").replace("+00:00", "Z")
    both = client.call("publish_batch", [{"type": "a.c", "data": {}}, {"type": "a.c", "data": {}}])
    ids = [each["id"] for each in both]
    pages: list[tuple[list[Any], str]] = client.call("follow", "start", type="a.c", wait_seconds=0, first=1)
    assert [each["id"] for each in pages[0][0]][-2:] == ids
    listed = [each["id"] for each in client.call("events", type="a.c", limit=1)]
    assert listed[:2] == ids[::-1]


def test_a_numeric_id_makes_a_repeat_the_same_event(client: Face) -> None:
    first = client.call("publish", "a.b", {}, idempotency_key="same-" + str(id(client)))
    assert client.call("publish", "a.b", {}, idempotency_key="same-" + str(id(client))) == first


def test_loads_keeps_the_digits_of_numbers(face: MakeFace, server: TestServer) -> None:
    client = face(server.url, server.api.key, loads=partial(json.loads, parse_float=Decimal))
    made = client.call("send", create("/v1/events", b'{"type": "digits.kept", "data": {"n": 12345678901234567890.12}}'))
    assert client.call("event", made["id"])["data"] == {"n": Decimal("12345678901234567890.12")}


@pytest.mark.slow
def test_endpoints_deliveries_replays_and_keys(client: Face) -> None:
    with Receiver() as receiver:
        endpoint = client.call("create_endpoint", receiver.url("/x"), events=["only.here"])
        id = endpoint["id"]
        assert client.call("edit_endpoint", id, {"rate": 5}, endpoint["revision"])["rate"] == 5
        with pytest.raises(Stale):
            client.call("edit_endpoint", id, {"rate": 6}, endpoint["revision"])
        assert client.call("pause_endpoint", id, "why")["state"] == "paused"
        assert client.call("resume_endpoint", id)["state"] == "enabled"
        secret = client.call("endpoint_secret", id)["secret"]
        assert client.call("rotate_endpoint_secret", id, overlap_seconds=0)["secret"] != secret
        assert id in [each["id"] for each in client.call("endpoints")]
        assert client.call("test_endpoint", id)["event_id"] == receiver.wait_for(1)[0].id

        event = client.call("publish", "only.here", {})
        receiver.wait_for(2)
        found = until(lambda: client.call("deliveries", event=event["id"], state="delivered"), "it is delivered")
        assert client.call("delivery", found[0]["id"])["attempts"][0]["outcome"] == "ok"
        with pytest.raises(Conflict):
            client.call("cancel_delivery", found[0]["id"])
        client.call("retry_delivery", found[0]["id"])
        receiver.wait_for(3)

        replay = client.call("create_replay", {"endpoint_id": id, "since": endpoint["created"], "which": "all"})
        until(lambda: client.call("replay", replay["id"])["state"] == "done", "the replay is done")
        assert replay["id"] in [each["id"] for each in client.call("replays")]
        assert client.call("delete_endpoint", id) is None

    key = client.call("create_key", "k", ["events:write"], limits=[{"calls": 1, "seconds": 3600}])
    assert key["id"] in [each["id"] for each in client.call("keys")]
    assert client.call("revoke_key", key["id"]) is None
    client.call("put_collection", "permitted", {"fields": {"a": {"type": "string"}}})
    by_permit = client.call("create_key", "k", permits=[{"collection": "permitted", "verbs": ["list"]}])
    assert by_permit["scopes"] == []


def test_event_types_and_tenants(client: Face) -> None:
    name, tenant = f"face.n{id(client)}", f"face-{id(client)}"
    made = client.call("put_event_type", name, description="One")
    assert client.call("put_event_type", name, made["revision"], description="Two")["description"] == "Two"
    with pytest.raises(Stale):
        client.call("put_event_type", name, made["revision"])
    assert client.call("event_type", name)["name"] == name
    assert name in [each["name"] for each in client.call("event_types", limit=1000)]
    assert client.call("delete_event_type", name) is None
    assert client.call("create_tenant", tenant)["id"] == tenant
    assert client.call("tenant", tenant)["id"] == tenant
    assert tenant in [each["id"] for each in client.call("tenants", limit=1000)]
    assert client.call("delete_tenant", tenant) is None


def test_dir_lists_the_public_names() -> None:
    assert "AsyncClient" in dir(tidings.client) and "TYPE_CHECKING" not in dir(tidings.client)


@pytest.mark.slow
def test_hooks_and_their_receipts(client: Face, server: TestServer) -> None:
    path = f"client-{id(client)}"
    hook = client.call("create_hook", path, "github", secrets=["mistyped"])
    assert client.call("hook", hook["id"]) == hook and hook["id"] in [each["id"] for each in client.call("hooks")]
    body = b'{ "n": 1.50 }'
    signature = "sha256=" + hmac.new(b"right", body, "sha256").hexdigest()
    assert server.api.call("POST", f"/in/{path}", body, {"X-Hub-Signature-256": signature}).status == 401
    until(lambda: list(client.call("refusals", hook=hook["id"])), "the refusal")
    (refusal,) = client.call("refusals", hook=hook["id"])
    with pytest.raises(Conflict, match="still refused"):
        client.call("retry_refusal", refusal["id"])
    with pytest.raises(Stale):
        client.call("edit_hook", hook["id"], {"secrets": ["right"]}, revision=7)
    client.call("edit_hook", hook["id"], {"secrets": ["right"]}, revision=1)
    assert client.call("retry_refusal", refusal["id"])["state"] == "accepted"
    (receipt,) = client.call("receipts", hook=hook["id"])
    assert client.call("receipt", receipt["id"])["text"].encode() == body
    assert b"".join(client.call("receipt_body", receipt["id"])) == body
    client.call("delete_hook", hook["id"])
    with pytest.raises(NotFound):
        client.call("hook", hook["id"])


def test_errors_have_types_and_messages(client: Face, face: MakeFace, server: TestServer) -> None:
    with pytest.raises(NotFound, match="There is no event"):
        client.call("event", "evt_x?y z")
    with pytest.raises(Invalid, match="/type") as invalid:
        client.call("publish", "bad..type", {})
    assert invalid.value.errors[0]["pointer"] == "/type" and invalid.value.request_id
    with pytest.raises(Malformed):
        client.call("send", ClientRequest("POST", "/v1/events", body=b"{"))
    with pytest.raises(Unauthorized):
        face(server.url, "wrong").call("keys")
    key = client.call("create_key", "k", ["events:write"], limits=[{"calls": 1, "seconds": 86400}])["key"]
    limited = face(server.url, key, retries=0)
    with pytest.raises(Forbidden):
        limited.call("keys")
    with pytest.raises(LimitReached) as reached:
        for _ in range(3):
            limited.call("publish", "a.b", {})
    assert reached.value.retry_after_seconds is not None


def test_a_server_that_is_not_running_is_reported(face: MakeFace) -> None:
    with pytest.raises(ConnectionFailed, match="Is it running") as failed:
        face("http://127.0.0.1:1", retries=0).call("endpoints")
    assert not failed.value.sent


def test_a_url_is_checked_at_once(face: MakeFace) -> None:
    with pytest.raises(ValueError, match="not an http:// or https:// URL"):
        face("ftp://example.com").call("endpoints")


def test_a_naive_time_is_refused(client: Face) -> None:
    with pytest.raises(ValueError, match="time zone"):
        client.call("publish", "a.b", {}, time=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.slow
def test_one_client_serves_many_threads(server: TestServer) -> None:
    with Client(server.url, server.api.key) as client:
        made: list[str] = []
        work = [threading.Thread(target=lambda: made.append(client.publish("t.t", {})["id"])) for _ in range(20)]
        for each in work:
            each.start()
        for each in work:
            each.join()
    assert len(set(made)) == 20


def test_portal_links(client: Face) -> None:
    portal, tenant = client.client.portal, f"portal-{type(client.client).__name__}"
    made = client.done(portal.create_link, tenant, may="read", theme={"product": "Shop"})
    assert "#" in made["url"] and client.done(portal.link, made["id"])["theme"] == {"product": "Shop"}
    assert [each["id"] for each in client.done(portal.links, tenant)] == [made["id"]]
    client.done(portal.revoke_link, made["id"])
    assert client.done(portal.revoke_links, tenant) == {"revoked": 0}


def test_forms(client: Face) -> None:
    forms = client.client.forms
    path = f"client-{type(client.client).__name__}"
    made = client.done(forms.create, path, {"email": {"type": "email"}}, title="One")
    assert client.done(forms.get, made["id"]) == made
    assert made in client.done(forms.list)
    assert client.done(forms.edit, made["id"], {"title": "Two"}, 1)["revision"] == 2
    with pytest.raises(Stale):
        client.done(forms.put, made["id"], {"path": path, "fields": {"name": {}}}, 1)
    assert list(client.done(forms.put, made["id"], {"path": path, "fields": {"name": {}}})["fields"]) == ["name"]
    client.done(forms.delete, made["id"])
    with pytest.raises(NotFound):
        client.done(forms.get, made["id"])
