"""examples/receiver.py: it learns the secrets of endpoints that are registered while it runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT
from tidings.testing import TestServer, until

RECEIVER = [sys.executable, str(ROOT / "examples" / "receiver.py")]


@pytest.mark.slow
def test_an_endpoint_registered_later_is_verified(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with TestServer(tmp_path / "data") as server, log.open("wb") as out:
        env = {**os.environ, "TIDINGS_URL": server.url, "TIDINGS_KEY": str(server.api.key)}
        env.pop("WEBHOOK_SECRET", None)
        process = subprocess.Popen([*RECEIVER, str(port)], env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(lambda: "receiving at" in log.read_text(), "it listens", 10)
            server.api.post("/v1/endpoints", {"url": f"http://127.0.0.1:{port}/a", "events": ["tasks.*"]})
            server.api.post("/v1/events", {"type": "tasks.done", "data": {"n": 1}})
            until(lambda: "verified: tasks.done" in log.read_text(), "it asked for the secrets", 10)
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.slow
def test_two_endpoints_of_one_url_are_both_verified(tmp_path: Path) -> None:
    """Whoever followed the README and then start.md has two, each with its own secret."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with TestServer(tmp_path / "data") as server, log.open("wb") as out:
        for _ in range(2):
            server.api.post("/v1/endpoints", {"url": f"http://127.0.0.1:{port}/", "events": ["tasks.*"]})
        env = {**os.environ, "TIDINGS_URL": server.url, "TIDINGS_KEY": str(server.api.key)}
        env.pop("WEBHOOK_SECRET", None)
        process = subprocess.Popen([*RECEIVER, str(port)], env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(lambda: "receiving at" in log.read_text(), "it listens", 10)
            for n in range(3):
                server.api.post("/v1/events", {"type": "tasks.done", "data": {"n": n}})
            delivered = "/v1/deliveries?state=delivered"
            until(lambda: len(server.api.get(delivered)["data"]) == 6, "both accept all three", 10)
            assert "verified: tasks.done" in log.read_text() and "refused" not in log.read_text()
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.slow
def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run([*RECEIVER, str(taken.getsockname()[1])], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "Choose another" in done.stderr
