"""Prism, which plays an API from its published OpenAPI document and refuses what that does not allow."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.processes import ask
from tests.installing import npm_packages
from tidings.testing import until
from tidings.testing.ports import free_port

TWILIO = "@twilio-alpha/mcp/twilio-oai/spec/json/twilio_api_v2010.json"
"""Twilio's own document, as its package brings it."""


@contextmanager
def playing(folder: Path, document: str, *paths: str) -> Iterator[str]:
    """Play a document's operations on some paths: the URL."""
    packages = npm_packages(Path(__file__).parent, "peers-npm")
    found: dict[str, Any] = json.loads((packages / document).read_text())
    # It compiles each operation, and there are hundreds.
    found["paths"] = {path: found["paths"][path] for path in paths}
    file, port = folder / "document.json", free_port()
    file.write_text(json.dumps(found))
    command = [packages / ".bin" / "prism", "mock", "--errors", "-h", "127.0.0.1", "-p", str(port), file]
    with (folder / "prism.log").open("wb") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)

    def is_up() -> bool:
        assert process.poll() is None, (folder / "prism.log").read_text()[-2_000:]
        try:
            return ask(port, "GET", "/")[0] > 0
        except OSError:
            return False

    try:
        until(is_up, "Prism listens", 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
