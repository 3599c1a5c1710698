"""What programs, proxies and other sites send to forms."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.forms.world import ANN, BOUNDARY, FormWorld, ask, errors_of, multipart
from tests.hooks.world import until
from tidings.testing import ApiReply

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
JSON = "application/json"
MANY_PARTS = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 1_001 + b"--b--"
GOOD = b"name=Ann&email=ann%40example.com"


def part(*head: str) -> bytes:
    """A whole multipart body with one part."""
    lines = "\r\n".join(head)
    return f"--{BOUNDARY}\r\n{lines}\r\n\r\nx\r\n--{BOUNDARY}--".encode()


def text(reply: ApiReply) -> str:
    return reply.body.decode()


def test_fields_that_the_form_does_not_have_are_refused_by_name(world: FormWorld) -> None:
    form = world.form()
    page = form.post({**ANN, "admin": "yes", "constructor": "<b>"})
    assert page.status == 422 and "The form has no field" in text(page) and "&#x27;admin&#x27;" in text(page)
    assert "<b>" not in text(page)
    assert errors_of(form.post_json({**ANN, "admin": True})) == {"admin": "unknown_field"}
    assert form.events() == [] and form.refusals()[0]["reason"] == "unknown_field"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=Ann&name=Eve&email=ann%40example.com", URLENCODED, 422),
        (b"name=a%00b&email=ann%40example.com", URLENCODED, 422),
        (b"name=a%0Ab&email=ann%40example.com", URLENCODED, 422),
        (b"name=%ff&email=ann%40example.com", URLENCODED, 400),
        (b"name=%zz&email=ann%40example.com", URLENCODED, 400),
        (b"name=" + b"x" * 1_001 + b"&email=ann%40example.com", URLENCODED, 422),
        (b"&".join(b"a%d=" % n for n in range(1_001)), URLENCODED, 400),
        (b"", URLENCODED, 422),
        (GOOD, URLENCODED + "; charset=utf-16", 415),
        (GOOD, URLENCODED + "; charset=iso-8859-1", 415),
        (GOOD, "text/plain", 415),
        (GOOD, "", 415),
        (b"[]", JSON, 400),
        (b"7", JSON, 400),
        (b"{", JSON, 400),
        (b'{"name": "Ann", "name": "Eve", "email": "ann@example.com"}', JSON, 400),
        (b'{"name": ["Ann", "Eve"], "email": "ann@example.com"}', JSON, 422),
        (b'{"name": {"first": "Ann"}, "email": "ann@example.com"}', JSON, 400),
        (b'{"name": [["Ann"]], "email": "ann@example.com"}', JSON, 400),
        (b'{"name": "a\\u0000b", "email": "ann@example.com"}', JSON, 400),
        (b'{"name": "\\ud800", "email": "ann@example.com"}', JSON, 400),
        (b'{"a":' * 1_000, JSON, 400),
        (b'{"name": null, "email": "ann@example.com"}', JSON, 422),
    ],
)
@pytest.mark.few(8)
def test_what_cannot_be_a_submission_is_refused(world: FormWorld, body: bytes, kind: str, status: int) -> None:
    form = world.form()
    reply = form.send(body, kind)
    assert reply.status == status, text(reply)
    assert form.events() == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", MULTIPART),
        (b"no boundary", MULTIPART),
        (multipart(("name", None, "", b"Ann")), "multipart/form-data"),
        (multipart(("name", None, "", b"Ann")), "multipart/form-data; boundary="),
        (multipart(("name", None, "", b"Ann")), f"multipart/form-data; boundary={'x' * 200}"),
        (multipart(("name", None, "", b"Ann"))[:-6], MULTIPART),
        (multipart(("name", None, "", b"Ann")) + b"more", MULTIPART),
        (MANY_PARTS, "multipart/form-data; boundary=b"),
        (part("Content-Disposition: form-data"), MULTIPART),
        (part("Content-Disposition: attachment; name=a"), MULTIPART),
        (part('Content-Disposition: form-data; name="a"; name="b"'), MULTIPART),
        (part('Content-Disposition: form-data; name="a"', "X: " + "y" * 5_000), MULTIPART),
        (part('Content-Disposition: form-data; name="a"', "Content-Transfer-Encoding: base64"), MULTIPART),
        (part("Content-Disposition: form-data; name=\"a\"; filename*=utf-8''x"), MULTIPART),
        (part('Content-Disposition: form-data; name="a"', 'Content-Disposition: form-data; name="b"'), MULTIPART),
    ],
)  # fmt: skip
def test_a_multipart_body_that_breaks_the_rules_is_refused_whole(world: FormWorld, body: bytes, kind: str) -> None:
    form = world.form()
    reply = form.send(body, kind)
    assert reply.status == 400, text(reply)
    assert form.events() == [] and form.refusals()[0]["reason"] == "unreadable"


def test_a_file_in_a_text_field_and_a_text_in_a_file_field_are_refused(world: FormWorld) -> None:
    form = world.form({"name": {}, "cv": {"type": "file"}})
    assert form.post_parts(("name", "a.txt", "text/plain", b"Ann")).status == 422
    assert form.post({"cv": "a.txt"}).status == 422


def test_file_names_have_no_folders_and_no_control_characters(world: FormWorld) -> None:
    form = world.form({"cv": {"type": "file", "max": 3}})
    names = ["../../etc/passwd", "a%0D%0Ab.txt", "x" * 500 + ".txt"]
    assert form.post_parts(*(("cv", each, "text/plain\x01", b"1") for each in names)).status == 200
    files = form.data()[0]["cv"]
    assert [file["name"] for file in files[:2]] == ["passwd", "ab.txt"] and len(files[2]["name"]) == 255
    assert files[0]["type"] == "text/plain"


def test_digits_of_a_script_are_stored_as_sent(world: FormWorld) -> None:
    form = world.form({"n": {"type": "number"}, "whole": {"type": "integer"}})
    sent = b'{"n":1.10,"whole":9007199254740993}'
    assert form.send(sent, JSON).status == 200
    ident = form.events()[0]["id"]
    assert b'"data":' + sent in world.api.call("GET", f"/v1/events/{ident}").body
    assert errors_of(form.send(b'{"n":0.1000000000000000055}', JSON)) == {"n": "not_exact"}


def test_a_body_that_is_too_large_is_refused_and_that_is_kept(world: FormWorld) -> None:
    form = world.form()
    reply = form.send(b"name=" + b"x" * 70_000, URLENCODED)
    assert reply.status == 413 and "This is too large" in text(reply)
    assert form.refusals()[0]["reason"] == "too_large"


def test_a_content_length_that_lies_stores_nothing(world: FormWorld) -> None:
    form = world.form()
    host, _, port = world.server.url.partition("://")[2].partition(":")
    for length, sent in ((10, GOOD), (len(GOOD) + 10, GOOD)):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            head = f"POST {form.path} HTTP/1.1\r\nHost: x\r\nContent-Type: {URLENCODED}\r\n"
            head += f"Content-Length: {length}\r\n\r\n"
            connection.sendall(head.encode() + sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
    assert form.events() == []


def test_what_is_typed_is_never_markup(world: FormWorld) -> None:
    label = '<script>alert(1)</script>" onfocus="x'
    fields = {
        "name": {"label": label, "help": label, "placeholder": label, "required": True},
        "topic": {"type": "select", "options": {label: label}},
        "text": {"type": "textarea", "label": label, "max": 9},
    }
    form = world.form(fields, title=label, description=label, thanks=label, submit=label)
    empty = form.page(urlencode({"name": label}))
    wrong = text(form.post({"name": "", "topic": label, "text": "</textarea><script>x</script>"}))
    thanks = text(form.post({"name": label, "topic": label}))
    for page in (empty, wrong, thanks):
        assert "<script" not in page and 'onfocus="x' not in page and "</textarea><" not in page
    assert form.data() == [{"name": label, "topic": label}]


def test_a_packed_body_is_refused(world: FormWorld) -> None:
    form = world.form()
    assert form.post(ANN, content_encoding="gzip").status == 415
    assert form.post(ANN, content_encoding="identity").status == 200


def test_cookies_of_the_host_are_not_kept(world: FormWorld) -> None:
    form = world.form()
    form.post(ANN, cookie="session=secret", authorization="Bearer secret", x_auth_token="secret", x_api_key="secret")
    receipt = form.api.get(f"/v1/receipts/{form.receipts()[0]['id']}")
    assert "secret" not in json.dumps(receipt["headers"]) and "ann%40example.com" in receipt["text"]


@pytest.mark.slow
def test_a_flood_of_one_form_is_bounded_and_leaves_the_others_alone(world: FormWorld) -> None:
    form, other = world.form(), world.form()
    for _ in range(60):
        form.post({**ANN, "website": "x"})
    assert len(form.refusals()) <= 60
    assert other.post(ANN).status == 200 and other.data() == [ANN]


@pytest.mark.slow
def test_opening_a_page_again_and_again_is_limited_too(world: FormWorld) -> None:
    form = world.form({"name": {"from_query": True}}, max_per_minute=1)
    other = world.form(max_per_minute=1)
    asked = [form.request("GET", path=f"{form.path}?name={each}").status for each in range(11)]
    assert asked == [200] * 10 + [429]
    assert form.request("HEAD").status == 429 and other.request("GET").status == 200
    assert form.post({"name": "Ann"}).status == 200
    world.clock.advance(60)
    assert form.request("GET").status == 200


@pytest.mark.slow
def test_a_large_page_is_written_in_its_tenants_turn_and_a_small_one_at_once(world: FormWorld) -> None:
    options = [f"option {each}" for each in range(300)]
    large = world.form({f"s{each}": {"type": "select", "options": options, "from_query": True} for each in range(6)})
    assert world.server.server is not None
    work = world.server.server.parts.work
    share = work.share
    with ThreadPoolExecutor(2) as pool:
        share.hold("busy", share.total)
        opened, sent = pool.submit(large.page, "s1=option+1"), pool.submit(large.post, {"s1": "nothing"})
        until(lambda: work.waiting == 2 or None, "two large pages that wait")
        assert world.form().post({**ANN, "email": "no"}).status == 422
        assert not opened.done() and not sent.done()
        share.give_back("busy", share.total)
        # Whoever comes next lets the others on.
        assert large.page("s1=option+2").count(" selected") == 1
        assert "selected>option 1<" in opened.result() and sent.result().status == 422


def test_more_values_than_the_fields_can_have_are_not_read(world: FormWorld) -> None:
    form = world.form({"name": {}, "many": {"type": "checkboxes", "options": ["a", "b"]}})
    many = [("name", str(each)) for each in range(24)]
    for reply in (form.post(many), form.post_parts(*((name, None, "", b"1") for name, _ in many))):
        assert reply.status == 400 and "more than 23 values" in text(reply)
    assert form.post_json({"name": ["a"] * 24}).status == 400
    assert form.post([("name", "Ann"), ("many", "a"), ("many", "b")]).status == 200


def test_a_large_submission_is_checked_like_a_small_one(world: FormWorld) -> None:
    form = world.form({"message": {"type": "textarea", "max": 50_000}, "code": {"pattern": "[A-Z]+"}})
    assert form.post({"message": "a" * 50_000, "code": "A"}).status == 200
    assert form.post({"message": "a" * 50_000, "code": "a"}).status == 422
    assert form.post({"message": "a" * 50_001, "code": "A"}).status == 422
    assert len(form.data()[0]["message"]) == 50_000


@pytest.mark.slow
def test_many_clicks_at_once_are_one_event(world: FormWorld) -> None:
    form = world.form()
    values = {**ANN, "_token": form.token()}
    with ThreadPoolExecutor(20) as people:
        statuses = [answer.status for answer in people.map(lambda _: form.post(values), range(100))]
    assert set(statuses) == {200} and form.data() == [ANN] and len(form.receipts()) == 1


@pytest.mark.slow
def test_a_form_of_a_tenant_publishes_for_it_and_is_its_own(world: FormWorld) -> None:
    scopes = ["forms:read", "forms:write", "hooks:read", "events:read"]
    acme = world.api.post("/v1/keys", {"name": "acme", "scopes": scopes, "tenant": "acme"})["key"]
    other = world.api.post("/v1/keys", {"name": "other", "scopes": scopes, "tenant": "other"})["key"]
    refused = world.api.with_key(acme).call("POST", "/v1/forms", {"path": "mine", "fields": {"a": {}}})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/path"
    form = world.form(path="acme/mine", key=acme)
    form.post(ANN)
    assert [event["tenant"] for event in form.events()] == ["acme"]
    theirs = world.api.with_key(other)
    for method in ("GET", "DELETE", "PATCH"):
        body = {"title": "x"} if method == "PATCH" else None
        assert theirs.call(method, f"/v1/forms/{form.id}", body).status == 404
    assert theirs.get("/v1/forms")["data"] == [] and theirs.get("/v1/receipts")["data"] == []
    assert theirs.call("GET", f"/v1/receipts?form={form.id}").status == 422
    assert len(world.api.with_key(acme).get("/v1/receipts", form=form.id)["data"]) == 1
    style = "../@/form-"
    assert style in form.page().replace("&#x2f;", "/")


SENDERS: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"origin": "http://example.org"}, True),
    ({"origin": "https://example.org"}, True),
    ({"origin": "https://evil.example"}, False),
    ({"origin": "null"}, False),
    ({"origin": "https://example.org.evil.example"}, False),
    ({"sec_fetch_site": "same-origin", "origin": "https://example.org"}, True),
    ({"sec_fetch_site": "cross-site"}, False),
    ({"sec_fetch_site": "same-site"}, False),
    ({"sec_fetch_site": "cross-site", "origin": "https://evil.example"}, False),
    ({"referer": "https://example.org/f/x"}, True),
    ({"referer": "https://evil.example/f/x"}, False),
    ({"origin": "https://site.example"}, False),
]


def test_a_proxy_may_name_the_port_in_host(world: FormWorld) -> None:
    assert world.form().post(ANN, host="Example.org:443", origin="https://example.org").status == 200
    assert world.form().post(ANN, host="example.org:8443", origin="https://example.org").status == 403


@pytest.mark.parametrize(("headers", "is_taken"), SENDERS)
def test_only_its_own_page_submits_a_form_that_lists_no_origins(
    world: FormWorld, headers: dict[str, str], is_taken: bool
) -> None:
    form = world.form()
    reply = form.post(ANN, host="example.org", **headers)
    assert reply.status == (200 if is_taken else 403)
    assert len(form.events()) == is_taken
    assert "access-control-allow-origin" not in reply.headers
    if not is_taken:
        assert form.refusals()[0]["reason"] == "origin"
        refused = form.post(ANN, host="example.org", accept="application/json", **headers)
        assert json.loads(refused.body)["title"] == "This page may not submit the form"


def test_all_that_is_wrong_is_said_at_once(world: FormWorld) -> None:
    form = world.form()
    wrong = {"email": "ann", "nmae": "Ann"}
    assert set(errors_of(form.post_json(wrong))) == {"email", "nmae", "name"}
    page = text(form.post(wrong))
    assert "nmae" in page and page.count('aria-invalid="true"') == 2


def test_pages_of_listed_origins_submit_it_and_read_the_answer(world: FormWorld) -> None:
    form = world.form(origins=["https://site.example"])
    asked = {"origin": "https://site.example", "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "content-type"
    preflight = form.request("OPTIONS", headers=asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://site.example"
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert preflight.headers["access-control-allow-headers"] == "Accept, Content-Type, Idempotency-Key"
    theirs: dict[str, Any] = {"origin": "https://site.example", "sec_fetch_site": "cross-site"}
    sent = form.post_json(ANN, sec_fetch_dest="empty", **theirs)
    assert sent.status == 200 and sent.headers["access-control-allow-origin"] == "https://site.example"
    wrong = form.post_json({}, **theirs)
    assert wrong.status == 422 and wrong.headers["access-control-allow-origin"] == "https://site.example"
    assert wrong.headers["vary"] == "Origin"
    other = form.request("OPTIONS", headers={**asked, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers and other.headers["vary"] == "Origin"
    assert form.post_json(ANN, origin="https://evil.example").status == 403
    assert "frame-ancestors 'self' https://site.example" in form.request("GET").headers["content-security-policy"]
    everybody = world.form(origins=["*"])
    assert everybody.post_json(ANN, origin="null").headers["access-control-allow-origin"] == "*"


def test_an_unknown_path_is_refused_before_its_body_is_read(world: FormWorld) -> None:
    reply = ask(world.server.url, "POST", "/f/nothing", b"x" * 60_000, {"content-type": URLENCODED})
    assert reply.status == 404 and "There is no form at this path." in text(reply)
