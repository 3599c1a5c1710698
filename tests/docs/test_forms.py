"""Forms are drawn from the document alone, and what they send is exactly what was filled in."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.docs.echo import Echo
from tests.docs.items import PATHS, STATES, WHOLE
from tests.docs.page import Page

pytestmark = pytest.mark.slow

HOSTILE = "it's \"$HOME\" `id` \\n {x} [1] %41 a&b=c#d é ☃ '\\''"


@pytest.fixture
def tasks(echo: Echo, echo_page: Page) -> Page:
    """The page of a server whose document has collections."""
    echo.hold(PATHS, **WHOLE)
    echo_page.enter("tdk_it's")
    return echo_page


def asked(echo: Echo) -> list[tuple[str, str]]:
    """The query of the last call, decoded."""
    return parse_qsl(urlsplit(echo.seen[-1]["target"]).query, keep_blank_values=True)


@pytest.mark.thorough
def test_parameters_are_sent_as_their_schemas_say(echo: Echo, tasks: Page) -> None:
    listed = tasks.question("list_tasks")
    filled = {"done": "false", "state": STATES[3], "price__gte": "0.5", "due": "2026-11-21", "title": HOSTILE}
    for name, value in filled.items():
        listed.fill(name, value)
    listed.fill("at__lt", "2026-11-21T01:02")
    listed.fill("id__in", "a,b")
    listed.fill("tag", "x,1\ny")
    listed.fill("fields", "id,title")
    listed.fill("limit", "3")
    listed.fill("X-Text", "it's")
    assert listed.try_it().startswith("200")
    expected = [*filled.items(), ("at__lt", "2026-11-21T01:02:00Z"), ("id__in", "a,b"), ("tag", "x,1"), ("tag", "y")]
    assert sorted(asked(echo)) == sorted([*expected, ("fields", "id,title"), ("limit", "3")])
    assert echo.seen[-1]["x-text"] == "it's" and echo.seen[-1]["authorization"] == "Bearer tdk_it's"
    assert echo.seen[-1]["body"] == "" and listed.answer()["target"] == echo.seen[-1]["target"]


@pytest.mark.thorough
def test_empty_fields_are_left_out(echo: Echo, tasks: Page) -> None:
    tasks.question("list_tasks").try_it()
    assert echo.seen[-1]["target"] == "/v1/items/tasks"


def test_bounds_and_words_are_shown(tasks: Page) -> None:
    listed = tasks.question("list_tasks")
    assert listed.text('[data-field="price__gte"] label') == "price__gte number from 0"
    assert listed.text('[data-field="state"] label') == "state one of a list"
    limit = listed.inside('[data-field="limit"] input')
    assert tasks.do(f"[{limit}.type, {limit}.min, {limit}.max, {limit}.step]") == ["number", "1", "9", "1"]
    options = listed.inside('[data-field="state"] select')
    assert tasks.do(f"[...{options}.options].map(each => each.text)") == ["none", *STATES]


def test_required_fields_are_marked_filled_in_and_checked(echo: Echo, tasks: Page) -> None:
    named = tasks.question("readings_by_postal_code")
    assert named.text('[data-field="postal_code"] label').endswith("required")
    assert tasks.do(f"{named.inside('[data-field=postal_code] input')}.value") == "10115"
    before = len(echo.seen)
    tasks.browser.click(named.inside(".try"))
    tasks.browser.until(f"!{named.inside('[data-field=day] .wrong')}.hidden")
    assert named.wrong("day") == "This is required." and len(echo.seen) == before
    assert tasks.do("document.activeElement.type") == "date"
    named.fill("day", "2026-11-21")
    named.try_it()
    assert echo.seen[-1]["target"] == "/v1/items/readings:by_postal_code?postal_code=10115&day=2026-11-21"


def test_a_body_is_filled_in_field_by_field(echo: Echo, tasks: Page) -> None:
    create = tasks.question("create_task")
    assert not tasks.do(f"Boolean({create.inside('[data-field=created]')})"), "what is read only is not asked for"
    create.fill("title", HOSTILE)
    create.fill("state", STATES[2])
    create.fill("price", "12.5")
    create.fill("done", "true")
    create.fill("due", "2026-11-21")
    create.fill("at", "2026-11-21T01:02:03")
    create.fill("tags", "a,c")
    create.fill("more", '{"deep": [1, null]}')
    create.try_it()
    sent = json.loads(echo.seen[-1]["body"])
    filled: dict[str, Any] = {"title": HOSTILE, "state": STATES[2], "price": 12.5, "done": True, "due": "2026-11-21"}
    assert sent == filled | {"at": "2026-11-21T01:02:03Z", "tags": ["a", "c"], "more": {"deep": [1, None]}}
    assert echo.seen[-1]["content-type"] == "application/json" and echo.seen[-1]["method"] == "POST"
    create.fill("more", '{"deep":')
    tasks.browser.click(create.inside(".try"))
    tasks.browser.until(f"{create.inside('[data-field=more] .wrong')}.textContent.includes('not valid JSON')")


def test_a_body_is_written_whole_and_read_back_into_its_fields(echo: Echo, tasks: Page) -> None:
    edit = tasks.question("edit_task")
    assert "/v1/items/tasks/{id}'" in edit.code("curl"), "what is still to be filled in is seen"
    edit.fill("id", "../a b/ü?")
    text = '{"title": null, "__proto__": {"x": 1}, "n": 1.50}'
    edit.write_body(text)
    edit.try_it()
    assert echo.seen[-1]["body"] == text
    assert echo.seen[-1]["target"] == "/v1/items/tasks/..%2Fa%20b%2F%C3%BC%3F" and echo.seen[-1]["method"] == "PATCH"
    edit.write_body('{"title": "new", "done": false}')
    tasks.browser.click(edit.inside(".body [role=tab]"))
    assert tasks.do(f"{edit.inside('[data-field=title] input')}.value") == "new"
    edit.write_body("{broken")
    tasks.browser.click(edit.inside(".body [role=tab]"))
    assert "not valid JSON" in edit.text(".body")


@pytest.mark.thorough
def test_a_response_links_to_the_next_calls(echo: Echo, tasks: Page) -> None:
    create = tasks.question("create_task")
    echo.status, echo.body = 201, {"new": {"id": "t_1"}}
    create.try_it()
    buttons = f"[...{create.card}.querySelectorAll('.next button')]"
    assert tasks.do(f"{buttons}.map(each => each.innerText)") == ["Edit it."]
    tasks.browser.click(f"{buttons}[0]")
    edit = tasks.question("edit_task")
    assert tasks.do(f"{edit.inside('[data-field=id] input')}.value") == "t_1"
    assert "/v1/items/tasks/t_1" in edit.code("curl")


def test_hostile_texts_in_a_document_are_inert(echo: Echo, tasks: Page) -> None:
    echo.status = 422
    places = [{"parameter": "title", "code": "x", "detail": "<img src=x onerror='document.title=1'>"}]
    echo.body = {"title": "<b>bold</b>", "detail": "<script>1</script>", "status": 422, "errors": places}
    for name in ("list_tasks", "create_task", "edit_task", "readings_by_postal_code"):
        tasks.question(name)
    listed = tasks.question("list_tasks")
    listed.try_it()
    assert "<script>1</script>" in listed.text(".problem") and "<img" in listed.wrong("title")
    assert tasks.do("document.querySelectorAll('body img, body script, main b:not(.method)').length") == 0
    assert tasks.do("document.title").startswith("Tidings")


@pytest.mark.thorough
def test_a_refused_document_is_reported(echo: Echo, tasks: Page) -> None:
    echo.headers = {"RateLimit-Policy": '"x";q=1;w=90', "RateLimit": '"x";r=0;t=75'}
    tasks.enter("tdk_b")
    assert tasks.limits() == ["0 of 1 calls left in 1 minute 30 seconds"]
    assert tasks.do("document.querySelector('.limit').title") == "This limit restarts in 1 minute 15 seconds."
