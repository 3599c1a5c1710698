"""Behind real proxies that end TLS and strip a prefix, with the configurations of docs/howto/proxies.md."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from html import unescape

import pytest

from tests.web.proxies import LANGUAGES, Proxied, proxied_server
from tests.web.test_events import Reader
from tests.web.wire import read
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest
from tidings.testing import until
from tidings.testing.api import OPERATOR_KEY, ApiReply

CALLS = 100
KEY = f"Authorization: Bearer {OPERATOR_KEY}"
SECRET = "the sender's secret"
STREAM_SECONDS = 5
"""Far below the heartbeat, which would push a held event out."""
QUERIES = ("", "a=%2Fb&c=d+e", "b=1;c=2&b=%zz&=&", "q=%C3%A4&q=~%7E'(*)")


@pytest.fixture(scope="module", params=LANGUAGES)
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp(request.param)
    with proxied_server(request.param, folder, max_calls_per_address=CALLS) as proxied:
        yield proxied


@pytest.mark.slow
def test_events_come_through_at_once(proxied: Proxied) -> None:
    with proxied.dial() as sock:
        sock.sendall(proxied.head("GET", "/v1/events/stream?type=proxied.a", KEY))
        said = b""
        while b": tidings" not in said:
            said += sock.recv(4_096)
        began = time.monotonic()
        event = proxied.server.api.publish("proxied.a")
        while event.encode() not in said:
            piece = sock.recv(4_096)
            assert piece, said
            said += piece
        assert time.monotonic() - began < STREAM_SECONDS


@pytest.mark.slow
def test_the_servers_own_urls_work_through_the_proxy(proxied: Proxied) -> None:
    made = proxied.call("POST", "/v1/tenants", b'{"id": "behind", "name": "x"}')
    assert made.headers["location"] == f"{proxied.url}/v1/tenants/behind"
    assert proxied.call("POST", "/v1/tenants", b'{"id": "behind2", "name": "x"}').status == 201
    link = proxied.call("GET", "/v1/tenants", limit=1).headers["link"]
    path = link[1:].partition(">")[0].removeprefix(proxied.url)
    assert proxied.call("GET", path).json["data"]
    assert proxied.server.api.get("/v1/openapi.json")["servers"][0]["url"] == proxied.url
    for path in ("/", "/docs/"):
        led = proxied.say(proxied.head("GET", path))
        assert (led.status, led.headers["location"]) == (307, f"{proxied.url}/docs")
    page = proxied.say(proxied.head("GET", "/docs"))
    assert page.status == 200 and b'href="docs/page.css"' in page.body


def test_the_prefix_without_a_slash_is_redirected(proxied: Proxied) -> None:
    led = proxied.say(proxied.head("GET", ""))
    assert led.status in (301, 302) and led.headers["location"] in ("/hooks/", f"{proxied.url}/")


@pytest.mark.slow
def test_each_caller_is_counted_by_its_own_address(proxied: Proxied) -> None:
    """No address that a caller makes up is believed; the proxy sees the one that it really has."""

    for source, header in (
        ("127.0.0.2", "X-Forwarded-For: 203.0.113.{}"),
        ("127.0.0.3", "Forwarded: for=203.0.113.{}"),
    ):
        # Twice as many, and one: a new window may begin in between.
        statuses: list[int] = []
        with proxied.dial(source) as sock:
            while 429 not in statuses and len(statuses) <= 2 * CALLS:
                sock.sendall(proxied.head("GET", "/healthz", header.format(len(statuses) % 256)))
                statuses.append(read(sock).status)
        assert statuses.count(200) >= CALLS - 5 and statuses[-1] == 429, header
        other = proxied.head("GET", "/healthz", "X-Forwarded-For: 203.0.113.1")
        assert proxied.say(other, "127.0.0.4").status == 200


@pytest.mark.slow
def test_a_receipt_names_the_address_of_its_sender(proxied: Proxied) -> None:
    hook = proxied.server.api.post("/v1/hooks", {"path": "addressed", "scheme": "github", "secrets": [SECRET]})
    made_up = ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1")
    for source, lines in (("127.0.0.5", ()), ("127.0.0.6", made_up)):
        head = proxied.head("POST", "/in/addressed", *lines, "Content-Length: 2")
        assert proxied.say(head + b"{}", source).status == 401
    kept = "SELECT client FROM receipt WHERE hook = :hook ORDER BY client"
    until(lambda: len(proxied.rows(kept, hook=hook["id"])) == 2, "both refusals are kept")
    assert [row[0] for row in proxied.rows(kept, hook=hook["id"])] == ["127.0.0.5", "127.0.0.6"]


def test_a_ticket_works_through_the_proxy(proxied: Proxied) -> None:
    made = proxied.call("POST", "/v1/events/stream:ticket", type="ticketed.a").json
    assert made["url"].startswith(f"{proxied.url}/v1/events/stream?ticket=")
    reader = Reader(proxied.server, "/v1/events/stream" + made["url"].partition("stream")[2], key=b"")
    event = proxied.server.api.publish("ticketed.a")
    frame = reader.frame()
    assert frame is not None and json.loads(frame["data"])["id"] == event
    reader.close()


@pytest.mark.slow
def test_an_import_and_a_large_answer_pass(proxied: Proxied) -> None:
    proxied.server.api.post("/v1/collections", {"name": "passed", "fields": {"text": {"type": "string"}}})
    lines = b"".join(b'{"text": "%s"}\n' % (b"x" * 600) for _ in range(1_900))
    told = proxied.call("POST", "/v1/items/passed:import", lines, headers={"Content-Type": "application/x-ndjson"})
    assert told.status == 200, told.body
    packed = proxied.call("GET", "/v1/items/passed", headers={"Accept-Encoding": "gzip"}, limit=1000)
    assert packed.status == 200 and packed.headers["vary"] == "Accept-Encoding"


@pytest.mark.slow
def test_a_webhook_passes_up_to_the_limit_and_is_413_from_the_server_beyond(proxied: Proxied) -> None:
    proxied.server.api.post("/v1/hooks", {"path": "large", "scheme": "github", "secrets": [SECRET]})
    assert sent_of(proxied, "large", 1_000_000).status == 200
    refused = sent_of(proxied, "large", 1_100_000)
    assert refused.status == 413 and b"1,048,576" in refused.body


@pytest.mark.parametrize("scheme", ["square", "hubspot", "twilio", "trello"])
@pytest.mark.few(4)
def test_webhooks_whose_url_is_signed_are_verified_behind_the_prefix(proxied: Proxied, scheme: str) -> None:
    api, named = proxied.server.api, schemes.named(scheme)
    given = {"path": f"behind-{scheme}", "scheme": scheme, "secrets": [SECRET], "repeats": "accept"}
    hook = api.post("/v1/hooks", given)
    assert hook["url"] == f"{proxied.url}/in/behind-{scheme}"
    for query in QUERIES:
        unsigned = schemes.sample(named, f"{hook['url']}?{query}" if query else hook["url"])
        request = schemes.sign(named, SECRET, unsigned, time.time())
        assert proxied.send(request).status == 200, query
    assert proxied.send(request.but(url=request.url.replace("%7E", "%7e"))).status == 401
    assert [event["actor"] for event in api.pages("/v1/events", limit=1000)].count(hook["id"]) == len(QUERIES)


@pytest.mark.slow
def test_a_form_works_behind_the_prefix(proxied: Proxied) -> None:
    """Its page finds its style and itself, and a browser's origin is that of the proxy."""
    fields = {"email": {"type": "email", "required": True}}
    form = proxied.server.api.post("/v1/forms", {"path": "acme/contact", "fields": fields})
    assert form["url"] == f"{proxied.url}/f/acme/contact"
    page = proxied.say(proxied.head("GET", "/f/acme/contact"))
    assert page.status == 200 and b'action="contact"' in page.body
    sheet = unescape(page.body.decode().partition('rel="stylesheet" href="')[2].partition('"')[0])
    assert proxied.say(proxied.head("GET", f"/f/acme/{sheet}".replace("acme/../", ""))).status == 200
    origin = proxied.url.rpartition("/")[0] if proxied.url.count("/") > 2 else proxied.url
    for sender, status in ((origin, 200), ("https://evil.example", 403)):
        head = proxied.head(
            "POST",
            "/f/acme/contact",
            f"Origin: {sender}",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 21",
        )
        assert proxied.say(head + b"email=ann@example.com").status == status, sender


def sent_of(proxied: Proxied, path: str, size: int) -> ApiReply:
    """The answer to a genuine webhook with a body of a size."""
    named, body = schemes.named("github"), b'"' + b"x" * (size - 2) + b'"'
    request = HookRequest("POST", f"{proxied.url}/in/{path}", {"Content-Type": "application/json"}, body)
    return proxied.send(schemes.sign(named, SECRET, request, time.time()))
