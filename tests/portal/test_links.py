"""Portal links: made by those who may, opened once, and ended."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tidings.control.upkeep.retention import Retention
from tidings.model.moment import DAY
from tidings.model.portal.link import CHANGING, READING
from tidings.testing import Api, FakeClock, TestServer

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def data_url(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def made(api: Api, tenant: str = "acme", **options: Any) -> tuple[str, str]:
    """A new link: its id and its token."""
    link = api.post(f"/v1/tenants/{tenant}/portal-links", options)
    head, _, token = link["url"].partition("#")
    assert head == f"https://hooks.example.com/portal/{link['id']}" and len(token) == 43
    return link["id"], token


def test_a_link_is_made_listed_read_and_ended(api: Api, clock: FakeClock) -> None:
    ident, token = made(api, "lists", may="read", frame_origins=["HTTPS://App.Example.com:443"], expires_in=120)
    clock.advance(1)
    other, _ = made(api, "lists")
    shown = api.get(f"/v1/portal-links/{ident}")
    assert (shown["tenant"], shown["may"], shown["state"]) == ("lists", "read", "ready")
    assert shown["frame_origins"] == ["https://app.example.com"]
    listed = api.call("GET", "/v1/tenants/lists/portal-links", count="true")
    assert [each["id"] for each in listed.json["data"]] == [other, ident] and listed.json["count"] == 2
    assert [each["id"] for each in api.pages("/v1/tenants/lists/portal-links", limit=1, sort="created")] == [
        ident,
        other,
    ]
    assert token.encode() not in listed.body
    assert api.call("DELETE", f"/v1/portal-links/{ident}").status == 204
    assert api.get(f"/v1/portal-links/{ident}")["state"] == "revoked"
    assert api.post("/v1/tenants/lists/portal-links:revoke-all") == {"revoked": 1}
    assert api.post("/v1/tenants/lists/portal-links:revoke-all") == {"revoked": 0}
    assert api.call("DELETE", "/v1/portal-links/ptl_none").status == 404


def test_an_empty_body_makes_a_link_for_an_hour(api: Api, clock: FakeClock) -> None:
    link = api.post("/v1/tenants/acme/portal-links")
    assert link["may"] == "change" and link["notes"] == [] and link["return_url"] == ""
    assert link["created"][:13] != link["expires"][:13]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"expires_in": 0}, "/expires_in"),
        ({"expires_in": 604_801}, "/expires_in"),
        ({"expires_in": None}, "/expires_in"),
        ({"may": "everything"}, "/may"),
        ({"frame_origins": ["*"]}, "/frame_origins/0"),
        ({"frame_origins": ["https://*.example.com"]}, "/frame_origins/0"),
        ({"frame_origins": ["https://a.example; script-src *"]}, "/frame_origins/0"),
        ({"frame_origins": ["null"]}, "/frame_origins/0"),
        ({"frame_origins": ["capacitor://app"]}, "/frame_origins/0"),
        ({"return_url": "javascript:alert(1)"}, "/return_url"),
        ({"return_url": "https://a.example/\n"}, "/return_url"),
        ({"theme": {"accent": "red;}*{display:none"}}, "/theme/accent"),
        ({"theme": {"css": "body{}"}}, "/theme/css"),
        ({"theme": {"font": "Papyrus"}}, "/theme/font"),
        ({"theme": {"radius": 99}}, "/theme/radius"),
        ({"theme": {"product": "x" * 101}}, "/theme/product"),
        ({"theme": {"empty": {"endpoints": "a\x00b"}}}, "/theme/empty/endpoints"),
        ({"theme": {"logo": "https://elsewhere.example/logo.png"}}, "/theme/logo"),
        ({"theme": {"logo": data_url("text/html", b"<script>")}}, "/theme/logo"),
        ({"theme": {"logo": data_url("image/png", b"<html>")}}, "/theme/logo"),
        ({"theme": {"logo": data_url("image/png", PNG + b"0" * 65_536)}}, "/theme/logo"),
    ],
)
def test_what_is_wrong_with_a_link_is_named(api: Api, body: dict[str, Any], pointer: str) -> None:
    reply = api.call("POST", "/v1/tenants/acme/portal-links", body)
    assert reply.status in (400, 422) and reply.json["errors"][0]["pointer"] == pointer, reply.body


@pytest.mark.slow
def test_a_key_makes_links_only_for_what_it_may_do_itself(api: Api) -> None:
    def key(*scopes: str, tenant: str | None = None) -> Api:
        return api.with_key(api.post("/v1/keys", {"scopes": ["keys:write", *scopes], "tenant": tenant})["key"])

    path = "/v1/tenants/acme/portal-links"
    assert api.with_key(api.post("/v1/keys", {"scopes": list(CHANGING)})["key"]).call("POST", path).status == 403
    refused = key(*READING).call("POST", path, {"may": "change"})
    assert refused.status == 403 and "endpoints:write" in refused.json["detail"]
    assert key(*READING).call("POST", path, {"may": "read"}).status == 201
    assert key(*CHANGING, tenant="acme").call("POST", path).status == 201
    assert key(*CHANGING, tenant="other").call("POST", path).status == 404


def test_a_key_ends_only_links_that_it_could_make(api: Api) -> None:
    reader = api.with_key(api.post("/v1/keys", {"scopes": ["keys:write", *READING]})["key"])
    api.post("/v1/tenants", {"id": "ending"})
    changing, reading = made(api, "ending")[0], made(api, "ending", may="read")[0]
    for method, path in (
        ("DELETE", f"/v1/portal-links/{changing}"),
        ("POST", "/v1/tenants/ending/portal-links:revoke-all"),
        ("POST", "/svix/api/v1/auth/app/ending/expire-all"),
    ):
        refused = reader.call(method, path, {} if "svix" in path else None)
        assert refused.status == 403 and "endpoints:write" in refused.json["detail"], (path, refused.body)
    assert api.get(f"/v1/portal-links/{changing}")["state"] == "ready"
    assert reader.call("DELETE", f"/v1/portal-links/{reading}").status == 204


def test_other_tenants_links_are_not_found(api: Api) -> None:
    ident, _ = made(api, "mine")
    other = api.with_key(api.post("/v1/keys", {"scopes": ["keys:read", "keys:write"], "tenant": "other"})["key"])
    for method, path in (
        ("GET", f"/v1/portal-links/{ident}"),
        ("DELETE", f"/v1/portal-links/{ident}"),
        ("GET", "/v1/tenants/mine/portal-links"),
        ("POST", "/v1/tenants/mine/portal-links:revoke-all"),
    ):
        assert other.call(method, path).status == 404, path
    assert api.get(f"/v1/portal-links/{ident}")["state"] == "ready"


def test_a_link_is_kept_for_a_repeat_but_its_token_is_not_stored(server: TestServer, api: Api) -> None:
    headers = {"Idempotency-Key": "make-a-link"}
    first, again = (api.call("POST", "/v1/tenants/acme/portal-links", {}, headers) for _ in range(2))
    assert first.body == again.body
    token = first.json["url"].partition("#")[2].encode()
    assert all(token not in file.read_bytes() for file in server.folder.rglob("*") if file.is_file())


def test_an_accent_that_is_hard_to_read_is_adjusted_and_that_is_said(api: Api) -> None:
    link = api.post("/v1/tenants/acme/portal-links", {"theme": {"accent": "#FC0", "mode": "light"}})
    assert link["theme"]["accent"] == "#ffcc00"
    assert len(link["notes"]) == 1 and "4.5:1" in link["notes"][0] and "light" in link["notes"][0]
    assert api.post("/v1/tenants/acme/portal-links", {"theme": {"accent": "#1f5fbf", "mode": "light"}})["notes"] == []


def test_a_tenant_that_is_deleted_takes_its_links_along(api: Api) -> None:
    api.post("/v1/tenants", {"id": "going"})
    ident, _ = made(api, "going")
    assert api.call("DELETE", "/v1/tenants/going").status == 204
    assert api.get(f"/v1/portal-links/{ident}")["state"] == "revoked"


@pytest.mark.slow
def test_ended_links_are_dropped_after_a_week(server: TestServer, api: Api, clock: FakeClock) -> None:
    ident, _ = made(api, "old", theme={"logo": data_url("image/png", PNG)})
    assert server.server is not None
    parts = server.server.parts
    retention = Retention(parts.writer, clock, 0, catalog=parts.catalog)

    def prune(days: int) -> None:
        asyncio.run(retention.prune(clock.now() + days * DAY))

    prune(6)
    assert api.call("GET", f"/v1/portal-links/{ident}").status == 200
    prune(8)
    assert api.call("GET", f"/v1/portal-links/{ident}").status == 404
    assert parts.readers.run(lambda db: db.all("portal_logo_of", id=ident)) == []
