"""Two servers never share a store: the second is refused with a sentence, and the first is not disturbed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tidings.store.base import StoreError
from tidings.testing import ProcessServer, TestServer


@pytest.mark.slow
def test_on_the_same_folder(tmp_path: Path) -> None:
    with TestServer(tmp_path / "one") as first:
        with pytest.raises(StoreError, match=r"another Tidings server is running on .*; stop it first"):
            TestServer(tmp_path / "one").start()
        first.api.publish("step")


@pytest.mark.slow
def test_on_the_same_file_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    database = f"sqlite:{tmp_path}/shared/events.db"
    with TestServer(tmp_path / "one", database=database) as first:
        with pytest.raises(StoreError, match=r"another Tidings server is running on .*; stop it first"):
            TestServer(tmp_path / "two", database=database).start()
        first.api.publish("step")
    shutil.copy(tmp_path / "one" / "secret.key", tmp_path / "two" / "secret.key")
    with TestServer(tmp_path / "two", database=database) as second:
        assert len(second.api.get("/v1/events")["data"]) == 1


@pytest.mark.slow
def test_the_command_says_it_in_a_sentence(tmp_path: Path) -> None:
    with ProcessServer(tmp_path) as first:
        second = ProcessServer(tmp_path)
        with pytest.raises(RuntimeError, match=r"tidings: Another Tidings server is running on .*; stop it first"):
            second.start()
        assert "Traceback" not in second.log
        first.api.publish("step")


def test_an_unusable_folder_is_reported_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "data" / "tidings.db"
    file.mkdir(parents=True)
    said = rf"tidings: The database cannot be opened \({re.escape(str(file))}: unable to open database file\)"
    with pytest.raises(RuntimeError, match=said):
        ProcessServer(tmp_path).start()


def test_a_file_that_is_not_a_database_is_reported_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "data" / "tidings.db"
    file.parent.mkdir()
    file.write_bytes(b"notes of mine\n" * 100)
    said = rf"tidings: The database cannot be opened \({re.escape(str(file))}: file is not a database\)"
    with pytest.raises(RuntimeError, match=said):
        ProcessServer(tmp_path).start()
    assert file.read_bytes() == b"notes of mine\n" * 100
