"""The demo that `make demo` plays: nothing is lost, and it can be watched on a terminal, in a log and as a picture."""

from __future__ import annotations

import json
import re
import sys
import tarfile
from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.scenarios import run
from tools.make_pictures import run_in_terminal, screen

sys.path.append(str(ROOT / "examples"))
from demo import payloads

EVENTS = 12


@pytest.mark.slow
def test_everything_arrives_and_each_arrival_is_a_line(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    said = run("demo.py", "--events", str(EVENTS), "--payloads", "own", "--svg", str(picture), folder=tmp_path)
    lines = said.splitlines()
    assert sum(line.endswith("signature ok") for line in lines) == 3 * EVENTS
    assert re.search(
        r"received 36 · retried [1-9]\d* attempts · repeats \d+ · wrong signatures 0 · lost 0$", said, re.M
    )
    assert [word in said for word in ("The menu", "An order", "The dish", "closes", "opens again")] == [True] * 5
    assert "\x1b" not in said
    drawn = picture.read_text().replace("&#160;", " ")
    assert drawn.startswith("<svg") and "What arrived last" in drawn and "Every dish arrived" in drawn


@pytest.mark.slow
def test_a_terminal_shows_a_live_table() -> None:
    said = run_in_terminal([sys.executable, str(ROOT / "examples" / "demo.py"), "--events", "4", "--payloads", "own"])
    assert "\x1b[1A" in said, "the table is drawn over itself"
    left = "\n".join(screen(said))
    assert left.count("The doors") == 1 and "4 of 4" in left and "lost" in left


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(AssertionError, match="--events is a number from 1 to 300"):
        run("demo.py", "--events", "0")


def test_one_payload_of_each_kind_is_taken_from_the_package(tmp_path: Path) -> None:
    kinds = [
        {"name": "push", "examples": [{"ref": "x", "repository": {"full_name": "a/b"}}, {}]},
        {"name": "star", "examples": [{"action": "created"}]},
        {"name": "odd", "examples": [{"action": "not a word"}]},
        {"name": "none", "examples": []},
    ]
    (tmp_path / "index.json").write_text(json.dumps(kinds))
    with tarfile.open(tmp_path / f"webhooks-examples-{payloads.VERSION}.tgz", "w:gz") as packed:
        packed.add(tmp_path / "index.json", payloads.MEMBER)
    found = payloads.from_npm(tmp_path)
    assert [(order.type, order.subject) for order in found.orders] == [
        ("github.push", "a/b"),
        ("github.star.created", None),
        ("github.odd", None),
    ]


def test_without_npm_our_own_payloads_are_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert payloads.load() == payloads.own()
    assert len(payloads.own().orders) >= 5
    with pytest.raises(RuntimeError, match="npm is not on the path"):
        payloads.load("npm")


def test_a_broken_archive_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = payloads.cache() / f"webhooks-examples-{payloads.VERSION}.tgz"
    archive.parent.mkdir()
    archive.write_bytes(b"half of it")
    assert payloads.load() == payloads.own()
    assert not archive.exists()
