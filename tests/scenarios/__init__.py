"""The scenarios of examples/, each run in its own process against a real server process over real sockets."""

from __future__ import annotations

import os
from pathlib import Path

from tests import warm
from tests.repository import ROOT

EXAMPLE_SECONDS = 180
COLUMNS = 80


def run(example: str, *arguments: str, folder: Path | None = None, **variables: str) -> str:
    """Run a file of examples/ in its own process; what it printed. Fails where it ends with anything but 0."""
    command, env = [str(ROOT / "examples" / example), *arguments], {**os.environ, **variables}
    done = warm.played(*command, env=env, cwd=folder, seconds=EXAMPLE_SECONDS)
    assert done.returncode == 0, f"{example} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fits(said: str) -> bool:
    """Whether what an example printed fits a terminal of 80 columns."""
    return all(len(line) <= COLUMNS for line in said.splitlines())
