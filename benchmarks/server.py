"""A real `tidings serve` process, seen from outside: started, queried, killed, and measured as Linux sees it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from benchmarks.generator import Load
from benchmarks.processes import SinkProcess, ask, end
from tidings.testing.ports import free_port

START_SECONDS_MAX = 60
KEY = "tdk_" + secrets.token_urlsafe(32)


class ServerFailed(Exception):
    """The server did not start, or refused a request of the set-up; the text says which and why."""


class Server:
    """One server on a data folder and, if `database` is given, on that database. `environment`: further variables."""

    def __init__(
        self, folder: Path, database: str = "", port: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.database = database
        self.environment = dict(environment or {})
        self.command = tidings()
        self.port = port or free_port()
        self.log: IO[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> float:
        """Start it and wait until `/readyz` answers 200; the seconds that took."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        environment = dict(
            os.environ, TIDINGS_OPERATOR_KEY=KEY, TIDINGS_ALLOW_ADDRESSES="127.0.0.0/8", **self.environment
        )
        command = [*self.command, "serve", "--data", str(self.folder / "data"), "--port", str(self.port)]
        if self.database:
            command += ["--database", self.database]
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() - begun > START_SECONDS_MAX:
                self.stop()
                raise ServerFailed(f"it did not start: {self.last_words()}")
            time.sleep(0.003)
        self.start_seconds = time.monotonic() - begun
        return self.start_seconds

    def ready(self) -> bool:
        """True when it answers that it is ready."""
        try:
            return ask(self.port, "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def last_words(self) -> str:
        """The end of what it printed."""
        log = self.folder.parent / f"{self.folder.name}.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> float:
        """Stop it with SIGTERM; the seconds that took."""
        took = end(self.process) if self.process else 0.0
        if self.log:
            self.log.close()
        return took

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call as the operator. Raises ServerFailed for any answer that is not 2xx."""
        status, answer = ask(self.port, method, path, body, KEY)
        if not 200 <= status < 300:
            raise ServerFailed(f"{method} {path} was answered {status}: {answer[:500].decode(errors='replace')}")
        return json.loads(answer) if answer else None

    def metrics(self) -> str:
        """Its metrics, as text."""
        return ask(self.port, "GET", "/metrics", None, KEY)[1].decode()

    def register(self, sink: SinkProcess, path: str, events: Sequence[str] = ()) -> str:
        """Register a path of the sink as an endpoint, and let the sink know its secret; the endpoint's id."""
        body: dict[str, Any] = {"url": sink.url(path)}
        if events:
            body["events"] = list(events)
        endpoint: str = self.call("POST", "/v1/endpoints", body)["id"]
        sink.know(path, self.call("GET", f"/v1/endpoints/{endpoint}/secret")["secret"])
        return endpoint

    def load(self, run: int, seconds: float, **more: Any) -> Load:
        """A load on its events, one per request or in batches; `more` are further fields of `Load`."""
        path = "/v1/events:batch" if more.get("batch", 1) > 1 else "/v1/events"
        return Load(port=self.port, path=path, run=run, seconds=seconds, authorization=KEY, **more)


def tidings() -> list[str]:
    """The command: the script beside this Python if it is there, else the module."""
    script = Path(sys.executable).with_name("tidings")
    return [str(script)] if script.exists() else [sys.executable, "-m", "tidings"]


@contextmanager
def running(folder: Path, database: str = "", environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that is stopped with the block."""
    server = Server(folder, database, environment=environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()
