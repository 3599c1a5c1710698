"""Tests whose programs are missing are left out, and never silently: the last line says so, and how to install them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import thorough
from tests.programs import MISSING, NAMES, last_line
from tests.repository import ROOT


def test_the_last_line_names_each_missing_program_once_with_its_package() -> None:
    reasons = [
        f"Skipped: {MISSING}nginx",
        f"Skipped: {MISSING}curl, nginx",
        "Skipped: only root may mount a small disk",
    ]
    told = "NOT TESTED: 2 tests need curl, nginx. Install with: apt-get install curl nginx-light"
    assert last_line(reasons) == told


def test_nothing_is_said_if_nothing_is_missing() -> None:
    assert last_line(["Skipped: only root may mount a small disk"]) is None


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", *thorough("0")])
def test_a_machine_without_a_browser_is_told_what_its_pages_need(tmp_path: Path, workers: str) -> None:
    page = ROOT / "tests" / "docs" / "test_page.py"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", str(page)]
    environment = {**os.environ, "PATH": without(NAMES["chromium"], tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    said = run.stdout.splitlines()
    assert run.returncode == 0, run.stdout
    count = said[-1].split()[2]
    assert said[-1] == f"NOT TESTED: {count} tests need chromium. Install with: apt-get install chromium"
    assert re.match(rf"{count} skipped(, \d+ deselected)? in ", said[-2])


def without(programs: tuple[str, ...], folder: Path) -> str:
    """A PATH with everything of ours but these programs."""
    for place in os.environ["PATH"].split(os.pathsep):
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if name not in programs and not (folder / name).exists() and shutil.which(name, path=place):
                (folder / name).symlink_to(Path(place) / name)
    return str(folder)
