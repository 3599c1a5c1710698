"""Redocly, with the rules that it has by default, finds nothing in anybody's document."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.openapi.conftest import CALLERS
from tidings.testing import Api

SECONDS = 120


def problems(redocly: Path, document: Any, folder: Path) -> list[str]:
    """What Redocly says about a document, errors and warnings."""
    (folder / "openapi.json").write_text(json.dumps(document))
    # It would ask for a newer version, and tell of its use.
    quiet = {**os.environ, "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "REDOCLY_TELEMETRY": "off"}
    command: list[str | Path] = [redocly, "lint", "--format", "json", "openapi.json"]
    ran = subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=SECONDS)
    assert ran.stdout, ran.stderr[-2_000:]
    return [f"{each['ruleId']}: {each['message']}" for each in json.loads(ran.stdout)["problems"]]


@pytest.mark.slow
@pytest.mark.parametrize("who", [who for who in CALLERS if who != "nobody"])
def test_redocly_finds_nothing(callers: dict[str, Api], npm_programs: Path, tmp_path: Path, who: str) -> None:
    assert problems(npm_programs / "redocly", callers[who].get("/v1/openapi.json"), tmp_path) == []


@pytest.mark.slow
def test_redocly_finds_nothing_in_awkward_documents(
    awkward: dict[str, Any], npm_programs: Path, tmp_path: Path
) -> None:
    for who, document in awkward.items():
        assert problems(npm_programs / "redocly", document, tmp_path) == [], who


@pytest.mark.slow
def test_redocly_finds_what_is_wrong(callers: dict[str, Api], npm_programs: Path, tmp_path: Path) -> None:
    document = callers["guest"].get("/v1/openapi.json")
    del document["info"]["license"]
    assert [each.split(":")[0] for each in problems(npm_programs / "redocly", document, tmp_path)] == ["info-license"]
