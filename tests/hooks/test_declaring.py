"""`/v1/hooks`: hooks are declared, read, changed and deleted; what cannot work is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hooks.world import PUBLIC, SECRET, HookWorld
from tidings.testing import ApiError


def refused(world: HookWorld, body: dict[str, Any]) -> tuple[str, str]:
    """The place and the code of a refusal."""
    answer = world.api.call("POST", "/v1/hooks", body)
    assert answer.status == 422, answer.body
    (place,) = answer.json["errors"]
    return place["pointer"], place["code"]


def test_a_hook_is_shown_without_its_secrets(world: HookWorld) -> None:
    hook = world.hook("stripe", ["whsec_one", "whsec_two"], description="Payments")
    view = world.api.get(f"/v1/hooks/{hook.id}")
    assert view == hook.view
    assert (view["url"], view["secret_count"]) == (f"{PUBLIC}/in/{hook.path}", 2)
    assert (view["type"], view["repeats"], view["methods"]) == (f"{hook.path}.{{type}}", "delivery", ["POST"])
    assert "whsec" not in world.api.call("GET", "/v1/hooks").body.decode()


def test_secrets_are_sealed_at_rest(world: HookWorld) -> None:
    hook = world.hook("github", ["plainly-to-be-found-if-not-sealed"])
    hook.send(hook.signed())
    rows = world.rows("SELECT options, sealed FROM hook")
    assert rows and not any(b"plainly-to-be-found" in bytes(str(row[0]), "utf8") + bytes(row[1]) for row in rows)


def test_a_credential_that_a_sender_shows_is_sealed_and_never_shown(world: HookWorld) -> None:
    hook = world.hook("telegram", ["plainly-shown-token"])
    assert hook.send(hook.signed(b'{"update_id":1}', {"X-Other": "has plainly-shown-token in it"})).status == 200
    assert hook.send(hook.signed(b'{"update_id":2}', secret="mistyped-token")).status == 401
    hook.refusals()
    for row in hook.receipts():
        whole = world.api.call("GET", f"/v1/receipts/{row['id']}").body.decode()
        assert "plainly-shown-token" not in whole and "mistyped-token" not in whole and "(hidden)" in whole
    sql = "SELECT headers, target, detail FROM receipt WHERE hook = :hook"
    rows = world.rows(sql, hook=hook.id)
    assert len(rows) == 2
    assert not any("plainly-shown" in str(row) or "mistyped" in str(row) for row in rows)


@pytest.mark.parametrize("scheme", ["github", "telegram"])
def test_credentials_of_the_host_are_neither_kept_nor_shown(world: HookWorld, scheme: str) -> None:
    hook = world.hook(scheme, ["plainly-shown-token"])
    names = ("Cookie", "Authorization", "X-Auth-Token", "X-Api-Key", "Proxy-Authorization")
    headers = dict.fromkeys(names, "stray-credential")
    assert hook.send(hook.signed(b'{"update_id":1}', headers)).status == 200
    (row,) = hook.receipts()
    whole = world.api.call("GET", f"/v1/receipts/{row['id']}").body.decode()
    assert "stray-credential" not in whole and whole.count("(hidden)") == 5 + (scheme == "telegram")
    (stored,) = world.rows("SELECT headers FROM receipt WHERE hook = :hook", hook=hook.id)
    assert "stray-credential" not in str(stored)


def test_a_token_in_authorization_is_sealed_for_checking_again(world: HookWorld) -> None:
    check = {"kind": "jwt", "from": "header:Authorization", "prefix": "Bearer ", "algorithms": ["HS256"]}
    hook = world.hook({"check": check}, ["the-wrong-secret-at-first-0123456789"])
    request = hook.signed(secret="the-right-secret-0123456789-0123456")
    assert hook.send(request).status == 401
    refused = hook.refused()
    shown = {each["name"]: each["value"] for each in refused["headers"]}
    assert shown["authorization"] == "(hidden)"
    hook.edit(secrets=["the-right-secret-0123456789-0123456"])
    assert world.api.post(f"/v1/refusals/{refused['id']}:retry")["state"] == "accepted"


def test_a_hook_is_changed_at_the_revision_that_was_read(world: HookWorld) -> None:
    hook = world.hook("github")
    edited = world.api.patch(f"/v1/hooks/{hook.id}", {"description": "Code", "tolerance_seconds": 60})
    assert (edited["revision"], edited["description"], edited["secret_count"]) == (2, "Code", 1)
    answer = world.api.call("PATCH", f"/v1/hooks/{hook.id}", {"description": "x"}, {"If-Match": '"1"'})
    assert answer.status == 412
    back = world.api.call("PATCH", f"/v1/hooks/{hook.id}", edited)
    assert back.status == 200, back.body
    edited = world.api.patch(f"/v1/hooks/{hook.id}", {"description": None, "type": None})
    assert (edited["description"], edited["type"]) == ("", f"{hook.path}.{{type}}")
    answer = world.api.call("GET", f"/v1/hooks/{hook.id}", None, {"If-None-Match": f'"{edited["revision"]}"'})
    assert answer.status == 304


def test_a_deleted_hook_leaves_its_receipts(world: HookWorld) -> None:
    hook = world.hook("github")
    hook.send(hook.signed())
    world.api.delete(f"/v1/hooks/{hook.id}")
    assert hook.send(hook.signed()).status == 404
    assert world.api.call("GET", f"/v1/hooks/{hook.id}").status == 404
    assert len(hook.events()) == 1
    rows = [row for row in world.api.pages("/v1/receipts", limit=1000) if row["hook_id"] == hook.id]
    assert len(rows) == 1
    assert world.api.call("GET", f"/v1/receipts/{rows[0]['id']}").status == 200


def test_the_same_request_again_with_its_key_is_the_same_hook(world: HookWorld) -> None:
    body = {"path": "only-once", "scheme": "github", "secrets": [SECRET]}
    first, second = (world.api.call("POST", "/v1/hooks", body, {"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status, second.status, first.json) == (201, 201, second.json)
    assert first.headers["location"] == f"{PUBLIC}/v1/hooks/{first.json['id']}"


def test_a_path_belongs_to_one_hook(world: HookWorld) -> None:
    hook, other = world.hook("github"), world.hook("github")
    answer = world.api.call("POST", "/v1/hooks", {"path": hook.path, "scheme": "github", "secrets": ["x"]})
    assert (answer.status, answer.json["code"]) == (409, "path_taken")
    assert world.api.call("PATCH", f"/v1/hooks/{other.id}", {"path": hook.path}).status == 409


@pytest.mark.parametrize(
    "path", ["", "/x", "x/", "a//b", "a b", "\u00e4", "a%20b", "../x", ".x", "x/.", "x?y", "x#y", "x" * 201]
)
def test_paths_have_only_what_is_never_encoded(world: HookWorld, path: str) -> None:
    assert refused(world, {"path": path, "scheme": "github", "secrets": ["x"]}) == ("/path", "path")


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"scheme": "githup"}, ("/scheme", "unknown_scheme")),
        ({"scheme": {"check": {"kind": "token"}}}, ("/scheme/check/from", "missing")),
        ({"scheme": {"check": {"kind": "token", "from": "nowhere"}}}, ("/scheme/check/from", "source")),
        ({"secrets": [""]}, ("/secrets/0", "secret")),
        ({"secrets": ["x", "y" * 20_000]}, ("/secrets/1", "too_long")),
        ({"secrets": ["x"] * 33}, ("/secrets", "too_many")),
        ({"scheme": "standard-webhooks", "secrets": ["not base64!"]}, ("/secrets/0", "secret")),
        ({"settings": {"x": "y"}}, ("/settings/x", "unknown_field")),
        ({"scheme": "paypal", "secrets": []}, ("/settings/webhook_id", "missing")),
        ({"type": "no type"}, ("/type", "event_type")),
        ({"type": "endpoint.x"}, ("/type", "event_type")),
        ({"type": "{type}.{type}"}, ("/type", "event_type")),
        ({"subject": "nowhere"}, ("/subject", "source")),
        ({"methods": []}, ("/methods", "missing")),
        ({"methods": ["TRACE"]}, ("/methods/0", "wrong_value")),
        ({"tolerance_seconds": 0}, ("/tolerance_seconds", "wrong_value")),
        ({"max_bytes": 0}, ("/max_bytes", "wrong_value")),
        ({"max_bytes": 65_537}, ("/max_bytes", "wrong_value")),
        ({"repeats": "no"}, ("/repeats", "wrong_value")),
        ({"accepted": {"status": 99}}, ("/accepted/status", "wrong_value")),
        ({"accepted": {"text": "{nowhere}"}}, ("/accepted/text", "source")),
        ({"refused": {"statuz": 401}}, ("/refused/statuz", "unknown_field")),
        ({"tenant": "not a tenant"}, ("/tenant", "tenant")),
        ({"unknown": 1}, ("/unknown", "unknown_field")),
    ],
    ids=lambda given: str(given)[:60],
)
def test_invalid_hooks_are_refused_with_their_location(
    world: HookWorld, given: dict[str, Any], place: tuple[str, str]
) -> None:
    assert refused(world, {"path": "never", "scheme": "github", "secrets": ["x"], **given}) == place


def tenants_key(world: HookWorld, tenant: str, scopes: tuple[str, ...] = ("hooks:read", "hooks:write")) -> str:
    key: str = world.api.post("/v1/keys", {"name": tenant, "scopes": list(scopes), "tenant": tenant})["key"]
    return key


@pytest.mark.slow
def test_a_tenant_sees_and_changes_only_its_own(world: HookWorld) -> None:
    ours, theirs = (world.api.with_key(tenants_key(world, name)) for name in ("ours", "theirs"))
    hook = world.hook("github", key=ours.key, path="ours/github")
    assert hook.view["tenant"] == "ours"
    hook.send(hook.signed())
    hook.send(hook.signed(secret="wrong"))
    (refusal,) = hook.refusals()
    assert [view["id"] for view in ours.get("/v1/hooks")["data"]] == [hook.id]
    assert len(ours.get("/v1/receipts")["data"]) == 2 and len(ours.get("/v1/refusals")["data"]) == 1
    for path in ("/v1/hooks", "/v1/receipts", "/v1/refusals"):
        assert theirs.get(path)["data"] == []
    for method, path in (
        ("GET", f"/v1/hooks/{hook.id}"),
        ("PATCH", f"/v1/hooks/{hook.id}"),
        ("DELETE", f"/v1/hooks/{hook.id}"),
        ("GET", f"/v1/receipts/{refusal['id']}"),
        ("GET", f"/v1/receipts/{refusal['id']}/body"),
        ("POST", f"/v1/refusals/{refusal['id']}:retry"),
    ):
        assert theirs.call(method, path, {} if method == "PATCH" else None).status == 404, (method, path)
    assert theirs.call("GET", f"/v1/receipts?hook={hook.id}").status == 422


def test_a_tenants_paths_begin_with_its_id(world: HookWorld) -> None:
    ours = world.api.with_key(tenants_key(world, "walled"))
    for path in ("github", "other/github", "walled"):
        answer = ours.call("POST", "/v1/hooks", {"path": path, "scheme": "github", "secrets": ["x"]})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/path")


def test_a_tenant_declares_no_scheme_that_fetches(world: HookWorld) -> None:
    ours = world.api.with_key(tenants_key(world, "fetching"))
    check = {"kind": "certificate", "style": "sns", "hosts": ["internal\\.example"]}
    whose = {"topic_arn": {"help": "The topic.", "required": True}}
    answer = ours.call("POST", "/v1/hooks", {"path": "fetching/x", "scheme": {"check": check, "settings": whose}})
    assert (answer.status, answer.json["errors"][0]["code"]) == (422, "not_permitted")
    named = {"path": "fetching/x", "scheme": "aws-sns", "settings": {"topic_arn": "arn:aws:sns:a:1:b"}}
    assert ours.call("POST", "/v1/hooks", named).status == 201


def test_scopes_are_required(world: HookWorld) -> None:
    reader = world.api.with_key(tenants_key(world, "reading", ("hooks:read",)))
    assert reader.call("GET", "/v1/hooks").status == 200
    assert reader.call("POST", "/v1/hooks", {"path": "reading/x", "scheme": "github"}).status == 403
    other = world.api.with_key(tenants_key(world, "reading", ("events:read",)))
    for path in ("/v1/hooks", "/v1/receipts", "/v1/refusals", "/v1/schemes"):
        assert other.call("GET", path).status == 403


def test_a_tenant_with_hooks_is_not_deleted(world: HookWorld) -> None:
    world.api.post("/v1/tenants", {"id": "busy"})
    hook = world.hook("github", tenant="busy", path="busy/github")
    with pytest.raises(ApiError, match="1 hook\\. Delete"):
        world.api.delete("/v1/tenants/busy")
    world.api.delete(f"/v1/hooks/{hook.id}")
    world.api.delete("/v1/tenants/busy")


@pytest.mark.slow
def test_lists_go_page_by_page(world: HookWorld) -> None:
    hook = world.hook("github", repeats="accept")
    for _ in range(5):
        hook.send(hook.signed())
    ids = [row["id"] for row in hook.receipts()]
    assert ids == sorted(ids, reverse=True) and len(ids) == 5
    assert [row["id"] for row in world.api.pages("/v1/receipts", hook=hook.id, limit=2)] == ids
    assert [row["id"] for row in world.api.pages("/v1/receipts", hook=hook.id, limit=2, sort="received")] == ids[::-1]
    paths = [view["path"] for view in world.api.pages("/v1/hooks", limit=2)]
    assert paths == sorted(paths) and hook.path in paths


def test_every_scheme_is_listed_with_what_it_checks(world: HookWorld) -> None:
    schemes = world.api.pages("/v1/schemes", limit=1000)
    assert len(schemes) >= 100
    assert all(each["name"] and each["checks"] and each["title"] for each in schemes)
    assert {"github", "stripe", "standard-webhooks"} <= {each["name"] for each in schemes}
