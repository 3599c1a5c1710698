"""A client that openapi-python-client makes from a key's document does a round trip with the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.installing import kept
from tests.openapi.conftest import run, without_ids
from tidings.testing import Api, TestServer

HERE = Path(__file__).parent
SETTINGS = {
    "package_name_override": "tidings_made",
    "post_hooks": [],
    # It knows no files of lines; this is what it may send as they are.
    "content_type_overrides": dict.fromkeys(("text/csv", "application/x-ndjson"), "application/octet-stream"),
}
STEPS = ["published", "read", "listed", "registered", "changed", "deleted"]
STEPS += ["declared", "created", "asked", "edited", "forgotten", "batched"]


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_a_generated_client_does_a_round_trip(
    server: TestServer, callers: dict[str, Api], environment: Path, who: str
) -> None:
    caller = callers[who]
    document = caller.get("/v1/openapi.json")

    def make(folder: Path) -> None:
        (folder / "openapi.json").write_text(json.dumps(document))
        (folder / "settings.json").write_text(json.dumps(SETTINGS))
        made = folder / "made" / "tidings_made"
        made.parent.mkdir()
        said = run(
            environment / "openapi-python-client", "generate", "--path", folder / "openapi.json", "--meta", "none",
            "--config", folder / "settings.json", "--output-path", made, "--fail-on-warning",
        )  # fmt: skip
        assert "Warning" not in said, said

    made = kept("client", [without_ids(document), SETTINGS, HERE / "requirements.lock"], make) / "made"
    done = run(environment / "python", HERE / "round_trip.py", server.url, caller.key or "", path=made)
    assert done.split() == STEPS
