"""Packages of npm for tests: installed by a lock file that is next to them, into the cache of the tests."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import needed

INSTALL_SECONDS = 300
NAMES = ("package.json", "package-lock.json")


def installed(request: pytest.FixtureRequest, here: Path, name: str, beside: tuple[str, ...] = ()) -> Path:
    """The folder `node_modules` of the packages that are locked in `here`. Skips the test if there is no npm.

    `beside`: files that are copied next to it.
    """
    names = (*NAMES, *beside)
    npm = needed("npm")
    mark = hashlib.sha256(b"".join((here / each).read_bytes() for each in names)).hexdigest()[:16]
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir(f"{name}-{mark}"))
    whole = folder / "whole"
    with one_at_a_time(folder):
        if not whole.exists():
            for each in names:
                shutil.copy(here / each, folder / each)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            assert ran.returncode == 0, f"npm ci failed in {folder}:\n{ran.stdout[-2_000:]}{ran.stderr[-2_000:]}"
            whole.touch()
    return folder / "node_modules"


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Of the processes that run tests, one installs into the folder; the others wait for it."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
