"""What applications do with Svix's Python SDK works with nothing changed but the URL and the token."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as StandardWebhook

from tests.svix import sdk
from tests.svix.conftest import Connect
from tidings.testing import Received, Receiver, TestServer, until


@pytest.fixture(scope="module", autouse=True)
def types(svix: sdk.Svix) -> None:
    for name in ("event.started", "event.ended"):
        svix.event_type.create(sdk.EventTypeIn(name=name, description=f"Something {name[6:]}"))


def app_of(svix: sdk.Svix, name: str, **more: Any) -> str:
    return svix.application.create(sdk.ApplicationIn(name=name, **more)).id


def got(receiver: Receiver, path: str, count: int = 1) -> list[Received]:
    def enough() -> list[Received]:
        found = receiver.requests(path)
        return found if len(found) >= count else []

    return until(enough, f"{count} requests at {path}")


def refused(status: int, call: Any, *given: Any) -> sdk.HttpError:
    with pytest.raises(sdk.HttpError) as wrong:
        call(*given)
    assert wrong.value.status_code == status, wrong.value
    return wrong.value


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/svix", ""])
def test_the_flow_of_the_official_kitchen_sink(connect: Connect, path: str) -> None:
    svix = connect(path=path)
    app = svix.application.create(sdk.ApplicationIn(name="app"))
    for name in ("event.started", "event.ended"):
        assert refused(409, svix.event_type.create, sdk.EventTypeIn(name=name, description="x")).code == "conflict"
    made = svix.endpoint.create(app.id, sdk.EndpointIn(url="https://example.svix.com/", channels=["ch0", "ch1"]))
    assert set(made.channels or ()) == {"ch0", "ch1"} and made.event_types is None and made.disabled is False
    changed = svix.endpoint.patch(app.id, made.id, sdk.EndpointPatch(event_types=["event.started", "event.ended"]))
    assert set(changed.channels or ()) == {"ch0", "ch1"}
    assert set(changed.event_types or ()) == {"event.started", "event.ended"}
    svix.endpoint.delete(app.id, made.id)
    refused(404, svix.endpoint.get, app.id, made.id)


@pytest.mark.slow
def test_a_receiver_verifies_unchanged_and_gets_the_payload_alone(svix: sdk.Svix, receiver: Receiver) -> None:
    app = app_of(svix, "receiving", uid="receiving")
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    endpoint = svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/verify"), secret=secret))
    payload = {"b": 1.10, "a": "ü", "list": [1, 2]}
    sent = svix.message.create(app, sdk.MessageIn(event_type="event.started", payload=payload))
    [request] = got(receiver, "/verify")
    # sdk.Svix's library raises an exception if the signature is wrong.
    sdk.Webhook(secret).verify(request.body, dict(request.headers))
    only_svix = {name: value for name, value in request.headers.items() if not name.startswith("webhook-")}
    sdk.Webhook(secret).verify(request.body, only_svix)
    assert StandardWebhook(secret).verify(request.body, dict(request.headers)) == payload
    with pytest.raises(sdk.WebhookVerificationError):
        sdk.Webhook(secret).verify(request.body + b" ", only_svix)
    assert request.headers["svix-id"] == sent.id == request.id
    assert svix.endpoint.get_secret(app, endpoint.id).key == secret


@pytest.mark.slow
def test_a_rotated_secret_signs_next_to_the_old_one(svix: sdk.Svix, receiver: Receiver) -> None:
    app = app_of(svix, "rotating")
    endpoint = svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/rotate"), event_types=["event.ended"]))
    old = svix.endpoint.get_secret(app, endpoint.id).key
    svix.endpoint.rotate_secret(app, endpoint.id, sdk.EndpointSecretRotateIn())
    new = svix.endpoint.get_secret(app, endpoint.id).key
    assert new != old
    svix.message.create(app, sdk.MessageIn(event_type="event.started", payload={"n": 1}))
    svix.message.create(app, sdk.MessageIn(event_type="event.ended", payload={"n": 2}))
    [request] = got(receiver, "/rotate")
    for secret in (old, new):
        sdk.Webhook(secret).verify(request.body, dict(request.headers))
    assert request.json == {"n": 2}
    own = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = svix.endpoint.rotate_secret(app, endpoint.id, sdk.EndpointSecretRotateIn(grace_period_seconds=0, key=own))
    assert made.key == svix.endpoint.get_secret(app, endpoint.id).key == f"whsec_{own}"


@pytest.mark.slow
def test_sdks_of_the_first_version_get_the_statuses_that_they_insist_on(server: TestServer, svix: sdk.Svix) -> None:
    """Python's 1.24, for one, raises an exception for another status, although it was done."""
    app = app_of(svix, "first-version")
    endpoint = svix.endpoint.create(app, sdk.EndpointIn(url="https://example.com/hook"))
    svix.event_type.create(
        sdk.EventTypeIn(name="first.example", description="", schemas={"1": {"examples": [{"n": 1}]}})
    )
    one = f"/svix/api/v1/app/{app}/endpoint/{endpoint.id}"

    def statuses(agent: str) -> list[int]:
        headers = {"User-Agent": agent}
        example = {"eventType": "first.example"}
        return [
            server.api.call("POST", f"{one}/secret/rotate", {}, headers=headers).status,
            server.api.call("POST", f"{one}/send-example", example, headers=headers).status,
        ]

    assert statuses("svix-libs/1.24.0/python") == [204, 202]
    assert statuses("svix-libs/2.5.0/python") == statuses("curl/8.0") == [200, 200]


@pytest.mark.slow
def test_channels_select_messages(svix: sdk.Svix, receiver: Receiver) -> None:
    app = app_of(svix, "channels")
    for path, channels in (("/ch-a", ["a"]), ("/ch-ab", ["a", "b"]), ("/ch-all", None)):
        svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url(path), channels=channels))
    sent = [(["a"], 1), (["x", "b", "aa"], 2), (["aa"], 3), (None, 4), (["c", "a"], 5), (["b", "c"], 6)]
    for channels, number in sent:
        made = svix.message.create(
            app, sdk.MessageIn(event_type="event.started", payload={"n": number}, channels=channels)
        )
        assert made.channels == channels
    assert {each.json["n"] for each in got(receiver, "/ch-all", 6)} == {1, 2, 3, 4, 5, 6}
    assert {each.json["n"] for each in got(receiver, "/ch-a", 2)} == {1, 5}
    assert {each.json["n"] for each in got(receiver, "/ch-ab", 4)} == {1, 2, 5, 6}
    listed = svix.message.list(app, sdk.MessageListOptions(channel="b", with_content=True))
    assert [each.payload["n"] for each in listed.data] == [6, 2] and listed.done
    endpoint = svix.endpoint.list(app).data[1]
    assert endpoint.channels == ["a", "b"]
    assert svix.endpoint.patch(app, endpoint.id, sdk.EndpointPatch(channels=["b"])).channels == ["b"]
    assert svix.endpoint.patch(app, endpoint.id, sdk.EndpointPatch(channels=[])).channels is None


def test_an_application_is_found_by_id_and_uid(svix: sdk.Svix) -> None:
    made = svix.application.create(sdk.ApplicationIn(name="Acme", uid="acme.inc", metadata={"plan": "gold"}))
    assert made.uid == "acme.inc" and made.id != made.uid and made.metadata == {"plan": "gold"}
    assert svix.application.get("acme.inc") == svix.application.get(made.id) == made
    assert refused(409, svix.application.create, sdk.ApplicationIn(name="Other", uid="acme.inc")).code == "conflict"


@pytest.mark.slow
def test_an_application_is_got_if_it_exists(svix: sdk.Svix) -> None:
    made = svix.application.get_or_create(sdk.ApplicationIn(name="Beta", uid="beta"))
    assert made.id == made.uid == "beta"
    assert svix.application.get_or_create(sdk.ApplicationIn(name="Other", uid="beta")) == made
    changed = svix.application.patch("beta", sdk.ApplicationPatch(name="Beta 2", metadata={"k": "v"}))
    assert (changed.name, changed.metadata, changed.uid) == ("Beta 2", {"k": "v"}, "beta")
    renamed = svix.application.patch("beta", sdk.ApplicationPatch(uid="beta.new"))
    assert renamed.id == "beta" and svix.application.get("beta.new").id == "beta"
    refused(409, svix.application.create, sdk.ApplicationIn(name="x", uid="beta.new"))
    replaced = svix.application.upsert("beta", sdk.ApplicationIn(name="Beta 3"))
    assert (replaced.name, replaced.metadata) == ("Beta 3", {})
    svix.application.delete("beta")
    refused(404, svix.application.get, "beta")
    assert svix.application.upsert("beta", sdk.ApplicationIn(name="Beta 4")).id == "beta"


@pytest.mark.slow
def test_lists_go_in_both_directions(svix: sdk.Svix) -> None:
    app = app_of(svix, "lists")
    urls = [f"https://example.com/{number}" for number in range(5)]
    for url in urls:
        svix.endpoint.create(app, sdk.EndpointIn(url=url))
    first = svix.endpoint.list(app, sdk.EndpointListOptions(limit=2))
    assert [each.url for each in first.data] == [urls[4], urls[3]] and not first.done
    second = svix.endpoint.list(app, sdk.EndpointListOptions(limit=2, iterator=first.iterator))
    assert [each.url for each in second.data] == [urls[2], urls[1]] and not second.done
    last = svix.endpoint.list(app, sdk.EndpointListOptions(limit=2, iterator=second.iterator))
    assert [each.url for each in last.data] == [urls[0]] and last.done
    back = svix.endpoint.list(app, sdk.EndpointListOptions(limit=2, iterator=second.prev_iterator))
    assert [each.url for each in back.data] == [urls[4], urls[3]] and back.done
    up = svix.endpoint.list(app, sdk.EndpointListOptions(limit=3, order=sdk.Ordering.ASCENDING))
    assert [each.url for each in up.data] == urls[:3]
    with pytest.raises(sdk.HTTPValidationError):
        svix.application.list(sdk.ApplicationListOptions(iterator=first.iterator))
    for number in range(5):
        svix.message.create(app, sdk.MessageIn(event_type="event.started", payload={"n": number}))
    pages, iterator = [], None
    while True:
        page = svix.message.list(app, sdk.MessageListOptions(limit=2, iterator=iterator, with_content=True))
        pages.append([each.payload["n"] for each in page.data])
        iterator = page.iterator
        if page.done:
            break
    assert pages == [[4, 3], [2, 1], [0]]
    newer = svix.message.list(app, sdk.MessageListOptions(limit=2, iterator=page.prev_iterator, with_content=True))
    assert [each.payload["n"] for each in newer.data] == [2, 1] and not newer.done
    bare = svix.message.list(app, sdk.MessageListOptions(limit=1, with_content=False))
    assert bare.data[0].payload == {}


@pytest.mark.slow
def test_a_message_makes_its_application_and_its_event_id_is_unique(svix: sdk.Svix, receiver: Receiver) -> None:
    new = sdk.ApplicationIn(name="Made on the way", uid="on-the-way")
    message = sdk.MessageIn(event_type="event.started", payload={"n": 1}, event_id="order_17", application=new)
    sent = svix.message.create("on-the-way", message)
    assert sent.event_id == "order_17" and svix.application.get("on-the-way").name == "Made on the way"
    assert refused(409, svix.message.create, "on-the-way", message).code == "conflict"
    whole = svix.message.get("on-the-way", "order_17", sdk.MessageGetOptions(with_content=True))
    assert whole.payload == {"n": 1}
    other = sdk.MessageIn(
        event_type="event.started",
        payload={"n": 1},
        event_id="order_17",
        application=sdk.ApplicationIn(name="x", uid="y"),
    )
    with pytest.raises(sdk.HTTPValidationError) as wrong:
        svix.message.create("not-y", other)
    assert wrong.value.detail[0].loc == ["body", "application", "uid"]
    without = svix.message.create("on-the-way", sdk.MessageIn(event_type="event.started", payload={"n": 2}))
    assert without.event_id is None
    refused(404, svix.message.create, "nobody", sdk.MessageIn(event_type="event.started", payload={}))


@pytest.mark.slow
def test_a_call_that_is_repeated_does_nothing_twice(server: TestServer) -> None:
    headers = {"Authorization": f"Bearer {server.api.key}", "idempotency-key": "auto_1"}
    body = {"name": "Once", "uid": "once"}
    first, second = (httpx.post(f"{server.url}/svix/api/v1/app", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201) and first.json() == second.json()
    message = {"eventType": "event.started", "payload": {"n": 1}, "eventId": "once-1"}
    headers["idempotency-key"] = "auto_2"
    sent = [httpx.post(f"{server.url}/svix/api/v1/app/once/msg", json=message, headers=headers) for _ in range(2)]
    assert [each.status_code for each in sent] == [202, 202] and sent[0].json() == sent[1].json()


@pytest.mark.slow
def test_attempts_are_listed_and_a_message_is_resent(svix: sdk.Svix, receiver: Receiver) -> None:
    app = app_of(svix, "attempts")
    receiver.answer(500, 200, path="/attempts")
    endpoint = svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/attempts")))
    sent = svix.message.create(app, sdk.MessageIn(event_type="event.started", payload={"n": 1}, event_id="first"))
    failed = until(lambda: svix.message_attempt.list_by_msg(app, sent.id).data, "the attempt")
    assert [(each.status, each.response_status_code, each.msg_id) for each in failed] == [(2, 500, sent.id)]
    assert failed[0].endpoint_id == endpoint.id and failed[0].url == endpoint.url
    [standing] = svix.message_attempt.list_attempted_destinations(app, "first").data
    assert standing.id == endpoint.id and standing.status_text == "pending" and standing.next_attempt is not None
    svix.message_attempt.resend(app, "first", endpoint.id)
    again = until(
        lambda: len(found := svix.message_attempt.list_by_endpoint(app, endpoint.id).data) == 2 and found, "two"
    )
    assert [each.status for each in again] == [0, 2]
    assert svix.message_attempt.get(app, sent.id, again[0].id) == again[0]
    options = sdk.MessageAttemptListAttemptedMessagesOptions(with_content=True)
    [message] = svix.message_attempt.list_attempted_messages(app, endpoint.id, options).data
    assert message.payload == {"n": 1} and message.status_text == "success"
    on_channel = sdk.MessageAttemptListByEndpointOptions(channel="none")
    assert not svix.message_attempt.list_by_endpoint(app, endpoint.id, on_channel).data
    stats = svix.endpoint.get_stats(app, endpoint.id)
    assert (stats.success, stats.fail, stats.pending) == (1, 0, 0)
    later = svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/later")))
    refused(409, svix.message_attempt.resend, app, sent.id, later.id)


@pytest.mark.slow
def test_an_endpoint_keeps_everything_it_was_given(svix: sdk.Svix, receiver: Receiver) -> None:
    app = app_of(svix, "whole")
    given = sdk.EndpointIn(
        url=receiver.url("/whole"),
        uid="my.endpoint",
        description="All of it",
        metadata={"a": "b"},
        throttle_rate=50,
        event_types=["event.ended"],
        headers={"X-Mine": "yes"},
    )
    made = svix.endpoint.create(app, given)
    assert made == svix.endpoint.get(app, "my.endpoint")
    assert (made.uid, made.description, made.metadata, made.throttle_rate) == (
        "my.endpoint",
        "All of it",
        {"a": "b"},
        50,
    )
    refused(409, svix.endpoint.create, app, given)
    svix.endpoint.patch_headers(app, made.id, sdk.EndpointHeadersPatchIn(headers={"x-other": "1", "X-mine": "no"}))
    assert sorted(svix.endpoint.get_headers(app, made.id).sensitive) == ["X-mine", "x-other"]
    svix.endpoint.set_headers(app, made.id, sdk.EndpointHeadersIn(headers={"X-Last": "2"}))
    svix.message.create(app, sdk.MessageIn(event_type="event.ended", payload={}))
    [request] = got(receiver, "/whole")
    assert request.headers["x-last"] == "2" and "x-mine" not in request.headers
    replaced = svix.endpoint.upsert(app, made.id, sdk.EndpointUpsertIn(url=made.url, uid="other"))
    assert (replaced.uid, replaced.metadata, replaced.throttle_rate, replaced.event_types) == ("other", {}, None, None)
    refused(404, svix.endpoint.get, app, "my.endpoint")
    fresh = svix.endpoint.upsert(app, "made.by.put", sdk.EndpointUpsertIn(url=made.url))
    assert fresh.uid == "made.by.put" and svix.endpoint.get(app, "made.by.put") == fresh
    svix.endpoint.delete(app, "made.by.put")


@pytest.mark.slow
def test_a_disabled_endpoint_gets_nothing_of_the_meantime(svix: sdk.Svix, receiver: Receiver) -> None:
    app = app_of(svix, "disabled")
    made = svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/disabled"), disabled=True))
    assert made.disabled
    svix.message.create(app, sdk.MessageIn(event_type="event.started", payload={"n": 1}))
    assert svix.endpoint.patch(app, made.id, sdk.EndpointPatch(disabled=False)).disabled is False
    svix.message.create(app, sdk.MessageIn(event_type="event.started", payload={"n": 2}))
    assert [each.json["n"] for each in got(receiver, "/disabled")] == [2]
    assert svix.endpoint.patch(app, made.id, sdk.EndpointPatch(disabled=True)).disabled


@pytest.mark.slow
def test_event_types_are_archived_and_come_back(svix: sdk.Svix) -> None:
    schemas = {"1": {"type": "object", "examples": [{"n": 7}]}}
    made = svix.event_type.create(
        sdk.EventTypeIn(name="user.signup", description="x", schemas=schemas, group_name="user")
    )
    assert (made.schemas, made.archived, made.group_name) == (schemas, False, "user")
    svix.event_type.delete("user.signup")
    assert svix.event_type.get("user.signup").archived
    names = [each.name for each in svix.event_type.list().data]
    assert "user.signup" not in names and "event.started" in names
    everything = svix.event_type.list(sdk.EventTypeListOptions(include_archived=True)).data
    assert "user.signup" in [each.name for each in everything]
    assert svix.event_type.create(sdk.EventTypeIn(name="user.signup", description="y")).description == "y"
    assert svix.event_type.patch("user.signup", sdk.EventTypePatch(deprecated=True)).deprecated
    replaced = svix.event_type.upsert("user.signup", sdk.EventTypeUpsertIn(description="z"))
    assert (replaced.description, replaced.archived) == ("z", False)
    svix.event_type.delete("user.signup", sdk.EventTypeDeleteOptions(expunge=True))
    refused(404, svix.event_type.get, "user.signup")


@pytest.mark.slow
def test_an_example_is_sent_and_failed_messages_are_recovered(svix: sdk.Svix, receiver: Receiver) -> None:
    schemas = {"1": {"type": "object", "examples": [{"n": 7}]}}
    svix.event_type.create(sdk.EventTypeIn(name="user.example", description="x", schemas=schemas))
    app = app_of(svix, "examples")
    endpoint = svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/example")))
    svix.endpoint.create(app, sdk.EndpointIn(url=receiver.url("/not-this")))
    sent = svix.endpoint.send_example(app, endpoint.id, sdk.EventExampleIn(event_type="user.example"))
    [request] = got(receiver, "/example")
    assert request.json == {"n": 7} and request.id == sent.id and not receiver.requests("/not-this")
    job = svix.endpoint.recover(app, endpoint.id, sdk.RecoverIn(since=sent.timestamp))
    assert job.task.value == "endpoint.recover"


@pytest.mark.slow
def test_the_portal_opens_and_its_token_sees_one_application(
    svix: sdk.Svix, connect: Connect, server: TestServer
) -> None:
    app = app_of(svix, "portal", uid="portal-app")
    other = app_of(svix, "another")
    access = svix.authentication.app_portal_access(app, sdk.AppPortalAccessIn())
    assert httpx.get(access.url.partition("#")[0]).status_code == 200
    mine = connect(access.token)
    made = mine.endpoint.create(app, sdk.EndpointIn(url="https://127.0.0.1/"))
    assert [each.id for each in mine.endpoint.list(app).data] == [made.id]
    refused(404, mine.endpoint.list, other)
    refused(403, mine.application.list)
    reader = connect(svix.authentication.app_portal_access(app, sdk.AppPortalAccessIn(read_only=True)).token)
    assert len(reader.endpoint.list(app).data) == 1
    refused(403, reader.endpoint.delete, app, made.id)
    refused(403, reader.endpoint.get_secret, app, made.id)
    refused(401, connect(access.token[:-2] + "xx").endpoint.list, app)
    svix.authentication.expire_all(app, sdk.ApplicationTokenExpireIn())
    refused(401, mine.endpoint.list, app)
    again = connect(svix.authentication.app_portal_access(app, sdk.AppPortalAccessIn()).token)
    assert len(again.endpoint.list(app).data) == 1 and svix.application.get(app).uid == "portal-app"
    svix.application.delete(app)
    app_of(svix, "portal", uid="portal-app")
    refused(401, again.endpoint.list, app)
    refused(401, httpx_less(server, access.token))


def httpx_less(server: TestServer, token: str) -> Any:
    """The token is nothing to our own API."""

    def call() -> None:
        reply = httpx.get(f"{server.url}/v1/endpoints", headers={"Authorization": f"Bearer {token}"})
        raise sdk.HttpError.init_exception({"code": "", "detail": ""}, reply.status_code)

    return call
