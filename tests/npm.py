"""Packages of npm for tests: installed by a lock file that is next to them, into the cache of the tests."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.openapi.conftest import INSTALL_SECONDS, one_at_a_time
from tests.programs import needed

NAMES = ("package.json", "package-lock.json")


def installed(request: pytest.FixtureRequest, here: Path, name: str) -> Path:
    """The folder `node_modules` of the packages that are locked in `here`. Skips the test if there is no npm."""
    npm = needed("npm")
    mark = hashlib.sha256(b"".join((here / each).read_bytes() for each in NAMES)).hexdigest()[:16]
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir(f"{name}-{mark}"))
    whole = folder / "whole"
    with one_at_a_time(folder):
        if not whole.exists():
            for each in NAMES:
                shutil.copy(here / each, folder / each)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            assert ran.returncode == 0, f"npm ci failed in {folder}:\n{ran.stdout[-2_000:]}{ran.stderr[-2_000:]}"
            whole.touch()
    return folder / "node_modules"
