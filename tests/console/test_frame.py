"""The frame of our pages: the policy, files that browsers keep, how little is sent, live fragments."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import http.client
import json
import re
from random import random

import pytest

from tests.console.visitor import Visitor
from tests.repository import ROOT
from tidings.testing import Api, TestServer
from tidings.web.pages.live import Live, fragments
from tidings.web.pages.templates import pretty, visible

VENDOR = ROOT / "tidings" / "web" / "pages" / "static" / "vendor"
FIRST_VISIT_BYTES_MAX = 80 * 1024
PACKED = {"Accept-Encoding": "gzip"}


def test_vendored_files_are_unchanged() -> None:
    said = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text(), re.MULTILINE))
    found = {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in VENDOR.iterdir()
        if each.suffix in (".js", ".css")
    }
    assert said == found


def test_a_page_runs_nothing_but_our_files(operator: Visitor) -> None:
    reply = operator.call("GET", "")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "require-trusted-types-for 'script'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    page = reply.body.decode()
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", page)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


def test_a_first_visit_is_small_and_its_files_are_kept(operator: Visitor) -> None:
    reply = operator.call("GET", "", headers=PACKED)
    assert reply.headers["content-encoding"] == "gzip" and reply.headers["cache-control"] == "no-store"
    page, size = gzip.decompress(reply.body).decode(), len(reply.body)
    files = sorted(set(re.findall(r'(?:src|href)="/console(/@/[^"]+)"', page)))
    assert len(files) >= 4
    for name in files:
        file = operator.call("GET", name, headers=PACKED)
        assert file.status == 200 and "immutable" in file.headers["cache-control"]
        size += len(file.body)
    assert size <= FIRST_VISIT_BYTES_MAX


def test_a_file_is_known_by_its_hash_alone(operator: Visitor, visitor: Visitor) -> None:
    for path in ("/@/page.css", "/@/page.0000000000000000.css", "/@/../visit.py", "/@/", "/@/LICENSE.htmx"):
        assert visitor.call("GET", path).status == 404


def test_htmx_gets_what_is_inside_the_frame(operator: Visitor) -> None:
    part = operator.get("", {"HX-Request": "true"})
    assert part.startswith("<title>") and '<main id="main"' in part and "<script" not in part
    assert "<html" in operator.get("", {"HX-Request": "true", "HX-History-Restore-Request": "true"})


def test_unknown_pages_say_so(operator: Visitor) -> None:
    reply = operator.call("GET", "/nowhere")
    assert reply.status == 404 and b"There is no such page" in reply.body


def test_live_fragments_come_to_everybody_who_looks(operator: Visitor, server: TestServer, api: Api) -> None:
    streams = [_stream(server, operator) for _ in range(3)]
    first = [_parts(stream) for stream in streams]
    assert all({"sentence", "tiles", "problems"} <= set(each) for each in first)
    assert first[0] == first[1] == first[2]
    assert fragments(operator.get())["sentence"] == first[0]["sentence"]
    for stream in streams:
        stream.close()


def test_ten_viewers_cost_as_much_as_one_and_nobody_costs_nothing() -> None:
    drawn = 0
    may_draw = asyncio.Semaphore(0)

    async def draw() -> str:
        nonlocal drawn
        await may_draw.acquire()
        drawn += 1
        return f"<!--live:a-->{drawn}<!--/live--><!--live:b-->the same<!--/live-->"

    async def look() -> None:
        live = Live(period_seconds=0.01)
        viewers = [live.follow("page", draw, lambda: True) for _ in range(10)]
        assert {await anext(viewer) for viewer in viewers} == {b"retry: 2000\n\n"}
        for picture in (1, 2):
            may_draw.release()
            pieces = await asyncio.gather(*(anext(viewer) for viewer in viewers))
            assert len(set(pieces)) == 1 and drawn == picture
            assert json.loads(pieces[0].partition(b"data: ")[2])["a"] == str(picture)
        assert b"the same" not in pieces[0]
        for viewer in viewers:
            await viewer.aclose()  # type: ignore[attr-defined]
        may_draw.release()
        await asyncio.sleep(0.05)
        assert drawn == 2

    asyncio.run(look())


def test_a_viewer_who_may_look_no_longer_is_cut_off() -> None:
    async def draw() -> str:
        return f"<!--live:a-->{random()}<!--/live-->"

    async def look() -> list[bytes]:
        allowed = iter([True, False])
        return [piece async for piece in Live(0.01).follow("page", draw, lambda: next(allowed))]

    assert len(asyncio.run(look())) == 2


def test_what_is_not_live_cannot_be_followed(operator: Visitor, visitor: Visitor) -> None:
    assert operator.call("GET", "/live?page=/nowhere").status == 404
    visitor.cookies = {}
    assert visitor.call("GET", "/live?page=").status == 401


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\0b\x1bc", "a␀b␛c"),
        ("user\u202egnp.exe", "user[U+202E]gnp.exe"),
        ("\u2066x\u2069\u200f\ufeff", "[U+2066]x[U+2069][U+200F][U+FEFF]"),
        ("مرحبا 👩‍👩‍👧 é\n\t", "مرحبا 👩‍👩‍👧 é\n\t"),
        (None, ""),
        (3, 3),
    ],
)
def test_characters_that_nobody_sees_are_shown(text: object, shown: object) -> None:
    assert visible(text) == shown


def test_numbers_of_a_body_are_shown_as_they_were_sent() -> None:
    assert pretty('{"a":1.10,"b":12345678901234567890,"c":[]}').count("1.10") == 1
    assert "12345678901234567890" in pretty(b'{"b":12345678901234567890}')
    assert pretty("not json") == "not json"


def _stream(server: TestServer, visitor: Visitor) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=10)
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("GET", "/console/live?page=", headers={"Cookie": cookie})
    return connection.getresponse()


def _parts(stream: http.client.HTTPResponse) -> dict[str, str]:
    """The first fragments that a stream sends."""
    while not (line := stream.readline()).startswith(b"data: "):
        assert line
    return dict(json.loads(line[6:]))
