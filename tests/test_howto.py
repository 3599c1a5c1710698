"""Documents are tested: every command of the README, of docs/start.md and of docs/howto/ is run, and works.

The pages of docs/howto/ run one after another beside one server: that of docs/start.md, as a reader has it at the end
of that page. tests/documents.py says how a page is written for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import documents
from tests.documents import RUN, SHOWN, Shell
from tests.postgres_pair import PostgresPair
from tests.programs import all_needed
from tests.repository import ROOT, name
from tidings.testing import ProcessServer, Receiver

HOWTO_LINES_MAX = 70
HOWTO = sorted((ROOT / "docs" / "howto").glob("*.md"))
START = ROOT / "docs" / "start.md"
START_KEY = "tdk_try-it"
PAGES = [ROOT / "README.md", START, *HOWTO]
ON_POSTGRES = [page for page in PAGES if "postgres" in documents.read(page).words]
ON_A_PAIR = [page for page in PAGES if "pair" in documents.read(page).words]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_block_is_run_or_says_why_not(page: Path) -> None:
    for block in documents.read(page).blocks:
        shown = block.language in SHOWN or block.file is not None or block.not_run is not None
        assert shown or block.language in RUN, f"{name(page)}: who runs this?\n{block.text}"
        assert shown or "\n" in block.text.strip("\n") or block.text.strip(), f"{name(page)} has an empty block"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_waits_for_the_server_that_it_starts(page: Path) -> None:
    """How long a start takes is the machine's affair: nothing is called before the server says that it listens."""
    for block in documents.read(page).blocks:
        starts = re.search(r"^.*tidings serve.*&$", block.text, re.MULTILINE) if block.language == "sh" else None
        if starts is not None and block.not_run is None:
            assert block.text.rstrip().endswith(starts[0]), f"{name(page)}: this calls a server that may not be up"
            waits = any(re.search("Tidings (listens|stands by) on", pattern) for pattern in block.prints)
            assert waits, f"{name(page)} does not wait"


@pytest.mark.parametrize("page", HOWTO, ids=name)
def test_howto_is_short_and_listed(page: Path) -> None:
    lines = len(page.read_text().splitlines())
    assert lines <= HOWTO_LINES_MAX, f"{name(page)} has {lines} lines"
    assert page.name == "README.md" or f"({page.name})" in (page.parent / "README.md").read_text()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessServer]:
    """The server of docs/start.md, with what a reader has made by the end of that page."""
    folder = tmp_path_factory.mktemp("started")
    [declared] = [block for block in documents.read(START).blocks if block.file == "tidings.yaml"]
    config = folder / "tidings.yaml"
    config.write_text(declared.text)
    with ProcessServer(folder / "server", config=config, operator_key=START_KEY) as server:
        server.api = server.api.with_key(START_KEY)
        server.api.call("PUT", "/v1/items/tasks/t_17", {"title": "Water the plants", "due": "2026-12-01"})
        server.api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": ["tasks.completed"]})
        server.api.patch("/v1/items/tasks/t_17", {"done": True})
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ON_POSTGRES + ON_A_PAIR], ids=name)
def test_page_works(page: Path, tmp_path: Path, started: ProcessServer) -> None:
    run(page, tmp_path, {}, started)


@pytest.mark.parametrize("page", ON_POSTGRES, ids=name)
def test_page_works_on_postgres(page: Path, tmp_path: Path, postgres_url: str, started: ProcessServer) -> None:
    run(page, tmp_path, {documents.DATABASE: postgres_url}, started)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("page", ON_A_PAIR, ids=name)
def test_page_works_on_a_primary_and_its_replica(page: Path, tmp_path: Path, started: ProcessServer) -> None:
    with PostgresPair() as pair:
        run(page, tmp_path, {documents.PAIR: pair.database()}, started)


def run(path: Path, folder: Path, texts: dict[str, str], started: ProcessServer) -> None:
    """Run every block of a page. `texts`: what is in the page, and what is meant by it here."""
    page = documents.read(path)
    all_needed(page.tools)
    work = folder / "work"
    work.mkdir()
    (work / "examples").symlink_to(ROOT / "examples")
    texts = {**documents.ports(page), **texts}
    with around(page.words, texts, started) as environment, Shell(work, environment, texts) as shell:
        for block in page.blocks:
            if block.not_run is None and (block.language in RUN or block.file is not None):
                shell.run(block)


@contextmanager
def around(words: frozenset[str], texts: dict[str, str], started: ProcessServer) -> Iterator[dict[str, str]]:
    """What a page finds: the server on 8080 and a receiver on 9000, unless it starts its own. Its environment."""
    if "server" in words:
        # What the page leaves at its default is 8080, which stands for a free port too.
        yield {"TIDINGS_PORT": texts["8080"], "TIDINGS_URL": f"http://127.0.0.1:{texts['8080']}"}
        return
    with Receiver() as receiver:
        texts["8080"] = str(started.port)
        if "receiver" not in words:
            texts["9000"] = str(receiver.port)
        yield {"TIDINGS_URL": started.url, "TIDINGS_KEY": START_KEY}
