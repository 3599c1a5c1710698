"""kill -9 at random moments while hooks come in: every request that was answered is an event, exactly once."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from tests.kills import taken_in_once_through_kills
from tidings.testing import ProcessServer

SECRET = b"It's a Secret to Everybody"


@pytest.mark.slow
def test_hooks_through_kills_at_random_moments(tmp_path: Path, database: str | None) -> None:
    with ProcessServer(tmp_path, database=database) as server:
        server.api.post("/v1/hooks", {"path": "github", "scheme": "github", "secrets": [SECRET.decode()]})

        def send(number: int) -> int:
            body = b'{"n":%d}' % number
            headers = {
                "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest(),
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": f"d-{number}",
            }
            return server.api.call("POST", "/in/github", body, headers).status

        taken_in_once_through_kills(server, send, senders=6, kills=5)
