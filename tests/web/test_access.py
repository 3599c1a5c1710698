"""Keys: who may do what, how often, until when; and those who guess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidings.model.moment import SECOND
from tidings.rules.network.callers import address_of
from tidings.testing import Api, FakeClock, TestServer, until
from tidings.web.operation import Operation
from tidings.web.operations import TABLE


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "tdk_x", "Bearer " + "x" * 5_000])
def test_malformed_authorization_headers_are_refused(server: TestServer, header: str) -> None:
    reply = server.api.with_key(None).call("GET", "/v1/events", headers={"Authorization": header} if header else {})
    assert reply.status == 401 and reply.headers["www-authenticate"].startswith("Bearer")


def test_the_scheme_is_not_case_sensitive(api: Api) -> None:
    assert api.with_key(None).call("GET", "/v1/events", headers={"Authorization": f"bearer {api.key}"}).status == 200


def test_a_scope_that_is_missing_is_named(api: Api) -> None:
    weak = api.with_key(api.post("/v1/keys", {"scopes": ["events:read"]})["key"])
    assert weak.call("GET", "/v1/events").status == 200
    reply = weak.call("POST", "/v1/events", {"type": "a.b", "data": {}})
    assert reply.status == 403 and "events:write" in reply.json["detail"]


def test_a_key_is_shown_once_and_revoked_at_once(api: Api) -> None:
    made = api.post("/v1/keys", {"scopes": ["events:read"], "name": "shop"})
    assert made["key"].startswith("tdk_") and len(made["key"]) == 47
    for text in (api.call("GET", f"/v1/keys/{made['id']}").body, api.call("GET", "/v1/keys").body):
        assert made["key"].encode() not in text and b"hash" not in text
    caller = api.with_key(made["key"])
    assert caller.call("GET", "/v1/events").status == 200
    assert api.call("DELETE", f"/v1/keys/{made['id']}").status == 204
    assert caller.call("GET", "/v1/events").status == 401
    assert api.get(f"/v1/keys/{made['id']}")["revoked"]


def test_a_kept_answer_with_a_key_is_encrypted_and_comes_back(server: TestServer, api: Api) -> None:
    headers = {"Idempotency-Key": "make-a-key"}
    first = api.call("POST", "/v1/keys", {"scopes": ["events:read"]}, headers)
    again = api.call("POST", "/v1/keys", {"scopes": ["events:read"]}, headers)
    assert first.body == again.body and again.headers["idempotency-replayed"] == "true"
    text = first.json["key"].encode()
    assert all(text not in file.read_bytes() for file in server.folder.rglob("*") if file.is_file())


def test_a_key_grants_only_what_it_has(api: Api) -> None:
    scopes = ["keys:write", "events:read"]
    maker = api.with_key(api.post("/v1/keys", {"scopes": scopes, "tenant": "acme"})["key"])
    assert maker.post("/v1/keys", {"scopes": ["events:read"]})["tenant"] == "acme"
    for body, pointer in (
        ({"scopes": ["events:read", "events:write"]}, "/scopes/1"),
        ({"scopes": ["*"]}, "/scopes/0"),
        ({"scopes": ["events:read"], "tenant": "other"}, "/tenant"),
        ({"scopes": ["nothing:at-all"]}, "/scopes/0"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["events:read"], "limits": [{"calls": 0, "seconds": 1}]}, "/limits/0/calls"),
        ({"scopes": ["events:read"], "limits": [{"calls": 1, "seconds": 0}]}, "/limits/0/seconds"),
        ({"scopes": ["events:read"], "limits": [{"calls": 1, "seconds": 1, "x": 1}]}, "/limits/0/x"),
        ({"scopes": ["events:read"], "expires": "2001-01-01T00:00:00Z"}, "/expires"),
        ({"scopes": ["events:read"], "expires": "soon"}, "/expires"),
        ({"scopes": ["events:read"], "expires": "9999-12-31T23:59:59-01:00"}, "/expires"),
    ):
        reply = maker.call("POST", "/v1/keys", body)
        assert reply.status == 422 and reply.json["errors"][0]["pointer"] == pointer, reply.body


def test_other_tenants_keys_are_not_found(api: Api) -> None:
    scopes = ["keys:read", "keys:write"]
    one = api.with_key(api.post("/v1/keys", {"scopes": scopes, "tenant": "one"})["key"])
    other = api.post("/v1/keys", {"scopes": scopes, "tenant": "two"})["id"]
    assert one.call("GET", f"/v1/keys/{other}").status == 404
    assert one.call("DELETE", f"/v1/keys/{other}").status == 404
    assert {key["tenant"] for key in one.get("/v1/keys")["data"]} == {"one"}
    assert one.call("GET", "/v1/keys", tenant="two").status == 404


NOTES = {"fields": {"title": {"type": "string", "filterable": True}, "owner": {"type": "string"}}}
MINE = {"collection": "notes", "verbs": ["list", "edit"], "read": ["title"], "rows": {"owner": "$key"}}


def revoked(by: Api, made: dict[str, Any]) -> str | None:
    """How the key refuses to revoke the other; None: it does not."""
    reply = by.call("DELETE", f"/v1/keys/{made['id']}")
    if reply.status != 204:
        assert (reply.status, reply.json["code"]) == (403, "key_beyond")
        assert by.with_key(made["key"]).call("GET", "/v1/caller").status != 401
    return None if reply.status == 204 else str(reply.json["detail"])


@pytest.mark.slow
def test_a_key_revokes_only_keys_that_it_could_make_and_itself(api: Api) -> None:
    def key(*scopes: str, **options: Any) -> dict[str, Any]:
        made: dict[str, Any] = api.post("/v1/keys", {"scopes": scopes, **options})
        return made

    api.put("/v1/collections/notes", NOTES)
    maker = key("keys:write", "keys:read", "events:read", permits=[MINE])
    by = api.with_key(maker["key"])
    for other, said in (
        (key("*"), "the scope *"),
        (key("events:read", "events:write", "items:read"), "the scopes events:write, items:read"),
        (key("items:read"), "the scope items:read"),
        (key(permits=[MINE | {"verbs": ["list", "delete"]}]), "more verbs in the collection notes"),
        (key(permits=[MINE | {"read": ["title", "owner"]}]), "more readable fields in"),
        (key(permits=[MINE | {"write": ["owner"]}]), None),
        (key(permits=[MINE | {"rows": None}]), "more rows in"),
        (key(permits=[MINE]), "more rows in"),
    ):
        assert said is None or said in str(revoked(by, other))
    child = by.post("/v1/keys", {"permits": [{"collection": "notes", "verbs": ["list"], "rows": {"title": "a"}}]})
    assert revoked(by, child) is None
    assert revoked(by, by.post("/v1/keys", {"scopes": ["keys:write"]})) is None
    assert revoked(by, maker) is None
    assert revoked(api, key("*", tenant="acme")) is None


@pytest.mark.slow
def test_a_tenant_s_key_revokes_no_key_that_reaches_beyond_the_tenant(api: Api) -> None:
    api.put("/v1/collections/notes", NOTES)
    made = api.post("/v1/keys", {"scopes": ["keys:write", "items:read", "items:write"], "tenant": "acme"})
    by, permit = api.with_key(made["key"]), {"collection": "notes", "verbs": ["list"]}
    for rows, expected in (({}, False), (None, True), ({"title": "a"}, False), ({"tenant": "$tenant"}, True)):
        other = api.post("/v1/keys", {"permits": [permit | {"rows": rows}], "tenant": "acme"})
        assert (revoked(by, other) is None) is expected, rows


LISTS = [
    each
    for each in TABLE
    if each.method == "GET" and "tenant" in each.known and "{" not in each.path and not each.stream
]


@pytest.mark.parametrize("operation", LISTS, ids=lambda each: each.name)
def test_a_list_of_another_tenant_is_not_found(api: Api, operation: Operation) -> None:
    key = api.with_key(api.post("/v1/keys", {"scopes": ["*"], "tenant": "acme"})["key"])
    assert key.call("GET", operation.path, tenant="acme").status == 200
    reply = key.call("GET", operation.path, tenant="zzz")
    assert (reply.status, reply.json["detail"]) == (404, "There is no tenant zzz.")


def test_the_operator_cannot_be_locked_out(api: Api) -> None:
    assert api.call("DELETE", "/v1/keys/key_operator").status == 409


# --- with a clock that is moved by hand -------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_790_000_000 * SECOND)


@pytest.fixture
def still(tmp_path: Path, clock: FakeClock) -> object:
    with TestServer(tmp_path / "still", clock=clock) as server:
        yield server


@pytest.mark.slow
def test_a_call_limit_holds_per_window_and_over_a_restart(still: TestServer, clock: FakeClock) -> None:
    limits = [{"calls": 2, "seconds": 1}, {"calls": 3, "seconds": 86_400}]
    key = still.api.post("/v1/keys", {"scopes": ["events:read"], "limits": limits})["key"]
    first = still.api.with_key(key).call("GET", "/v1/events")
    assert first.status == 200
    assert first.headers["ratelimit-policy"] == '"second";q=2;w=1, "day";q=3;w=86400'
    assert '"second";r=1;t=' in first.headers["ratelimit"]
    wrong = still.api.with_key(key).call("GET", "/v1/events?colour=red")
    assert wrong.status == 422 and '"second";r=0;t=' in wrong.headers["ratelimit"], "it was counted, and says so"
    refused = still.api.with_key(key).call("GET", "/v1/events")
    assert refused.status == 429 and int(refused.headers["retry-after"]) == 1
    assert refused.json["code"] == "limit_reached"
    clock.advance(1)
    assert still.api.with_key(key).call("GET", "/v1/events").status == 200
    clock.advance(1)
    refused = still.api.with_key(key).call("GET", "/v1/events")
    assert refused.status == 429 and int(refused.headers["retry-after"]) > 1
    still.restart()
    assert still.api.with_key(key).call("GET", "/v1/events").status == 429
    clock.advance(86_400)
    assert still.api.with_key(key).call("GET", "/v1/events").status == 200


@pytest.mark.slow
def test_a_refusal_tells_what_is_left_too(still: TestServer) -> None:
    limits = [{"calls": 5, "seconds": 60}]
    caller = still.api.with_key(still.api.post("/v1/keys", {"scopes": ["events:read"], "limits": limits})["key"])
    for path, status in (("/v1/events/evt_none", 404), ("/v1/events?colour=red", 422)):
        reply = caller.call("GET", path)
        assert reply.status == status and reply.headers["ratelimit-policy"] == '"minute";q=5;w=60'
    assert '"minute";r=3;' in reply.headers["ratelimit"]
    # A scope that is missing is found before the call is counted.
    assert "ratelimit" not in caller.call("GET", "/v1/keys").headers


@pytest.mark.slow
def test_counts_are_kept_while_running_too(still: TestServer) -> None:
    key = still.api.post("/v1/keys", {"scopes": ["events:read"], "limits": [{"calls": 9, "seconds": 3_600}]})
    still.api.with_key(key["key"]).call("GET", "/v1/events")
    assert still.server is not None
    readers = still.server.parts.readers
    rows = until(lambda: readers.run(lambda db: db.all("call_counts")), "the count is written")
    assert [(row[0], row[1], row[3]) for row in rows] == [(key["id"], 3_600, 1)]


@pytest.mark.slow
def test_a_key_expires(still: TestServer, clock: FakeClock) -> None:
    from tidings.model import moment

    expires = moment.to_text(clock.now() + 10 * SECOND)
    key = still.api.post("/v1/keys", {"scopes": ["events:read", "keys:write"], "expires": expires})["key"]
    caller = still.api.with_key(key)
    assert caller.call("GET", "/v1/events").status == 200
    later = moment.to_text(clock.now() + 11 * SECOND)
    assert caller.call("POST", "/v1/keys", {"scopes": ["events:read"], "expires": later}).status == 422
    assert caller.post("/v1/keys", {"scopes": ["events:read"]})["expires"] == expires
    clock.advance(10)
    reply = caller.call("GET", "/v1/events")
    assert reply.status == 401 and reply.json["code"] == "key_expired"


@pytest.mark.slow
def test_guessing_is_slowed_and_other_callers_are_not(still: TestServer, clock: FakeClock) -> None:
    def guess(number: int, **headers: str) -> int:
        return still.api.with_key(f"tdk_{number}").call("GET", "/v1/events", headers=headers).status

    assert [guess(number) for number in range(20)] == [401] * 20
    assert guess(21) == 429
    # What a header says about the address counts for nothing.
    assert guess(22, **{"X-Forwarded-For": "192.0.2.1"}) == 429
    assert still.api.call("GET", "/v1/events").status == 200
    clock.advance(10)
    assert guess(23) == 401


@pytest.mark.slow
def test_an_address_that_calls_too_often_is_refused_before_its_key_is_checked(tmp_path: Path) -> None:
    clock = FakeClock()
    with TestServer(tmp_path / "address", clock=clock, max_calls_per_address=5) as server:
        nobody = server.api.with_key("tdk_wrong")
        assert [nobody.call("GET", "/v1/events").status for _ in range(4)] == [401] * 4
        assert server.api.call("GET", "/v1/events").status == 200
        refused = server.api.call("GET", "/v1/events")
        assert refused.status == 429 and refused.json["code"] == "address_limit_reached"
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        clock.advance(int(refused.headers["retry-after"]))
        assert server.api.call("GET", "/v1/events").status == 200


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::"),
        # Whoever has a /64 has many addresses, and writes them with and without their zeros.
        ("[2001:db8::1:2:3:4]:1", "2001:db8::"),
        ("2001:db8:0:0:9::1:5", "2001:db8::"),
        ("[2001:db8:0:1::7]:1", "2001:db8:0:1::"),
        ("[::1]:80", "::"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("somewhere", ""),
    ],
)
def test_addresses_are_counted_by_their_network(client: str, counted: str) -> None:
    assert address_of(client) == counted


@pytest.mark.slow
def test_a_limited_key_cannot_make_keys_that_call_more_often(still: TestServer, clock: FakeClock) -> None:
    scopes = ["events:read", "keys:write"]
    limits = [{"calls": 5, "seconds": 60}]
    maker = still.api.with_key(
        still.api.post("/v1/keys", {"scopes": scopes, "tenant": "acme", "limits": limits})["key"]
    )
    more = [{"calls": 5000, "seconds": 60}, {"calls": 9, "seconds": 1}]
    child = still.api.with_key(maker.post("/v1/keys", {"scopes": scopes, "limits": more})["key"])
    grandchild = still.api.with_key(child.post("/v1/keys", {"scopes": ["events:read"]})["key"])
    answered = child.call("GET", "/v1/events")
    assert answered.headers["ratelimit-policy"] == '"minute";q=5;w=60, "second";q=9;w=1'
    assert '"minute";r=2;' in answered.headers["ratelimit"], "three of the maker's five calls are used up"
    assert [grandchild.call("GET", "/v1/events").status for _ in range(4)] == [200, 200, 429, 429]
    assert maker.call("GET", "/v1/events").status == child.call("GET", "/v1/events").status == 429
    still.restart()
    assert grandchild.call("GET", "/v1/events").status == 429, "what a key shares is kept"
    clock.advance(60)
    assert grandchild.call("GET", "/v1/events").status == 200


@pytest.mark.slow
def test_metrics_are_the_whole_server_s(still: TestServer) -> None:
    key = still.api.post("/v1/keys", {"scopes": ["metrics:read"], "tenant": "acme"})["key"]
    for path in ("/metrics", "/v1/shares", "/v1/health"):
        refused = still.api.with_key(key).call("GET", path)
        assert refused.status == 403 and "a tenant's key cannot see them" in refused.json["detail"]


def test_keys_made_by_a_revoked_key_live_on(api: Api) -> None:
    """As decided: revoking is often rotation, and its customers must not be cut off."""
    maker = api.post("/v1/keys", {"name": "maker", "scopes": ["keys:write", "events:read"]})
    child = api.with_key(maker["key"]).post("/v1/keys", {"name": "child", "scopes": ["events:read"]})
    api.call("DELETE", f"/v1/keys/{maker['id']}")
    assert api.with_key(maker["key"]).call("GET", "/v1/events").status == 401
    assert api.with_key(child["key"]).call("GET", "/v1/events").status == 200
    assert child["id"] in [key["id"] for key in api.get("/v1/keys", limit=1000)["data"]]
