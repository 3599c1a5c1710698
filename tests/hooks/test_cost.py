"""What a request to a hook costs the server: whoever is refused takes less of it than a sender."""

from __future__ import annotations

import hmac
import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.testing import ProcessServer

pytestmark = pytest.mark.slow

SECRET = "the sender's secret"
COUNT, BODY_BYTES = 300, 5_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessServer]:
    with ProcessServer(tmp_path_factory.mktemp("cost")) as server:
        server.api.post("/v1/hooks", {"path": "costly", "scheme": "github", "secrets": [SECRET]})
        yield server


def seconds(server: ProcessServer, path: str, secret: str | None, status: int) -> float:
    """The processor time that the server spends on many requests."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    before = spent(server)
    for number in range(COUNT):
        body = f'{{"path": "{path}", "number": {number}, "x": "{"x" * BODY_BYTES}"}}'.encode()
        headers = {"Content-Type": "application/json"}
        if secret is not None:
            headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
        try:
            connection.request("POST", f"/in/{path}", body, headers)
        except ConnectionError:
            # An answer that does not wait for the body may end the connection.
            connection.close()
            connection.request("POST", f"/in/{path}", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()
    return spent(server) - before


def spent(server: ProcessServer) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_refused_request_costs_less_than_an_accepted_one(server: ProcessServer) -> None:
    accepted = seconds(server, "costly", SECRET, 200)
    assert seconds(server, "costly", "a guess", 401) < accepted
    assert seconds(server, "costly", None, 401) < accepted
    assert seconds(server, "nowhere", SECRET, 404) < accepted
