"""The examples work with what `make install` brings, which is without the library standardwebhooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import thorough
from tests.scenarios import run

pytestmark = pytest.mark.slow


@pytest.fixture
def without_library(tmp_path: Path) -> str:
    """A PYTHONPATH with which `import standardwebhooks` fails."""
    (tmp_path / "standardwebhooks.py").write_text("raise ModuleNotFoundError('standardwebhooks')\n")
    return str(tmp_path)


@pytest.mark.parametrize("example", ["task_completed", *thorough("card_payment", "id_at_the_bar")])
def test_an_example_plays_without_the_library(example: str, without_library: str) -> None:
    run(f"{example}/run.py", PYTHONPATH=without_library)


@pytest.mark.thorough
def test_the_demo_plays_without_the_library_and_says_who_checks(without_library: str) -> None:
    said = run("demo.py", "--orders", "2", PYTHONPATH=without_library)
    assert "checked by tidings.client.verify" in " ".join(said.split())
