"""The repository as the tests see it: its root and the text files that belong to it."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAIN = {int, str, bytes, float, complex, bool, type(None), type(...)}
"""What parts of a program can be besides nodes, and lists of them."""


@cache
def files() -> tuple[Path, ...]:
    """Every file that git tracks or would track, as far as it still exists; binary files are left out."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    paths = (ROOT / name for name in sorted(set(listed.split("\0"))) if name)
    return tuple(path for path in paths if path.is_file() and b"\0" not in _beginning(path))


def _beginning(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(8192)


@cache
def syntax(path: Path) -> ast.Module:
    """A Python file, parsed."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All that a Python file consists of. Several tests look through each file: this is walked once for all.

    In the order of `ast.walk`, which takes twice as long.
    """
    found: list[ast.AST] = [syntax(path)]
    for node in found:
        for value in vars(node).values():
            kind = type(value)
            if kind is list:
                found.extend([each for each in value if isinstance(each, ast.AST)])
            elif kind not in PLAIN:
                found.append(value)
    return tuple(found)


def under(*folders: str, suffix: str = "") -> list[Path]:
    """The files below these folders of the root whose name ends in `suffix`."""
    return [path for path in files() if path.relative_to(ROOT).parts[0] in folders and path.name.endswith(suffix)]


def name(path: Path) -> str:
    """How a file is called in a message: its path from the root."""
    return path.relative_to(ROOT).as_posix()
