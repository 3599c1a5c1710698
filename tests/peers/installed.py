"""The peers' programs, installed by the locks beside this file into a folder that is kept between runs.

Tests and the benchmark use it, so it asks nothing of pytest.
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

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".pytest_cache" / "d"
"""Where pytest keeps such folders, and `make clean` removes them."""
INSTALL_SECONDS = 300
NPM_FILES = ("package.json", "package-lock.json")
UV = Path(sys.executable).parent / "uv"


def python_programs() -> Path:
    """The folder of Kinto's programs."""
    lock = HERE / "requirements.lock"

    def install(folder: Path) -> None:
        _run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder / "venv")
        python = folder / "venv" / "bin" / "python"
        _run(UV, "pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", lock)

    return _installed("peers", lock.read_bytes() + sys.version.encode(), install) / "venv" / "bin"


def node_folder() -> Path:
    """The folder below which Node finds the packages. There must be an npm."""

    def install(folder: Path) -> None:
        for name in NPM_FILES:
            shutil.copy(HERE / name, folder / name)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", folder)
        _run("npm", "ci", *options)

    return _installed("peers-npm", b"".join((HERE / name).read_bytes() for name in NPM_FILES), install)


def _installed(name: str, content: bytes, install: Callable[[Path], None]) -> Path:
    """The folder for what the locks contain. Of several processes, one installs, and the others wait for it."""
    folder = CACHE / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            install(folder)
            (folder / "whole").touch()
    return folder


def _run(*command: str | Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
