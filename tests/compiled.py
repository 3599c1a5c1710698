"""Of the processes that run tests, one compiles those of a fresh clone; the others wait, and load what it compiled."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

FEW = 30
"""As many files that are not compiled yet are compiled by each process for itself: nobody waits for them."""


def is_compiled(source: Path) -> bool:
    """Whether what some Python compiled of a file is as new as the file."""
    changed = source.stat().st_mtime
    return any(each.stat().st_mtime >= changed for each in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))


@contextlib.contextmanager
def by_one_process(tests: Path, lock: Path) -> Iterator[None]:
    """Collect the tests in a folder: the first process alone if many are not compiled, all at once otherwise.

    To compile them all, and to find what Hypothesis wants to know of them, takes twice as long as everything else.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if sum(not is_compiled(each) for each in tests.rglob("test_*.py")) <= FEW:
            fcntl.flock(held, fcntl.LOCK_UN)
        yield
