"""One process compiles the tests of a fresh clone: the others wait while it collects, and only then."""

from __future__ import annotations

import compileall
import fcntl
from pathlib import Path

from tests.compiled import FEW, by_one_process


def is_held(lock: Path) -> bool:
    with lock.open() as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_others_wait_while_many_tests_are_compiled(tmp_path: Path) -> None:
    tests, lock = tmp_path / "tests", tmp_path / "cache" / "lock"
    tests.mkdir()
    for number in range(FEW + 1):
        (tests / f"test_{number}.py").write_text("pass")
    with by_one_process(tests, lock):
        assert is_held(lock)
        compileall.compile_dir(tests, quiet=1)
    assert not is_held(lock)
    with by_one_process(tests, lock):
        assert not is_held(lock), "what is compiled is loaded by all at once"
