"""The files of the pages, as they are sent: policies, how long they may be kept, and that the vendored one is whole."""

from __future__ import annotations

import gzip
import hashlib
import re
import time

import pytest

from tests.repository import ROOT
from tidings.testing import Api, TestServer
from tidings.web.docs import pages
from tidings.web.docs.pages import OURS, SCALAR

STATIC = ROOT / "tidings" / "web" / "docs" / "static"


@pytest.fixture
def nobody(api: Api) -> Api:
    return api.with_key(None)


@pytest.mark.parametrize("path", ["/docs", "/docs/reference"])
def test_a_page_runs_only_scripts_of_this_server(nobody: Api, path: str) -> None:
    page = nobody.call("GET", path)
    assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "connect-src 'self'" in policy
    assert ("unsafe" in policy) == (path == "/docs/reference") and "unsafe-eval" not in policy
    assert "script-src 'self' 'unsafe" not in policy
    assert not re.search(rb'(src|href)="(https?:)?//', page.body), "nothing from elsewhere"
    assert not re.search(rb"<script>|<style>| style=| on\w+=", page.body), "nothing inline"
    assert page.headers["cache-control"] == "no-store"


def test_every_file_is_sent_once_and_then_asked_for_again(nobody: Api) -> None:
    there = {path.name: path.parent.name for path in STATIC.glob("*/*") if path.suffix in (".css", ".js")}
    assert there == OURS
    for name, folder in OURS.items():
        file = nobody.call("GET", f"/docs/{name}")
        assert file.body == (STATIC / folder / name).read_bytes()
        assert file.headers["content-type"].startswith("text/css" if name.endswith(".css") else "text/javascript")
        assert file.headers["cache-control"] == "no-cache" and file.headers["x-content-type-options"] == "nosniff"
        again = nobody.call("GET", f"/docs/{name}", headers={"If-None-Match": file.headers["etag"]})
        assert again.status == 304 and again.body == b"" and again.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["..%2Fdocs.html", "docs.html", "nothing.js", "LICENSE.scalar", "page.js%00"])
def test_other_files_are_not_found(nobody: Api, name: str) -> None:
    assert nobody.call("GET", f"/docs/{name}").status in (400, 404)


def test_the_vendored_file_is_as_its_makers_published_it(nobody: Api) -> None:
    (said,) = re.findall(r"`([0-9a-f]{64})`", (STATIC / "vendor" / "README.md").read_text())
    packed = nobody.call("GET", f"/docs/{SCALAR}", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert "immutable" in packed.headers["cache-control"] and "max-age=31536000" in packed.headers["cache-control"]
    plain = nobody.call("GET", f"/docs/{SCALAR}")
    assert "content-encoding" not in plain.headers and plain.body == gzip.decompress(packed.body)
    assert hashlib.sha256(plain.body).hexdigest() == said
    assert f'src="{SCALAR}"' in (STATIC / "reference" / "reference.html").read_text()
    assert "MIT License" in (STATIC / "vendor" / "LICENSE.scalar").read_text()


def test_our_scripts_never_make_markup_from_text() -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|https?://(?!example\.com)"
    for path in STATIC.glob("*/*.js"):
        assert not re.search(ways, path.read_text()), path.name


def test_the_server_reads_files_on_first_request(server: TestServer) -> None:
    pages._file.cache_clear()
    server.api.publish("no.page")
    assert pages._file.cache_info().currsize == 0
    start = time.perf_counter()
    server.api.call("GET", f"/docs/{SCALAR}", headers={"Accept-Encoding": "gzip"})
    assert time.perf_counter() - start < 1
    assert pages._file.cache_info().currsize == 1


def test_the_document_names_the_holder_of_the_key(api: Api) -> None:
    made = api.post("/v1/keys", {"name": "n", "scopes": ["events:read"], "tenant": "acme"})
    whose = {"id": made["id"], "name": "n", "tenant": "acme", "expires": None}
    assert api.with_key(made["key"]).get("/v1/openapi.json")["x-key"] == whose
    assert "x-key" not in api.with_key(None).get("/v1/openapi.json")
