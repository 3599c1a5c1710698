"""The door `/f`: the page, what is sent from it, and what happens to it."""

from __future__ import annotations

import base64
import json
from html import unescape

import pytest

from tests.forms.world import ANN, CONTACT, FormWorld, ask, errors_of, token_in
from tidings.testing import ApiReply

JSON = {"accept": "application/json"}


def text(reply: ApiReply) -> str:
    return reply.body.decode()


def test_a_form_is_a_page_with_its_fields(world: FormWorld) -> None:
    form = world.form(title="Contact us", description="Ask us.\n\nWe answer.", lang="en-GB")
    reply = form.request("GET")
    page = text(reply)
    assert reply.status == 200 and reply.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en-GB" dir="ltr">' in page and "<h1>Contact us</h1>" in page
    assert page.count('<p class="intro">') == 2
    assert '<label for="f-email">Your email <span class="mark" aria-hidden="true">*</span></label>' in page
    assert 'type="email"' in page and 'autocomplete="email"' in page
    assert "<script" not in page and "style=" not in page
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'") and "frame-ancestors 'none'" in policy
    assert reply.headers["cache-control"] == "no-store" and "set-cookie" not in reply.headers


def test_urls_in_texts_are_links(world: FormWorld) -> None:
    fields = {"ok": {"type": "checkbox", "help": "Read https://example.com/privacy?a=1&b=2, please."}}
    form = world.form(fields, description="See (http://example.com).", thanks='https nothing, "https://x"<b>')
    page = form.page().replace("&#x2f;", "/")
    assert (
        '<a href="https://example.com/privacy?a=1&amp;b=2">https://example.com/privacy?a=1&amp;b=2</a>, please.' in page
    )
    assert 'See (<a href="http://example.com">http://example.com</a>).' in page
    thanks = text(form.post({})).replace("&#x2f;", "/")
    assert '&quot;<a href="https://x">https://x</a>&quot;&lt;b&gt;' in thanks


def test_the_style_sheet_may_be_kept(world: FormWorld) -> None:
    page = world.form().page()
    name = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    reply = ask(world.server.url, "GET", f"/f/{unescape(name)}", b"", {})
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/css")
    assert "immutable" in reply.headers["cache-control"]


def test_a_submission_is_an_event_with_those_fields_and_a_receipt(world: FormWorld) -> None:
    form = world.form(subject="email")
    reply = form.post({**ANN, "_token": form.token(), "website": ""})
    assert reply.status == 200 and "Thank you" in text(reply)
    [event] = form.events()
    assert event["data"] == ANN and list(event["data"]) == list(CONTACT)
    assert event["type"] == f"form.{form.view['path']}.submitted"
    assert event["subject"] == "ann@example.com"
    [receipt] = form.receipts()
    assert receipt["event_id"] == event["id"] and receipt["form_id"] == form.id and receipt["hook_id"] is None


def test_the_subject_is_the_receipts_id_by_default(world: FormWorld) -> None:
    form = world.form()
    form.post(ANN)
    assert form.events()[0]["subject"] == form.receipts()[0]["id"]


def test_a_missing_field_is_refused_with_a_page_that_says_which_and_keeps_what_was_typed(world: FormWorld) -> None:
    form = world.form()
    reply = form.post({"name": 'Ann "<i>"', "email": "", "message": "Hello\nyou", "_token": form.token()})
    page = text(reply)
    assert reply.status == 422
    assert '<a href="#f-email">Your email</a> Please fill this in.' in page
    assert '<p class="error" id="f-email-error">Please fill this in.</p>' in page
    assert 'aria-describedby="f-email-error" aria-invalid="true"' in page
    assert 'value="Ann &quot;&lt;i&gt;&quot;"' in page and "Hello\nyou</textarea>" in page
    assert "<title>Error: " in page
    assert form.events() == [] and form.receipts() == []


def test_the_corrected_page_is_taken(world: FormWorld) -> None:
    form = world.form()
    page = text(form.post({"name": "Ann", "_token": form.token()}))
    assert form.post({**ANN, "_token": token_in(page)}).status == 200
    assert form.data() == [ANN]


def test_a_script_gets_json(world: FormWorld) -> None:
    form = world.form(thanks="Thanks a lot.")
    good = form.post_json(ANN)
    assert good.status == 200 and json.loads(good.body) == {"thanks": "Thanks a lot."}
    bad = form.post_json({"name": 7, "email": "ann"})
    assert bad.status == 422 and bad.headers["content-type"] == "application/problem+json"
    assert errors_of(bad) == {"email": "format"}
    urlencoded = form.post({"name": "Ann"}, **JSON)
    assert errors_of(urlencoded) == {"email": "missing"}
    assert form.data() == [ANN]


def test_a_double_click_is_one_event_and_a_changed_page_another(world: FormWorld) -> None:
    form = world.form()
    values = {**ANN, "_token": form.token()}
    assert [form.post(values).status for _ in range(3)] == [200, 200, 200]
    assert form.data() == [ANN]
    assert form.post({**values, "message": "One more thing"}).status == 200
    assert len(form.data()) == 2


def test_a_page_of_ones_own_names_its_submission_so_that_a_repeat_is_none(world: FormWorld) -> None:
    form = world.form()
    first, second = ({"idempotency_key": name} for name in ("one", "two"))
    said = [form.post_json(ANN, **first) for _ in range(3)]
    assert {(each.status, each.body) for each in said} == {(200, said[0].body)}
    assert form.post({**ANN}, **JSON, **first).status == 200
    assert len(form.data()) == 1
    assert form.post_json(ANN, **second).status == 200
    assert form.post_json({**ANN, "message": "One more thing"}, **first).status == 200
    assert form.post_json(ANN).status == 200
    assert len(form.data()) == 4
    other = world.form()
    assert other.post_json(ANN, **first).status == 200
    assert other.data() == [ANN]


def test_a_page_that_was_open_too_long_is_shown_again_with_what_was_typed(world: FormWorld) -> None:
    form = world.form()
    token = form.token()
    world.clock.advance(2 * 86_400)
    reply = form.post({**ANN, "_token": token})
    assert reply.status == 422 and "open for too long" in text(reply) and 'value="Ann"' in text(reply)
    assert form.post({**ANN, "_token": token_in(text(reply))}).status == 200
    assert form.data() == [ANN]


@pytest.mark.parametrize("token", [None, "x", "other"])
def test_who_sends_no_page_of_ours_is_not_told_that_it_was_open_too_long(world: FormWorld, token: str | None) -> None:
    form, other = world.form(min_seconds=2), world.form()
    values = ANN if token is None else {**ANN, "_token": other.token() if token == "other" else token}
    reply = form.post(values)
    assert reply.status == 422 and "not sent from a page that was opened here" in text(reply)
    assert "too long" not in text(reply)
    world.clock.advance(10)
    assert form.post({**ANN, "_token": token_in(text(reply))}).status == 200


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "A" * 300, "A" * 10_000])
def test_a_made_up_token_is_not_taken(world: FormWorld, token: str) -> None:
    form = world.form()
    assert form.post({**ANN, "_token": token}).status == 422
    assert form.events() == []


def test_a_token_of_another_form_is_not_taken(world: FormWorld) -> None:
    form, other = world.form(), world.form()
    assert form.post({**ANN, "_token": other.token()}).status == 422


def test_a_program_that_fills_in_the_honeypot_is_thanked_and_nothing_happens(world: FormWorld) -> None:
    form = world.form()
    reply = form.post({**ANN, "website": "https://spam.example"})
    assert reply.status == 200 and "Thank you" in text(reply)
    assert form.events() == []
    [refusal] = form.refusals()
    assert refusal["reason"] == "honeypot" and "website" in refusal["detail"]


def test_a_refused_person_can_be_let_in(world: FormWorld) -> None:
    form = world.form()
    form.post({**ANN, "website": "my own"})
    [refusal] = form.refusals()
    let_in = form.api.post(f"/v1/refusals/{refusal['id']}:retry")
    assert let_in["state"] == "accepted"
    [event] = form.events()
    assert event["data"] == ANN and event["id"] == let_in["event_id"] and event["subject"] == refusal["id"]
    assert form.api.call("POST", f"/v1/refusals/{refusal['id']}:retry").status == 409


def test_what_a_program_sends_too_fast_is_refused(world: FormWorld) -> None:
    form = world.form(min_seconds=3)
    token = form.token()
    early = form.post({**ANN, "_token": token})
    assert early.status == 422 and "very quick" in text(early) and token_in(text(early)) == token
    assert form.post(ANN).status == 422
    assert form.refusals()[0]["reason"] == "too_fast"
    world.clock.advance(4)
    assert form.post({**ANN, "_token": token}).status == 200
    assert form.data() == [ANN]


def test_an_address_may_submit_so_often(world: FormWorld) -> None:
    form, other = world.form(max_per_minute=2), world.form(max_per_minute=2)
    world.clock.advance(60)
    assert [form.post({**ANN, "message": str(n)}).status for n in range(3)] == [200, 200, 429]
    late = form.post(ANN)
    assert 1 <= int(late.headers["retry-after"]) <= 60 and "<h1>Please wait a moment</h1>" in text(late)
    assert other.post(ANN).status == 200
    world.clock.advance(60)
    assert form.post(ANN).status == 200


def test_browsers_are_sent_to_the_thanks_url(world: FormWorld) -> None:
    form = world.form(thanks="https://example.com/thanks?from=us")
    reply = form.post(ANN)
    assert reply.status == 303 and reply.headers["location"] == "https://example.com/thanks?from=us"
    assert "form-action 'self' https:;" in form.request("GET").headers["content-security-policy"]
    assert json.loads(form.post_json(ANN).body) == {"redirect": "https://example.com/thanks?from=us"}


def test_files_are_in_the_event(world: FormWorld) -> None:
    form = world.form({"photos": {"type": "file", "max": 2, "accept": ["image/*", ".pdf"], "max_bytes": 1000}})
    png = b"\x89PNG\r\n--x\r\n\x00"
    reply = form.post_parts(
        ("photos", "C:\\pictures\\cat.png", "image/png", png), ("photos", "a%22b.PDF", "application/x", b"%PDF")
    )
    assert reply.status == 200, text(reply)
    [data] = form.data()
    assert data["photos"] == [
        {"name": "cat.png", "type": "image/png", "size": len(png), "base64": base64.b64encode(png).decode()},
        {"name": 'a"b.PDF', "type": "application/x", "size": 4, "base64": "JVBERg=="},
    ]
    for wrong, says in (
        ((("photos", "a.exe", "application/x", b"MZ"),), "a.exe cannot be used here"),
        ((("photos", "a.png", "image/png", b"x" * 1001),), "a.png is too large"),
        ((("photos", "a.png", "image/png", b"x"),) * 3, "at most 2"),
    ):
        reply = form.post_parts(*wrong)
        assert reply.status == 422 and says in text(reply)


def test_a_file_has_to_be_chosen_again_if_something_else_is_wrong(world: FormWorld) -> None:
    form = world.form({"cv": {"type": "file", "label": "Your CV"}, "name": {"required": True}})
    page = text(form.post_parts(("cv", "cv.txt", "text/plain", b"1"), ("name", None, "", b"")))
    assert '<a href="#f-cv">Your CV</a> Please choose the file again.' in page
    assert page.count("Please choose the file again.") == 2 and "cv.txt" not in page


def test_the_page_shows_defaults_and_what_the_url_says(world: FormWorld) -> None:
    options = ["x", "y", "z"]
    form = world.form(
        {
            "line": {"default": "a line"},
            "area": {"type": "textarea", "default": "two\nlines"},
            "pick": {"type": "select", "options": options, "default": "y", "from_query": True},
            "one": {"type": "radio", "options": options, "default": "z"},
            "many": {"type": "checkboxes", "options": options, "default": ["x", "z"], "from_query": True},
            "box": {"type": "checkbox", "default": True},
        }
    )
    page = form.page()
    assert 'value="a line"' in page and "\ntwo\nlines</textarea>" in page and '<option value="y" selected>' in page
    assert page.count(" checked") == 4 and 'id="f-one-2" value="z" checked' in page
    asked = form.page("pick=z&many=y,z&line=other")
    assert '<option value="z" selected>' in asked and "other" not in asked
    assert 'id="f-many" value="x">' in asked and 'value="y" checked' in asked
    again = text(form.post({"line": "", "many": "q"}))
    assert "a line" not in again and " checked" not in again


def test_no_file_chosen_is_no_file(world: FormWorld) -> None:
    form = world.form({"cv": {"type": "file"}, "name": {}})
    nothing = ("cv", "", "application/octet-stream", b"")
    assert form.post_parts(nothing, ("name", None, "", b"Ann")).status == 200
    assert form.data() == [{"name": "Ann"}]


def test_a_hidden_field_has_its_value_or_that_of_the_url(world: FormWorld) -> None:
    fields = {
        "list": {"type": "hidden", "default": "news"},
        "source": {"type": "hidden", "from_query": True},
        "name": {"from_query": True},
        "town": {},
    }
    form = world.form(fields)
    page = form.page("source=ad%22%3E&name=Ann&town=Graz&list=other&utm=x")
    assert 'value="ad&quot;&gt;"' in page and 'value="Ann"' in page
    assert "Graz" not in page and "other" not in page
    assert form.post({"source": "ad", "name": "Ann"}).status == 200
    assert form.post({"list": "other"}).status == 422
    assert form.data() == [{"list": "news", "source": "ad", "name": "Ann"}]


def test_a_form_of_another_language_speaks_it_or_marks_what_it_does_not(world: FormWorld) -> None:
    german = world.form(lang="de-AT")
    assert "Bitte ausfüllen." in text(german.post({"name": "Ann"}))
    finnish = text(world.form(lang="fi").post({"name": "Ann"}))
    assert '<html lang="fi"' in finnish and 'id="f-email-error" lang="en" dir="ltr"' in finnish
    assert 'dir="rtl"' in world.form(lang="ar").page()


def test_a_disabled_or_deleted_form_is_gone(world: FormWorld) -> None:
    form = world.form()
    form.api.patch(f"/v1/forms/{form.id}", {"enabled": False})
    assert form.request("GET").status == 404
    form.api.patch(f"/v1/forms/{form.id}", {"enabled": True})
    assert form.request("GET").status == 200
    form.api.delete(f"/v1/forms/{form.id}")
    assert form.post(ANN).status == 404


def test_what_a_form_takes_besides_get_and_post(world: FormWorld) -> None:
    form = world.form()
    head = form.request("HEAD")
    assert head.status == 200 and head.body == b""
    assert form.request("OPTIONS").headers["allow"] == "GET, HEAD, POST, OPTIONS"
    for method in ("PUT", "PATCH", "DELETE", "TRACE"):
        reply = form.request(method)
        assert reply.status == 405 and reply.headers["allow"] == "GET, HEAD, POST, OPTIONS"


@pytest.mark.parametrize(
    "path", ["/f", "/f/", "/f/none", "/f/none/", "/f/../v1/keys", "/f/%00", "/f/@/x.css", "/f/%2e%2e/x", "/f/é"]
)
def test_there_is_nothing_else_behind_the_door(world: FormWorld, path: str) -> None:
    reply = ask(world.server.url, "GET", path.replace("é", "%C3%A9"), b"", {})
    assert reply.status == 404


def test_an_event_goes_where_events_go(world: FormWorld) -> None:
    world.api.post(
        "/v1/collections:apply",
        {"collections": {"guests": {"fields": {"name": {"type": "string"}, "email": {"type": "string"}}}}},
    )
    form = world.form(type="form.guest.submitted")
    link = {
        "when": {"event": "form.guest.submitted"},
        "item": {"collection": "guests", "create": True, "data": {"name": "{{ data.name }}"}},
    }
    world.api.put("/v1/links/guest-of-form", link)
    form.post(ANN)
    from tests.hooks.world import until

    found = until(lambda: world.api.pages("/v1/items/guests") or None, "the guest")
    assert [guest["name"] for guest in found] == ["Ann"]


@pytest.mark.slow
def test_what_does_not_fit_the_types_schema_is_said_beside_the_field(world: FormWorld) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 2}}}
    world.api.put("/v1/event-types/form.short.submitted", {"schema": schema})
    form = world.form(type="form.short.submitted")
    reply = form.post(ANN)
    assert reply.status == 422 and 'id="f-name-error"' in text(reply)
    assert form.refusals()[0]["reason"] == "schema"
