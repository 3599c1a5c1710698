"""Large answers come as gzip to those who take it, and to nobody else."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.web.wire import Said, get, send
from tidings.testing import Api, TestServer
from tidings.web.wire.packing import takes_gzip

GZIP = b"Accept-Encoding: gzip, deflate, br\r\n"


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("GZIP;q=0.1", True),
        ("x-gzip", True),
        ("br, gzip ; q=1.0", True),
        ("*", True),
        ("br, *;q=0.5", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("identity;q=1, *;q=0", False),
        ("gzipped", False),
        ("gzip" + ", br" * 1_000, False),
    ],
)
def test_what_an_accept_encoding_takes(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


@pytest.fixture(scope="module")
def filled(server: TestServer) -> TestServer:
    """A server with a list, an export and an item of more than eight kibibytes."""
    api = server.api
    api.post(
        "/v1/collections",
        {"name": "packed", "fields": {"text": {"type": "string", "max": 20_000}, "n": {"type": "integer"}}},
    )
    for number in range(3):
        api.post("/v1/items/packed:batch", {"operations": [_create(number, each) for each in range(400)]})
    return server


def _create(number: int, each: int) -> dict[str, object]:
    return {"op": "create", "data": {"n": each, "text": f"{number} and {each} " * 5}}


def ask(server: TestServer, path: str, more: bytes = GZIP) -> Said:
    return send(server.url, get(path, more))


@pytest.mark.parametrize("limit", [100, 1000])
def test_a_large_list_is_packed(filled: TestServer, limit: int) -> None:
    packed = ask(filled, f"/v1/items/packed?limit={limit}")
    plain = ask(filled, f"/v1/items/packed?limit={limit}", b"")
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 3
    refused = ask(filled, f"/v1/items/packed?limit={limit}", b"Accept-Encoding: gzip;q=0, *\r\n")
    assert refused.body == plain.body


def test_small_responses_are_sent_uncompressed(filled: TestServer) -> None:
    small = ask(filled, "/v1/items/packed?limit=2")
    assert "content-encoding" not in small.headers and "vary" not in small.headers


def test_responses_with_a_strong_tag_are_sent_uncompressed(filled: TestServer) -> None:
    item = filled.api.post("/v1/items/packed", {"text": "x" * 15_000, "n": 1})
    found = ask(filled, f"/v1/items/packed/{item['id']}")
    assert found.headers["etag"] == '"1"' and "content-encoding" not in found.headers and found.json["id"] == item["id"]
    filled.api.delete(f"/v1/items/packed/{item['id']}")


@pytest.mark.slow
def test_the_document_and_the_files_of_the_page_are_packed(server: TestServer) -> None:
    document = ask(server, "/v1/openapi.json")
    assert json.loads(gzip.decompress(document.body))["openapi"] == "3.1.0"
    script = ask(server, "/docs/page.css")
    assert script.headers["content-encoding"] == "gzip" and script.headers["etag"].startswith("W/")
    again = ask(server, "/docs/page.css", GZIP + f"If-None-Match: {script.headers['etag']}\r\n".encode())
    assert again.status == 304


def test_head_says_what_get_would(filled: TestServer) -> None:
    head = send(filled.url, get("/v1/items/packed?limit=100", GZIP).replace(b"GET", b"HEAD"))
    assert head.headers["content-encoding"] == "gzip" and head.body == b""


@pytest.mark.slow
def test_an_export_is_packed_while_it_is_made(filled: TestServer) -> None:
    reply = filled.api.call("GET", "/v1/items/packed:export", format="csv", headers={"Accept-Encoding": "gzip"})
    plain = filled.api.call("GET", "/v1/items/packed:export", format="csv")
    assert reply.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert gzip.decompress(reply.body) == plain.body and plain.body.count(b"\n") > 1_200


def test_a_stream_of_events_is_never_packed(server: TestServer) -> None:
    head = send(server.url, get("/v1/events/stream", GZIP).replace(b"GET", b"HEAD"))
    assert "content-encoding" not in head.headers


def test_secrets_are_not_packed(api: Api) -> None:
    made = api.call(
        "POST",
        "/v1/keys",
        {"scopes": ["events:read"], "cors_origins": [f"https://{'a' * 250}{n}.example" for n in range(32)]},
        headers={"Accept-Encoding": "gzip"},
    )
    assert len(made.body) > 8_192 and "content-encoding" not in made.headers
