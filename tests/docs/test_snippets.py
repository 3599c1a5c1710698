"""What is copied runs as it is: with the real curl, Python and node, and it gets the answer that the page got."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.echo import Echo
from tests.docs.items import PATHS, STATES, WHOLE
from tests.docs.page import LANGUAGES, Page
from tests.examples import thorough
from tests.programs import all_needed, found, needed
from tidings.testing import Api

pytestmark = pytest.mark.slow

HOSTILE = 'it\'s "$HOME" `id` $(id) \\ \\n \\u0041 !! %s {x} é ☃ 😀 \u2028 \'\\\'\' """ ${1+1}'
NUMBERS = '{"title": "x", "n": 1.10, "big": 12345678901234567890, "e": 1E5}'
TWICE = '{"title": 1, "title": 2}'
PROTO = '{"title": "x", "__proto__": {"polluted": true}}'
LINES = '{"title": "two\\nlines", "note": "@file", "yes": true, "no": false, "none": null,\n\n\t"deep": {"a": [1, {}]}}'
PROGRAMS = {"curl": "curl", "Python": sys.executable, "JavaScript": "node"}


def run(language: str, code: str, key: str, folder: Path) -> str:
    """What a copied call writes. Skips where the language is not on this machine."""
    environment = {**os.environ, "TIDINGS_KEY": key, "NO_PROXY": "127.0.0.1", "HOME": str(folder)}
    command = {
        "curl": ["bash", "-c", code.replace("curl ", "curl -sS ", 1)],
        "Python": [sys.executable, str(folder / "ask.py")],
        "JavaScript": ["node", str(folder / "ask.mjs")],
    }[language]
    needed(PROGRAMS[language])
    (folder / Path(command[-1]).name).write_text(code) if language != "curl" else None
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def languages() -> Iterator[list[str]]:
    """Those that this machine has, for tests that try them all. Afterwards those that it lacks are named."""
    yield [each for each in LANGUAGES if found(PROGRAMS[each])]
    all_needed(PROGRAMS.values())


def test_a_copied_call_does_the_same(page: Page, api: Api, tmp_path: Path, languages: list[str]) -> None:
    page.enter(str(api.key))
    publish = page.question("publish_event")
    data = {"text": HOSTILE, "yes": True, "none": None}
    publish.write_body(json.dumps({"type": "page.copied", "subject": "all", "data": data}))
    publish.try_it()
    events = {}
    for language in languages:
        code = publish.copied(language)
        assert str(api.key) not in code, "the key is no part of what is copied"
        said = json.loads(run(language, code, str(api.key), tmp_path))
        assert said == publish.answer() | {"id": said["id"], "time": said["time"]}
        events[language] = said["id"]
        assert said["id"] != publish.answer()["id"] and api.get(f"/v1/events/{said['id']}")["data"] == data
    read = page.question("get_event")
    read.fill("event", events["Python"])
    read.fill("fields", "id,data")
    read.try_it()
    for language in languages:
        assert json.loads(run(language, read.copied(language), str(api.key), tmp_path)) == read.answer()


@pytest.mark.thorough
def test_a_refusal_is_written_too(page: Page, api: Api, tmp_path: Path, languages: list[str]) -> None:
    page.enter(str(api.key))
    read = page.question("get_event")
    read.fill("event", "evt_none")
    read.try_it()
    for language in languages:
        said = json.loads(run(language, read.copied(language), str(api.key), tmp_path))
        assert said["code"] == read.answer()["code"] == "not_found"


@pytest.mark.thorough
def test_a_call_without_a_key_or_a_body(page: Page, api: Api, tmp_path: Path, languages: list[str]) -> None:
    for language in languages:
        code = page.question("healthz").copied(language)
        assert "TIDINGS_KEY" not in code
        assert json.loads(run(language, code, "", tmp_path)) == {"status": "ok"}
    endpoint = api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/"})["id"]
    page.enter(str(api.key))
    verb = page.question("test_endpoint")
    verb.fill("id", endpoint)
    for language in languages:
        said = json.loads(run(language, verb.copied(language), str(api.key), tmp_path))
        assert api.get(f"/v1/events/{said['event_id']}")["type"] == "endpoint.test"


@pytest.mark.parametrize("language", [LANGUAGES[0], *thorough(*LANGUAGES[1:])])
def test_any_value_arrives_intact(echo: Echo, echo_page: Page, tmp_path: Path, language: str) -> None:
    echo.hold(PATHS, **WHOLE)
    key = "tdk_it's`$"
    echo_page.enter(key)
    edit = echo_page.question("edit_task")
    edit.fill("id", f"{HOSTILE}/?#")
    for body in (
        json.dumps({"title": HOSTILE}),
        json.dumps({"title": HOSTILE}, ensure_ascii=False),
        NUMBERS,
        TWICE,
        PROTO,
        LINES,
        "@no json '",
    ):
        edit.write_body(body)
        edit.try_it()
        by_page, by_code = echo.seen[-1], json.loads(run(language, edit.copied(language), key, tmp_path))
        assert by_code["authorization"] == f"Bearer {key}" and by_page["target"] == by_code["target"]
        assert by_code["content-type"] == "application/json" and by_code["method"] == "PATCH"
        assert same(by_page["body"], body) and same(by_code["body"], body), by_code["body"]
    listed = echo_page.question("list_tasks")
    listed.fill("title", HOSTILE)
    listed.fill("state", STATES[3])
    listed.fill("X-Text", 'it\'s "$HOME" `id` \\ !!')
    listed.try_it()
    assert json.loads(run(language, listed.copied(language), key, tmp_path)) == listed.answer()


def same(one: str, other: str) -> bool:
    """Whether two bodies say the same: every name as often, every number as it is written."""
    if one == other:
        return True
    try:
        read = [json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=list) for text in (one, other)]
    except ValueError:
        return False
    return bool(read[0] == read[1])


def test_a_stream_is_copied_as_one(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    stream = page.question("stream_events")
    assert stream.code("curl").startswith("curl -N ")
    assert "for line in answer" in stream.code("Python") and "for await" in stream.code("JavaScript")
