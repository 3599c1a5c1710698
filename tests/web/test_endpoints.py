"""Endpoints over HTTP: what answers show, what they never show, and what each verb does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import standardwebhooks

from tidings.testing import Api, Receiver, TestServer, until

WAYS = (
    "order",
    "order_max_age_seconds",
    "batch",
    "body",
    "fields",
    "svix_headers",
    "timeout_seconds",
    "retry_delays_seconds",
    "give_up_on",
)
RETRIES = ("retry_delays_seconds", "give_up_on")
TLS = ("ca", "client_certificate")
CHOSEN = {"url", "description", "tenant", "events", "filter", "headers", "rate", "max_in_flight", *TLS, *RETRIES, *WAYS}
SHOWN = {"id", "state", "reason", "health", "created", "updated", "revision", *CHOSEN}


@pytest.fixture(scope="module")
def receiver(server: TestServer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def create(api: Api, url: str = "http://127.0.0.1:9/", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.post("/v1/endpoints", {"url": url, **more})
    return made


def key_of(api: Api, tenant: str) -> Api:
    """The API, called with a key of a tenant."""
    scopes = ["endpoints:read", "endpoints:write", "deliveries:read", "deliveries:write", "replays:read"]
    made = api.post(
        "/v1/keys", {"name": tenant, "tenant": tenant, "scopes": [*scopes, "replays:write", "events:write"]}
    )
    return api.with_key(made["key"])


def test_a_url_is_enough(api: Api) -> None:
    reply = api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/"})
    made = reply.json
    assert reply.status == 201 and set(made) == SHOWN
    assert reply.headers["etag"] == '"1"' and reply.headers["location"] == f"/v1/endpoints/{made['id']}"
    assert (made["state"], made["events"], made["tenant"], made["order"]) == ("enabled", ["*"], None, "none")
    assert made["health"] == {"failing_since": None, "fails": 0, "next_probe": None}
    assert api.get(f"/v1/endpoints/{made['id']}") == made


def test_the_secret_is_read_on_its_own(api: Api) -> None:
    made = create(api, headers={"X-Token": "s3cret"})
    secret = api.get(f"/v1/endpoints/{made['id']}/secret")
    assert secret["secret"].startswith("whsec_") and secret["previous"] == [] and "public_key" not in secret
    whole = api.call("GET", f"/v1/endpoints/{made['id']}").body + api.call("GET", "/v1/endpoints").body
    assert secret["secret"].encode() not in whole and b"s3cret" not in whole
    assert made["headers"] == {"X-Token": "***"}


def test_a_key_of_ones_own_shows_its_public_half(api: Api) -> None:
    made = create(api, secret="whsk_" + "A" * 43 + "=")
    assert api.get(f"/v1/endpoints/{made['id']}/secret")["public_key"].startswith("whpk_")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": 5}, "/url"),
        ({"url": "http://127.0.0.1/", "evnts": []}, "/evnts"),
        ({"url": "http://127.0.0.1/", "batch": {"max": 1}}, "/batch/max"),
        ({"url": "http://127.0.0.1/", "order": "fifo"}, "/order"),
        ({"url": "http://127.0.0.1/", "headers": {"X-A": 1}}, "/headers/X-A"),
        ({"url": "http://127.0.0.1/", "headers": {"X-Good": "1", "X/~A": None}}, "/headers/X~1~0A"),
        ({"url": "http://127.0.0.1/", "headers": ["X-A"]}, "/headers"),
        ({"url": "http://127.0.0.1/", "filter": [1]}, "/filter"),
        ({"url": "http://10.0.0.1/"}, "/url"),
        ({"url": "http://127.0.0.1/", "rate": 0}, "/rate"),
    ],
)
def test_what_is_wrong_is_named(api: Api, body: Any, pointer: str) -> None:
    reply = api.call("POST", "/v1/endpoints", body)
    assert reply.status == 422 and [each["pointer"] for each in reply.json["errors"]] == [pointer]
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_range_error_has_its_name_and_all_digits(api: Api) -> None:
    body = {"url": "https://example.com/", "rate": -1, "timeout_seconds": 31.5, "batch": {"max_bytes": 1}}
    said = [place["detail"] for place in api.call("POST", "/v1/endpoints", body).json["errors"]]
    assert said == [
        "rate must be 0.001 to 100,000 events per second, not -1.",
        "batch.max_bytes must be 1,024 to 16,777,216 bytes, not 1.",
        "timeout_seconds must be 0.1 to 30 seconds, not 31.5.",
    ]
    body = {"url": "https://example.com/", "max_in_flight": 100_000_000_000}
    assert "not 100,000,000,000." in api.call("POST", "/v1/endpoints", body).json["detail"]


def test_a_refused_address_says_what_an_operator_can_do(api: Api) -> None:
    reply = api.call("POST", "/v1/endpoints", {"url": "http://192.168.1.1/"})
    (error,) = reply.json["errors"]
    assert error["code"] == "refused_address" and "TIDINGS_ALLOW_ADDRESSES=192.168.1.1." in error["detail"]


def test_a_merge_patch(api: Api) -> None:
    made = create(api, rate=5, headers={"X-A": "1"}, batch={"max_events": 10})
    path = f"/v1/endpoints/{made['id']}"
    edited = api.patch(path, {"rate": None, "description": "new", "batch": {"max_ms": 50}, "headers": {"X-B": "2"}})
    assert (edited["rate"], edited["description"], edited["revision"]) == (None, "new", 2)
    assert edited["batch"] == {"max_events": 10, "max_ms": 50, "max_bytes": 1_048_576}
    assert edited["headers"] == {"X-A": "***", "X-B": "***"}
    media = {"Content-Type": "application/merge-patch+json"}
    assert api.call("PATCH", path, b'{"batch": null}', media).json["batch"] is None
    for wrong, pointer in (({"url": None}, "/url"), ({"tenant": "a"}, "/tenant"), ({"order": "x"}, "/order")):
        reply = api.call("PATCH", path, wrong)
        assert reply.status == 422 and reply.json["errors"][0]["pointer"] == pointer
    assert api.get(path)["revision"] == 3


def test_revisions(api: Api) -> None:
    path = f"/v1/endpoints/{create(api)['id']}"
    assert api.call("PATCH", path, {"rate": 1}, {"If-Match": '"1"'}).headers["etag"] == '"2"'
    assert api.call("PATCH", path, {"rate": 2}, {"If-Match": '"1"'}).status == 412
    assert api.call("DELETE", path, None, {"If-Match": '"1"'}).status == 412
    assert api.call("PATCH", path, {"rate": 2}, {"If-Match": "2"}).status == 400
    assert api.call("GET", path, None, {"If-None-Match": '"2"'}).status == 304
    assert api.call("GET", path, None, {"If-None-Match": '"1"'}).status == 200
    assert api.call("PATCH", path, {"rate": 3}, {"If-Match": '"1", "2"'}).status == 200


@pytest.mark.slow
def test_pages(api: Api) -> None:
    made = [create(api, tenant="pages")["id"] for _ in range(7)]
    listed = api.pages("/v1/endpoints", tenant="pages", limit=3)
    assert [each["id"] for each in listed] == made[::-1]
    first = api.call("GET", "/v1/endpoints", tenant="pages", limit=3)
    assert first.headers["link"].endswith('; rel="next"') and "cursor=" in first.headers["link"]
    following = first.headers["link"].partition(">")[0].lstrip("<")
    assert [each["id"] for each in api.get(following)["data"]] == made[3:0:-1]
    cursor = first.json["next_cursor"]
    for query in ({"tenant": "other", "cursor": cursor}, {"cursor": cursor}, {"tenant": "pages", "cursor": "rubbish"}):
        assert api.call("GET", "/v1/endpoints", **query).status == 422
    assert api.call("GET", "/v1/endpoints", limit=0).status == 422
    assert api.call("GET", "/v1/endpoints", sort="url").status == 422


def test_a_tenant_sees_and_makes_only_its_own(api: Api) -> None:
    ours, theirs = key_of(api, "ours"), key_of(api, "theirs")
    mine = create(ours)
    assert mine["tenant"] == "ours"
    assert ours.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1/", "tenant": "theirs"}).status == 422
    assert ours.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1/", "tenant": "*"}).status == 422
    path = f"/v1/endpoints/{mine['id']}"
    for method, verb in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/secret"), ("POST", "/secret")):
        body = {"rate": 1} if method == "PATCH" else None
        assert theirs.call(method, path + verb, body).status == 404
    for verb in (":pause", ":resume", ":test"):
        assert theirs.call("POST", path + verb).status == 404
    assert [each["id"] for each in ours.pages("/v1/endpoints")] == [mine["id"]]
    assert theirs.pages("/v1/endpoints") == []
    assert theirs.call("GET", "/v1/endpoints", tenant="ours").status == 404


def test_the_same_idempotency_key_makes_one_endpoint(api: Api) -> None:
    headers = {"Idempotency-Key": "endpoint-once"}
    one = api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/"}, headers)
    two = api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/"}, headers)
    assert (one.status, two.status) == (201, 201) and one.json == two.json


def test_a_test_event_arrives_signed(api: Api, receiver: Receiver) -> None:
    made = create(api, receiver.url("/test"), events=["never.this"])
    secret = api.get(f"/v1/endpoints/{made['id']}/secret")["secret"]
    told = api.call("POST", f"/v1/endpoints/{made['id']}:test")
    assert told.status == 202 and told.json["delivery"].startswith("dlv_")
    (got,) = receiver.wait_for(1, path="/test")
    assert got.id == told.json["event_id"] and got.json["type"] == "endpoint.test"
    standardwebhooks.Webhook(secret).verify(got.body, dict(got.headers))


def test_both_secrets_sign_during_the_overlap(api: Api, receiver: Receiver) -> None:
    made = create(api, receiver.url("/rotate"))
    path = f"/v1/endpoints/{made['id']}/secret"
    old = api.get(path)["secret"]
    rotated = api.post(path, {"overlap_seconds": 3600})
    assert rotated["secret"] != old and [each["secret"] for each in rotated["previous"]] == [old]
    api.post(f"/v1/endpoints/{made['id']}:test")
    (got,) = receiver.wait_for(1, path="/rotate")
    for secret in (old, rotated["secret"]):
        standardwebhooks.Webhook(secret).verify(got.body, dict(got.headers))
    alone = api.post(path, {"overlap_seconds": 0})
    assert alone["previous"] == []
    assert api.call("POST", path, {"overlap_seconds": 604_801}).status == 422


@pytest.mark.slow
def test_paused_keeps_and_resume_sends(api: Api, receiver: Receiver) -> None:
    made = create(api, receiver.url("/paused"), events=["pause.*"])
    path = f"/v1/endpoints/{made['id']}"
    paused = api.post(path + ":pause", {"reason": "maintenance"})
    assert (paused["state"], paused["reason"]) == ("paused", "maintenance")
    assert api.call("POST", path + ":test").status == 409
    events = [api.publish("pause.a") for _ in range(5)]
    assert until(lambda: api.get(path, counts="true")["waiting"] == 5, "all wait")
    resumed = api.post(path + ":resume")
    assert (resumed["state"], resumed["reason"], resumed["waiting"]) == ("enabled", None, 5)
    assert {got.id for got in receiver.wait_for(5, path="/paused")} == set(events)


@pytest.mark.slow
def test_resume_can_cancel_what_was_missed(api: Api, receiver: Receiver) -> None:
    made = create(api, receiver.url("/missed"), events=["missed.*"])
    path = f"/v1/endpoints/{made['id']}"
    assert api.call("POST", path + ":resume", {"missed": "cancel"}).status == 409
    api.post(path + ":pause")
    for _ in range(5):
        api.publish("missed.a")
    resumed = api.post(path + ":resume", {"missed": "cancel"})
    assert (resumed["state"], resumed["waiting"]) == ("enabled", 5)
    assert len(api.pages("/v1/deliveries", endpoint=made["id"], state="cancelled")) == 5
    last = api.publish("missed.b")
    assert [got.id for got in receiver.wait_for(1, path="/missed")] == [last]
    assert api.call("POST", path + ":resume", {"missed": "perhaps"}).status == 422


@pytest.mark.slow
def test_delete(api: Api) -> None:
    made = create(api, events=["deleted.*"])
    path = f"/v1/endpoints/{made['id']}"
    api.post(path + ":pause")
    api.publish("deleted.a")
    assert api.call("DELETE", path).status == 204
    for method in ("GET", "DELETE"):
        assert api.call(method, path).status == 404
    assert until(lambda: api.pages("/v1/deliveries", endpoint=made["id"], state="cancelled"), "it is cancelled")


@pytest.mark.parametrize("path", ["a..b", ".", ".id.", "", "a\nb", "a.\x7f", ".".join("a" * 33)])
def test_a_fields_path_that_can_match_nothing_is_refused(api: Api, path: str) -> None:
    reply = api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/fields", "fields": ["id", path]})
    assert reply.status == 422
    assert [place["pointer"] for place in reply.json["errors"]] == ["/fields/1"]


def test_an_endpoint_with_a_filter_and_fields_from_before_their_rules_can_be_edited(
    api: Api, server: TestServer
) -> None:
    assert server.server is not None
    catalog, writer = server.server.parts.catalog, server.server.writer
    endpoint = api.register("http://127.0.0.1:9/old", events=["old.*"])[0]
    present = catalog.now.endpoints_by_id[endpoint]
    what = msgspec.structs.replace(present.what, fields=("a..b",))
    older = msgspec.structs.replace(present, filter={"data": {"gte": 1}}, what=what)
    writer.wait(lambda db: catalog.put_link(db, older))
    assert api.patch(f"/v1/endpoints/{endpoint}", {"description": "new"})["filter"] == {"data": {"gte": 1}}
    refused = api.call(
        "PATCH",
        f"/v1/endpoints/{endpoint}",
        {"filter": {"data": {"gte": None, "lt": 1}}},
        {"Content-Type": "application/merge-patch+json"},
    )
    assert refused.status == 422 and "Did you mean $lt?" in refused.json["detail"]
    api.delete(f"/v1/endpoints/{endpoint}")


@pytest.mark.slow
def test_an_endpoint_is_tried_before_it_is_registered(server: TestServer, api: Api) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with Receiver() as receiver:
        url = receiver.url()
        tried = api.post("/v1/endpoints:try", {"url": url, "secret": secret, "headers": {"X-Key": "hidden"}})
        assert (tried["works"], tried["status"] // 100) == (True, 2) and tried["request_headers"]["x-key"] == "***"
        request = receiver.wait_for(1)[0]
        sent = standardwebhooks.Webhook(secret).verify(request.body.decode(), dict(request.headers))
        assert sent["type"] == "endpoint.test"
        receiver.answer(503)
        assert api.post("/v1/endpoints:try", {"url": url})["says"] == "The endpoint answered 503."
    tried = api.post("/v1/endpoints:try", {"url": url})
    assert (tried["works"], tried["status"], tried["outcome"]) == (False, None, "connect_failed")
    assert api.call("POST", "/v1/endpoints:try", {"url": "http://10.0.0.1/"}).json["errors"][0]["pointer"] == "/url"
    assert api.get("/v1/endpoints", url=url)["data"] == []
