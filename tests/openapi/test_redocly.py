"""Redocly, with the rules that it has by default, finds nothing in anybody's document.

What it says about a document is kept between runs, and it is asked again about others only.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.examples import are_all
from tests.installing import kept
from tests.openapi.conftest import CALLERS, LOCKS, without_ids
from tidings.testing import Api

SECONDS = 120


def problems(redocly: Path, documents: dict[str, Any]) -> list[str]:
    """What Redocly says about documents, errors and warnings, each with the name of the document.

    One process looks at them all: it takes longer to load itself than to look at one.
    """

    def ask(folder: Path) -> None:
        for name, document in documents.items():
            (folder / f"{name}.json").write_text(json.dumps(document))
        # It would ask for a newer version, and tell of its use.
        quiet = {**os.environ, "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "REDOCLY_TELEMETRY": "off"}
        command: list[str | Path] = [redocly, "lint", "--format", "json", *(f"{name}.json" for name in documents)]
        ran = subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=SECONDS)
        assert ran.stdout, ran.stderr[-2_000:]
        (folder / "said").write_text(ran.stdout)

    asked = [f"{name} {without_ids(document)}" for name, document in documents.items()]
    # A document for each that it looked at, one after the other.
    found, rest = [], (kept("redocly", [*asked, *LOCKS], ask) / "said").read_text().strip()
    for name in documents:
        said, end = json.JSONDecoder().raw_decode(rest)
        rest = rest[end:].strip()
        found += [f"{name}: {each['ruleId']}: {each['message']}" for each in said["problems"]]
    assert not rest, rest[:2_000]
    return found


@pytest.mark.slow
@pytest.mark.thorough
def test_redocly_finds_nothing(callers: dict[str, Api], npm_programs: Path) -> None:
    asked = [who for who in CALLERS if who != "nobody"] if are_all() else ["operator"]
    documents = {who: callers[who].get("/v1/openapi.json") for who in asked}
    assert problems(npm_programs / "redocly", documents) == []


@pytest.mark.slow
@pytest.mark.thorough
def test_redocly_finds_nothing_in_awkward_documents(awkward: dict[str, Any], npm_programs: Path) -> None:
    assert problems(npm_programs / "redocly", awkward) == []


@pytest.mark.slow
@pytest.mark.thorough
def test_redocly_finds_what_is_wrong(callers: dict[str, Api], npm_programs: Path) -> None:
    document = callers["guest"].get("/v1/openapi.json")
    del document["info"]["license"]
    found = problems(npm_programs / "redocly", {"guest": document})
    assert [each.split(": ")[1] for each in found] == ["info-license"]
