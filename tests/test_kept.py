"""What tests keep between runs: made once of the same inputs, again of others, and never half."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests import installing
from tests.installing import UNUSED_SECONDS, kept


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(installing, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_it_is_made_again_only_of_other_inputs(tmp_path: Path) -> None:
    made, source = list[Path](), tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("1")
    for text, name in (("1", "a.txt"), ("1", "a.txt"), ("2", "a.txt"), ("2", "b.txt")):
        for each in source.iterdir():
            each.unlink()
        (source / name).write_text(text)
        assert kept("it", ["x", source, source / name], made.append).is_dir()
    assert len(made) == 3 == len(set(made))


def test_what_a_failed_attempt_has_left_is_gone_at_the_next() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").mkdir()
        (folder / "file").write_text("half")
        raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        kept("it", ["x"], fail)
    folder = kept("it", ["x"], lambda folder: (folder / "good").touch())
    assert {each.name for each in folder.iterdir()} == {"good", "lock", "whole"}


def test_what_was_not_used_for_long_is_removed() -> None:
    old, recent = kept("it", ["old"], lambda folder: None), kept("it", ["recent"], lambda folder: None)
    other = kept("it-too", ["old"], lambda folder: None)
    long_ago = time.time() - UNUSED_SECONDS - 60
    for each in (old, other):
        os.utime(each / "whole", (long_ago, long_ago))
    kept("it", ["new"], lambda folder: None)
    assert not old.exists() and recent.exists() and other.exists()
