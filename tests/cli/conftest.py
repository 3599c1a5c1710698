"""One server for a file of tests, and the command line called within the test's process."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tidings.cli.commands import tree
from tidings.cli.table import BY_NAME
from tidings.testing import Receiver, TestServer

Run = Callable[..., Result]

program = cache(tree)
"""The program with these commands. Each call makes typer build all of them, which takes longer than the call itself."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server."""
    with TestServer(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def run(server: TestServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Call a command as the operator of that server, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    environment = {"TIDINGS_URL": server.url, "TIDINGS_KEY": str(server.api.key)}

    def run(*args: str, input: str | None = None, env: dict[str, str] | None = None) -> Result:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            cli = program(args[:1] if args and args[0] in BY_NAME else tuple(BY_NAME))
            return CliRunner().invoke(cli, list(args), input=input, env={**environment, **(env or {})})
        finally:
            # `serve` blocks the signals that end it; processes of later tests would inherit that, and never end.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return run


@pytest.fixture
def read(run: Run) -> Callable[..., Any]:
    """Call a command with --json; its answer as values."""

    def read(*args: str, **more: Any) -> Any:
        result = run(*args, "--json", **more)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return read


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write this `tidings.yaml` where commands are called, and return its name."""

    def write(text: str) -> str:
        (tmp_path / "tidings.yaml").write_text(text)
        return "tidings.yaml"

    return write
