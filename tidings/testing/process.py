"""A server in a separate process: the real `tidings serve`, which can be killed, or one whose clock can be moved."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from tidings.testing.api import LOOPBACK, OPERATOR_KEY, Api
from tidings.testing.ports import free_port, keep_port
from tidings.testing.waiting import until

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class ProcessServer:
    """One server process; use it in a `with`, or `start` and `stop`. A restart finds the same folder and port.

    `movable_clock`: run `tidings.testing.serve`, whose clock `advance` and `set_by` move, instead of `tidings serve`.
    `config`: the server's tidings.yaml; without it, the server reads no file, wherever it is started.
    `settings` are those of the server, such as `max_body_bytes=2048`; they override the file.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        config: Path | None = None,
        database: str | None = None,
        movable_clock: bool = False,
        **settings: object,
    ) -> None:
        self._made = None if folder else Path(tempfile.mkdtemp(prefix="tidings-test-"))
        self.folder = folder or Path(str(self._made))
        self.port = keep_port(self) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = Api(self.url, OPERATOR_KEY)
        self.process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None
        self._movable = movable_clock
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        chosen = {"operator_key": OPERATOR_KEY, "allow_addresses": LOOPBACK, **settings}
        if database is not None:
            chosen["database"] = database
        self._environment |= {f"TIDINGS_{name.upper()}": str(value) for name, value in chosen.items()}
        self._environment["TIDINGS_CONFIG"] = str(config or os.devnull)

    def __enter__(self) -> ProcessServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the server has logged so far, over all its starts."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> ProcessServer:
        """Start it and wait until it is ready. Raises RuntimeError with its output if it ends before that."""
        self.launch()
        self.wait_until_ready()
        if self._movable:
            self._line()
        return self

    def launch(self) -> None:
        """Start it without waiting, as for a server that stands by."""
        module = ["tidings.testing.serve"] if self._movable else ["tidings", "serve"]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module, "--data", str(self.folder / "data"), "--port", str(self.port)],
            stdin=subprocess.PIPE if self._movable else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._movable else self._log,
            stderr=self._log,
            env=self._environment,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until it serves. Raises RuntimeError with its output if it ends before that."""
        until(self._is_ready, "the server is ready", START_SECONDS)

    def stop(self) -> int:
        """Stop it with SIGTERM (or by ending its input); returns its exit status."""
        process = self.process
        if process is None:
            return 0
        if process.stdin is not None:
            process.stdin.close()
        elif process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the server did not stop within {STOP_SECONDS:g} s:\n{self.log[-2000:]}") from None
        self._forget()
        return status

    def kill(self) -> None:
        """End it as kill -9 does: nothing is finished, and nothing is saved."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._forget()

    def restart(self) -> None:
        """Stop (if it runs) and start on the same folder and port."""
        self.stop()
        self.start()

    def advance(self, seconds: float) -> str:
        """Move the clock of a server with `movable_clock`; returns the new time (RFC 3339)."""
        return self._move("advance", seconds)

    def set_by(self, seconds: float) -> str:
        """Set that clock forwards or backwards; unlike with `advance`, no time passes. Returns the new time."""
        return self._move("set_by", seconds)

    def _move(self, how: str, seconds: float) -> str:
        assert self.process is not None and self.process.stdin is not None, "only with movable_clock=True, and running"
        self.process.stdin.write(f"{how} {seconds}\n")
        self.process.stdin.flush()
        return self._line().removeprefix("now ").strip()

    def _line(self) -> str:
        assert self.process is not None and self.process.stdout is not None
        return self.process.stdout.readline()

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            self._forget()
            raise RuntimeError(f"the server did not start:\n{self.log[-2000:]}")
        try:
            reply = self.api.with_key(None).call("GET", "/readyz")
            # On a full disk, the server runs, and reports that it accepts no writes.
            return reply.status == 200 or "Writes are refused" in reply.json["detail"]
        except OSError:
            return False

    def _forget(self) -> None:
        process, self.process = self.process, None
        for stream in (process.stdin if process else None, process.stdout if process else None, self._log):
            if stream is not None and not stream.closed:
                stream.close()
