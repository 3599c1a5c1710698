"""What tests need beyond our own environment: installed by locks, each into a folder that is kept between runs.

The benchmark uses it too, so it asks nothing of pytest.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.repository import ROOT

CACHE = ROOT / ".pytest_cache" / "d"
"""Where pytest keeps such folders, and `make clean` removes them."""
INSTALL_SECONDS = 300
NPM_NAMES = ("package.json", "package-lock.json")
UV = Path(sys.executable).parent / "uv"


def python_programs(lock: Path, name: str) -> Path:
    """The folder of the programs that a lock installs. `name`: what its folder is called."""

    def install(folder: Path) -> None:
        _run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder / "venv")
        python = folder / "venv" / "bin" / "python"
        _run(UV, "pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", lock)

    return _installed(name, lock.read_bytes() + sys.version.encode(), install) / "venv" / "bin"


def npm_packages(here: Path, name: str, beside: tuple[str, ...] = ()) -> Path:
    """The folder `node_modules` of the packages that are locked in `here`. There must be an npm.

    `beside`: files that are copied next to it.
    """
    names = (*NPM_NAMES, *beside)

    def install(folder: Path) -> None:
        for each in names:
            shutil.copy(here / each, folder / each)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
        _run("npm", "ci", *options, folder=folder)

    return _installed(name, b"".join((here / each).read_bytes() for each in names), install) / "node_modules"


def _installed(name: str, content: bytes, install: Callable[[Path], None]) -> Path:
    """The folder for what a lock contains."""
    return once(CACHE / name, content, install)


def once(place: Path, content: bytes, make: Callable[[Path], None]) -> Path:
    """The folder, called `place` and a hash of the content, that `make` fills.

    Of the processes that run tests, one makes it; the others wait for it.
    """
    folder = place.with_name(f"{place.name}-{hashlib.sha256(content).hexdigest()[:16]}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            make(folder)
            (folder / "whole").touch()
    return folder


def _run(*command: str | Path, folder: Path | None = None) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
