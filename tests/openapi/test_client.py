"""A client that openapi-python-client makes from a key's document does a round trip with the server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidings.testing import Api, TestServer

HERE = Path(__file__).parent
UV = Path(sys.executable).parent / "uv"
SECONDS = 300
SETTINGS = {
    "package_name_override": "tidings_made",
    "post_hooks": [],
    # It knows no files of lines; this is what it may send as they are.
    "content_type_overrides": dict.fromkeys(("text/csv", "application/x-ndjson"), "application/octet-stream"),
}
STEPS = ["published", "read", "listed", "registered", "changed", "deleted"]
STEPS += ["declared", "created", "asked", "edited", "forgotten", "batched"]


def run(*command: str | Path, path: Path | None = None) -> str:
    """What a program that must succeed says. It sees no Python settings of ours; `path` is where it imports from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    more = {} if path is None else {"PYTHONPATH": str(path)}
    done = subprocess.run(command, env=kept | more, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4_000:]}{done.stderr[-4_000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest) -> Path:
    """Where the generator is, from the lock beside this file; kept between runs. The folder of its programs."""
    lock = HERE / "requirements.lock"
    mark = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = Path(request.config.cache.mkdir(f"client-{mark}"))
    whole = folder / "whole"
    if not whole.exists():
        run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder / "venv")
        python = folder / "venv" / "bin" / "python"
        run(UV, "pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", lock)
        whole.touch()
    return folder / "venv" / "bin"


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_a_made_client_does_a_round_trip(
    server: TestServer, callers: dict[str, Api], environment: Path, tmp_path: Path, who: str
) -> None:
    caller = callers[who]
    (tmp_path / "openapi.json").write_text(json.dumps(caller.get("/v1/openapi.json")))
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    made = tmp_path / "made" / "tidings_made"
    made.parent.mkdir()
    said = run(
        environment / "openapi-python-client", "generate", "--path", tmp_path / "openapi.json", "--meta", "none",
        "--config", tmp_path / "settings.json", "--output-path", made, "--fail-on-warning",
    )  # fmt: skip
    assert "Warning" not in said, said
    done = run(environment / "python", HERE / "round_trip.py", server.url, caller.key or "", path=made.parent)
    assert done.split() == STEPS
