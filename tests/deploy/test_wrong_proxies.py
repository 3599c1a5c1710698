"""A proxy that is set up half is named by `tidings doctor --production`, which calls the server through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.proxies import LANGUAGES, proxied_server
from tidings.cli.local.doctor_local import Finding
from tidings.cli.local.production import proxy
from tidings.settings import read_settings
from tidings.testing.api import OPERATOR_KEY
from tidings.web.api.events import read

pytestmark = [pytest.mark.slow]

Change = Callable[[str], str]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """What is wrong with a proxy, by the names of the points."""
    monkeypatch.setattr(proxy, "STREAM_SECONDS", 3.0)
    monkeypatch.setattr(read, "HEARTBEAT_SECONDS", 1.5)
    monkeypatch.setattr(proxy, "HEAD_SECONDS", 0.5)

    def judged(name: str, change: Change = lambda block: block, **settings: Any) -> dict[str, Finding]:
        with proxied_server(name, tmp_path, change=change, **settings) as proxied:
            (tmp_path / "ca.pem").write_text(proxied.authority)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            assert proxied.server.server is not None
            used = proxied.server.server.settings
            found = list(proxy.look_at_proxy(proxied.url, OPERATOR_KEY, used))
        return {each.what: each for each in found if each.state != "ok"}

    return judged


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_configurations_of_the_page_pass(judged: Callable[..., dict[str, Finding]], name: str) -> None:
    assert judged(name) == {}


def without(line: str) -> Change:
    return lambda block: "\n".join(each for each in block.splitlines() if line not in each) + "\n"


def instead(old: str, new: str) -> Change:
    def changed(block: str) -> str:
        assert old in block
        return block.replace(old, new)

    return changed


NGINX_LIMIT = "client_max_body_size 0;"


def beside(line: str, before: str = "") -> Change:
    """A line more in the location of nginx; `before`: one before the server."""
    return lambda block: f"{before}\n{block.replace(NGINX_LIMIT, f'{NGINX_LIMIT} {line}')}"


CADDY_PROXY = "reverse_proxy 127.0.0.1"
HAPROXY_LIMIT = "http-request deny deny_status 413 if { req.hdr(content-length) -m int gt 9999999 }"
HAPROXY_STRIP = r"http-request replace-path /hooks(/.*) \1"


@pytest.mark.parametrize(
    ("name", "change", "point", "sentence"),
    [
        ("nginx", without(NGINX_LIMIT), "body", "refused a body of 16,777,216 bytes (it answered 413)"),
        ("nginx", instead(NGINX_LIMIT, "client_max_body_size 20m;"), "body", "a body of 1,073,741,824 bytes"),
        ("nginx", instead(NGINX_LIMIT, f"{NGINX_LIMIT} proxy_ignore_headers X-Accel-Buffering;"), "stream", "buffers"),
        ("nginx", without("X-Forwarded-For"), "address", "passes on the caller's own X-Forwarded-For header"),
        ("nginx", instead("$proxy_add_x_forwarded_for", '""'), "address", "no X-Forwarded-For arrives"),
        ("nginx", without("Forwarded "), "address", "the caller's own Forwarded header"),
        ("nginx", instead(":8080/;", ":8080;"), "proxy", "does not strip the prefix /hooks"),
        ("nginx", instead("127.0.0.1:8080", "127.0.0.1:1"), "proxy", "cannot reach the server"),
        ("nginx", instead("/hooks/ {", "/other/ {"), "proxy", "reaches another program: /healthz answered 404"),
        (
            "nginx",
            instead(NGINX_LIMIT, f"{NGINX_LIMIT} auth_basic private; auth_basic_user_file /dev/null;"),
            "proxy",
            "requires its own password",
        ),
        ("nginx", beside("proxy_set_header Authorization '';"), "proxy", "removes the Authorization header"),
        (
            "nginx",
            beside("limit_except GET { deny all; }"),
            "proxy",
            "does not pass on POST requests (it answered 403)",
        ),
        ("nginx", beside("deny all;"), "proxy", "its own rules forbid"),
        (
            "nginx",
            beside("limit_req zone=z;", "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m;"),
            "proxy",
            "A proxy, not the server, answered 503: it cannot reach the server, or limits the rate of calls.",
        ),
        (
            "nginx",
            beside(
                "proxy_cache z; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control;",
                "proxy_cache_path cache keys_zone=z:1m;",
            ),
            "proxy",
            "The proxy caches responses",
        ),
        (
            "caddy",
            instead("header_up -Forwarded", "header_up -Forwarded\n header_up -Authorization"),
            "proxy",
            "removes the Auth",
        ),
        ("caddy", instead(CADDY_PROXY, f"request_body {{\n max_size 2MB\n }}\n {CADDY_PROXY}"), "body", "16,777,216"),
        ("caddy", without("header_up"), "address", "Caddy: header_up -Forwarded;"),
        ("caddy", instead("handle_path", "handle"), "proxy", "does not strip the prefix"),
        ("haproxy", without("set-header"), "address", "the caller's own X-Forwarded-For"),
        ("haproxy", without("del-header"), "address", "HAProxy: http-request del-header Forwarded."),
        ("haproxy", without("replace-path"), "proxy", "does not strip the prefix"),
        (
            "haproxy",
            instead(
                HAPROXY_STRIP,
                f"{HAPROXY_STRIP}\n    {HAPROXY_LIMIT}",
            ),
            "body",
            "16,777,216",
        ),
    ],
)
@pytest.mark.few(6)
def test_each_common_mistake_is_named(
    judged: Callable[..., dict[str, Finding]], name: str, change: Change, point: str, sentence: str
) -> None:
    found = judged(name, change)
    assert found[point].state == "fail" and sentence in found[point].detail, found
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("nginx", "proxy_read_timeout 90s", "proxy_read_timeout 3s"),
        ("caddy", "header_up -Forwarded", "header_up -Forwarded\n transport http {\n read_timeout 3s\n }"),
        ("haproxy", "timeout server 90s", "timeout server 3s"),
    ],
)
def test_a_proxy_that_cuts_off_a_quiet_stream_is_named(
    judged: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str
) -> None:
    monkeypatch.undo()
    assert proxy.STREAM_SECONDS > read.HEARTBEAT_SECONDS, "a heartbeat arrives in that time"
    found = judged(name, instead(old, new))
    assert "cut off an idle stream after 3." in found["stream"].detail, found


def test_a_server_that_does_not_know_its_proxy_is_named(judged: Callable[..., dict[str, Finding]]) -> None:
    found = judged("nginx", trusted_proxies="", public_url="https://example.com/other")
    assert set(found) == {"address", "public_url"}
    assert "set trusted_proxies: 127.0.0.1" in found["address"].detail
    assert "`public_url` is https://example.com/other, but the server was reached at" in found["public_url"].detail


def test_what_does_not_answer_is_named() -> None:
    [https, *_, found] = proxy.look_at_proxy("https://127.0.0.1:1", OPERATOR_KEY, read_settings({}, {}))
    assert https.state == "ok" and "Nothing is listening" in found.detail
    [direct] = proxy.look_at_proxy("http://127.0.0.1:8080", OPERATOR_KEY, read_settings({}, {}))
    assert direct.state == "fail" and "is the server itself" in direct.detail
