"""Tests that copies of one process run are reported as if that process had run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import parts
from tests.repository import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")

CONFTEST = """
import os
import pytest
from pathlib import Path
from tests import forked

@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    forked.take_over(config, lambda: None)

@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    yield tmp_path_factory.mktemp("shared")
    Path(__file__).with_name(f"removed-{os.getpid()}").touch()
"""

TESTS = """
import os
import time
import warnings
import pytest

@pytest.mark.parametrize("number", range(20))
def test_good(number, shared):
    time.sleep(0.01)

def test_wrong(shared):
    print("said", "before")
    assert [1, 2] == [1, 3]

def test_left_out():
    pytest.skip("no such program")

def test_warning():
    warnings.warn("careful")

def test_ends_its_process(shared):
    os._exit(7)

def test_of_its_own_folder(tmp_path):
    assert os.environ["PYTEST_XDIST_WORKER"] in tmp_path.parts
"""


def run(folder: Path, *arguments: str) -> str:
    """What pytest prints about these tests, with two processes."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ["-n", "2", "-p", "no:schemathesis", "-p", "no:anyio", "-p", "no:cacheprovider", *arguments]
    # Among the folders of other runs, it would look for old ones to remove, and warn of those that others removed.
    options += ["--basetemp", str(folder / "temporary")]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.slow
def test_whatever_happens_to_a_test_is_reported(tmp_path: Path) -> None:
    said = run(tmp_path, "-rs")
    assert "2 failed, 22 passed, 1 skipped, 1 warning in" in said, said.partition("warnings summary")[2]
    assert "assert [1, 2] == [1, 3]" in said and "said before" in said, "what is wrong, and what was printed"
    assert "SKIPPED [1] test_some.py:16: no such program" in said and "UserWarning: careful" in said
    assert "The process that ran this test ended with 7." in said
    assert list(tmp_path.glob("removed-*")), "what the tests of a process share is removed, unless it was killed"


@pytest.mark.slow
def test_a_run_that_should_stop_stops(tmp_path: Path) -> None:
    said = run(tmp_path, "-x", "-k", "wrong or good")
    assert "stopping after 1 failures" in said and "1 failed" in said
    assert list(tmp_path.glob("removed-*"))


@pytest.mark.parametrize(("tests", "count"), [(0, 3), (2, 6), (10, 3), (6, 6)])
def test_parts_are_equal_and_in_order(tests: int, count: int) -> None:
    found = parts(tests, count)
    assert [each for part in found for each in part] == list(range(tests))
    assert max(map(len, found)) - min(map(len, found)) <= 1
