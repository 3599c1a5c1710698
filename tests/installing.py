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
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.repository import ROOT

CACHE = ROOT / ".pytest_cache" / "d"
"""Where pytest keeps such folders, and `make clean` removes them."""
INSTALL_SECONDS = 300
NPM_NAMES = ("package.json", "package-lock.json")
UV = Path(sys.executable).parent / "uv"
HASH_CHARS = 16
UNUSED_SECONDS = 7 * 86_400
"""After this time without a use, what was made of another input is removed."""


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


def kept(name: str, inputs: Iterable[object], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills from these inputs alone, such as a program that it compiles; kept between runs.

    A `Path` among the inputs stands for its content, the files of a folder included.
    """
    content = hashlib.sha256()
    for each in inputs:
        for part in _parts(each):
            content.update(hashlib.sha256(part).digest())
    folder = once(CACHE / "made" / name, content.digest(), make)
    (folder / "whole").touch()
    for other in folder.parent.glob(f"{name}-{'[0-9a-f]' * HASH_CHARS}"):
        if other != folder and time.time() - _last_use(other) > UNUSED_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _parts(given: object) -> Iterator[bytes]:
    if not isinstance(given, Path):
        yield str(given).encode()
    elif given.is_file():
        yield given.read_bytes()
    else:
        for path in sorted(given.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(given)).encode()
                yield path.read_bytes()


def _last_use(folder: Path) -> float:
    """When it was last used; now, while it is being made."""
    try:
        return (folder / "whole").stat().st_mtime
    except FileNotFoundError:
        return time.time()


def tool(program: str | Path) -> str:
    """What tells one installation of a program from another: where it is, and since when."""
    path = Path(program).resolve()
    return f"{path} {path.stat().st_mtime_ns}"


def once(place: Path, content: bytes, make: Callable[[Path], None]) -> Path:
    """The folder, called `place` and a hash of the content, that `make` fills.

    Of the processes that run tests, one makes it; the others wait for it.
    """
    folder = place.with_name(f"{place.name}-{hashlib.sha256(content).hexdigest()[:HASH_CHARS]}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            # What an attempt that failed has left.
            for each in folder.iterdir():
                if each.is_dir():
                    shutil.rmtree(each)
                elif each.name != "lock":
                    each.unlink()
            make(folder)
            (folder / "whole").touch()
    return folder


def _run(*command: str | Path, folder: Path | None = None) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
