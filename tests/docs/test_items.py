"""Collections on the page: what a permit lets a key ask appears by itself, and can be tried from the first item on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.page import Page
from tests.items.collections import COLLECTIONS, declare
from tidings.testing import Api, TestServer

pytestmark = pytest.mark.slow
BUYER, ID = '[data-field="buyer"]', '[data-field="id"] input'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    folder: Path = tmp_path_factory.mktemp("server")
    with TestServer(folder / "tidings") as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        yield server


def test_an_item_is_made_found_and_edited(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    create = page.question("tasks.create")
    create.fill("title", "Water the plants")
    create.fill("price", "2.5")
    create.fill("due", "2026-11-22")
    assert create.try_it().startswith("201")
    item = create.answer()["id"]
    assert create.headers()["Location"].endswith(item) and create.headers()["ETag"] == '"1"'
    listed = page.question("tasks.list")
    listed.fill("done", "false")
    listed.fill("price__gte", "2.5")
    assert listed.try_it().startswith("200")
    assert [each["id"] for each in listed.answer()["data"]] == [item]
    edit = page.question("tasks.edit")
    edit.fill("id", item)
    edit.write_body('{"done": true}')
    edit.fill("If-Match", '"1"')
    assert edit.try_it().startswith("200") and edit.answer()["done"] is True
    assert edit.try_it().startswith("412")


@pytest.mark.thorough
def test_a_named_question_asks_for_all_that_it_needs(page: Page, api: Api) -> None:
    api.post("/v1/items/tasks", {"title": "By day", "due": "2026-12-24"})
    page.enter(str(api.key))
    ask = page.question("tasks.ask.by_day")
    assert ask.text('[data-field="due"] label').endswith("required")
    ask.fill("due", "2026-12-24")
    ask.fill("done", "false")
    assert ask.try_it().startswith("200")
    assert [each["title"] for each in ask.answer()["data"]] == ["By day"]


def test_a_permit_shows_its_own_questions_and_fields(page: Page, api: Api) -> None:
    permits = [{"collection": "tasks", "verbs": ["list", "create"], "read": ["title"], "write": ["title"]}]
    page.enter(str(api.post("/v1/keys", {"permits": permits})["key"]))
    asked = {each for each in page.questions() if "/items/" in each}
    assert {"GET /v1/items/tasks", "POST /v1/items/tasks"} <= asked
    assert not [each for each in asked if "people" in each or "{id}" in each or "by_day" in each], asked
    create = page.question("tasks.create")
    fields = f"[...{create.card}.querySelectorAll('.body .fields [data-field]')].map(each => each.dataset.field)"
    assert page.do(fields) == ["title"]
    groups = page.do("[...document.querySelectorAll('section.group h2')].map(each => each.firstChild.textContent)")
    assert groups[0] == "tasks", "what a caller came for stands first"


@pytest.mark.thorough
def test_a_reference_is_filled_with_an_item_that_is_there(page: Page, api: Api) -> None:
    api.post("/v1/collections", {"name": "buyers", "fields": {"name": {"type": "string"}}})
    api.post(
        "/v1/collections",
        {
            "name": "bills",
            "fields": {
                "buyer": {"type": "reference", "to": "buyers", "required": True},
                "sum": {"type": "integer", "required": True},
            },
        },
    )
    page.enter(str(api.key))
    create = page.question("bills.create")
    # There is none yet: it says so, and fills in nothing that would be refused.
    page.browser.until(f"{create.inside(BUYER + ' .wrong')}.textContent.includes('item in buyers')")
    buyer = api.post("/v1/items/buyers", {"name": "Ann"})["id"]
    page.open()
    page.enter(str(api.key))
    create = page.question("bills.create")
    page.browser.until(f"{create.inside(BUYER + ' input')}.value === '{buyer}'")
    assert buyer in create.code("curl")
    assert create.try_it().startswith("201"), "the first try succeeds"


def test_path_ids_are_not_made_up(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    get = page.question("tasks.get")
    assert page.do(f"{get.inside(ID)}.value") == ""
    assert page.do(f"{get.inside(ID)}.placeholder").startswith("itm_")


def test_calls_of_items_have_plain_titles(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    summaries = page.do("[...document.querySelectorAll('.asks')].map(each => each.innerText)")
    assert "Create an item in tasks" in summaries and not any(" one of tasks" in each for each in summaries)
