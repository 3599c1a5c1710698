"""Server processes that begin as a copy of one that has loaded Tidings: to load it takes nine tenths of a start.

Each is a real process with its own memory, which ends by SIGTERM or kill -9 as any other does. What `tidings serve`
does from its first import on is tested by tests/cli/test_serve.py, which starts it from a shell's point of view.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from tests.repository import ROOT
from tests.warm_example import load_clients, play
from tests.warm_server import load_server
from tests.warm_shell import fixed, keep, load_commands, put_program
from tidings.testing import process

LOADS = {"tests.warm_shell": load_commands, "tests.warm_example": load_clients}
"""What is loaded, once, before the first copy of its kind."""
LOOK_SECONDS = 0.01
REQUEST_BYTES = 1 << 20


class Started:
    """A process that was started; as far as `ProcessServer` uses it, a `subprocess.Popen`."""

    def __init__(self, loaded: Loaded, pid: int, *pipes: IO[str] | None) -> None:
        self._loaded, self.pid = loaded, pid
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *wrong: object) -> None:
        self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """The rest of what it prints, to its end. Raises subprocess.TimeoutExpired."""
        said = ["", ""]

        def read(index: int, pipe: IO[str]) -> None:
            said[index] = pipe.read()

        pipes = [(index, pipe) for index, pipe in enumerate((self.stdout, self.stderr)) if pipe is not None]
        readers = [threading.Thread(target=read, args=each, daemon=True) for each in pipes]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        return said[0], said[1]

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._loaded.ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it ended. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("tidings", timeout or 0)
            time.sleep(LOOK_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to it if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)


class Loaded:
    """The process that the others are copies of. It ends with this one."""

    def __init__(self, ours: socket.socket, end: Callable[[], object] = lambda: None) -> None:
        """`ours`: the end of a pair of sockets at whose other one `serve` runs; `end` waits until that has ended."""
        self._fixed = fixed(os.environ)
        self._socket, self._end = ours, end
        self._lock = threading.Lock()

    def close(self) -> None:
        """End it; what it started goes on."""
        self._socket.close()
        self._end()

    def has(self, environment: dict[str, str]) -> bool:
        """Whether a process with these variables may be its copy: those that only a start reads are the same."""
        return _can_copy() and fixed(environment) == self._fixed

    def ask(self, request: dict[str, Any], *files: int) -> Any:
        """Its answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            return json.loads(self._socket.recv(REQUEST_BYTES))

    def start(self, command: list[str], *, stdin: Any, stdout: Any, stderr: Any, **around: Any) -> Started:
        """Start what `python -m` would, with these streams, and its variables and folder."""
        with contextlib.ExitStack() as ours:
            given, put = _stream(stdin, "w", ours)
            taken, got = _stream(stdout, "r", ours)
            noted, log = _stream(stderr, "r", ours)
            said = {"start": command, "environment": around["env"], "folder": str(around.get("cwd") or os.getcwd())}
            pid = self.ask(said, given, taken, noted)
        return Started(self, pid, put, got, log)

    def shell(self, command: list[str], folder: Path, environment: dict[str, str], said: IO[str]) -> Started:
        """Start bash, which reads its standard input and prints everything to `said`. See tests/warm_shell.py."""
        programs = folder.with_name("programs")
        programs.mkdir()
        put_program(programs, self._fixed)
        environment = {**environment, "PATH": f"{programs}:{environment['PATH']}"}
        streams = {"stdin": subprocess.PIPE, "stdout": said, "stderr": said}
        return self.start(["tests.warm_shell", *command], env=environment, cwd=folder, **streams)


def _can_copy() -> bool:
    """Whether processes can be copied. On macOS, what has loaded the system's libraries cannot safely be."""
    return sys.platform == "linux"


def _stream(wanted: Any, mode: str, ours: contextlib.ExitStack) -> tuple[int, IO[str] | None]:
    """The descriptor that the process is given, and the other end of a pipe."""
    if wanted == subprocess.PIPE:
        reads, writes = os.pipe()
        theirs, kept = (reads, writes) if mode == "w" else (writes, reads)
        ours.callback(os.close, theirs)
        return theirs, os.fdopen(kept, mode)
    if wanted == subprocess.DEVNULL:
        theirs = os.open(os.devnull, os.O_RDWR)
        ours.callback(os.close, theirs)
        return theirs, None
    return wanted if isinstance(wanted, int) else wanted.fileno(), None


def popen(*command: str, env: dict[str, str], cwd: Path | None = None, stdin: Any = subprocess.DEVNULL) -> Any:
    """A process, as `subprocess.Popen` starts it, of `python -m` with a command; what it prints is read from pipes."""
    streams: dict[str, Any] = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if not _loaded().has(env):
        return subprocess.Popen([sys.executable, "-m", *command], env=env, cwd=cwd, text=True, **streams)
    return _loaded().start(list(command), env=env, cwd=cwd, **streams)


def ended(*command: str, env: dict[str, str], cwd: Path | None, seconds: float) -> subprocess.CompletedProcess[str]:
    """What `python -m` with a command that ends soon prints, and its exit status."""
    return _ended([sys.executable, "-m", *command], list(command), env, cwd, seconds)


def played(*command: str, env: dict[str, str], cwd: Path | None, seconds: float) -> subprocess.CompletedProcess[str]:
    """The same of `python` with a file and its arguments; the servers that it starts are copies, too."""
    return _ended([sys.executable, *command], ["tests.warm_example", *command], env, cwd, seconds)


def _ended(
    cold: list[str], command: list[str], env: dict[str, str], cwd: Path | None, seconds: float
) -> subprocess.CompletedProcess[str]:
    if not _loaded().has(env):
        return subprocess.run(
            cold,
            env=env,
            cwd=cwd,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
        process = _loaded().start(command, env=env, cwd=cwd, **streams)
        try:
            status = process.wait(seconds)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(cold, status, out.read(), err.read())


def shell(command: list[str], folder: Path, environment: dict[str, str], said: IO[str]) -> Any:
    """Start bash, with copies as its calls of `tidings`, in a session of its own.

    It reads its standard input, and prints everything to `said`. The folder next to `folder` that is called `programs`
    is first on its path.
    """
    if _can_copy():
        return _loaded().shell(command, folder, environment, said)
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": said, "stderr": said}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, start_new_session=True, **streams)


_LOADED: list[Loaded] = []


def _loaded() -> Loaded:
    """The one of this process, made when it is first asked for."""
    if not _LOADED:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        _LOADED.append(Loaded(ours, process.wait))
    return _LOADED[0]


def copying(loaded: Callable[[], Loaded]) -> SimpleNamespace:
    """What `ProcessServer` needs of the module `subprocess`, with copies where they may be."""

    def popen(command: list[str], *, env: dict[str, str], text: bool, **streams: Any) -> Any:
        if command[:2] != [sys.executable, "-m"] or not loaded().has(env):
            return subprocess.Popen(command, env=env, text=text, **streams)
        return loaded().start(command[2:], env=env, **streams)

    taken = {name: getattr(subprocess, name) for name in ("DEVNULL", "PIPE", "TimeoutExpired")}
    return SimpleNamespace(Popen=popen, **taken)


@contextlib.contextmanager
def warm_starts() -> Iterator[None]:
    """Let `ProcessServer` start copies, in this process."""
    # Not above: the processes that are started should have loaded no more than Tidings.
    from granian.log import configure_logging
    from granian.server import common
    from pytest import MonkeyPatch

    with MonkeyPatch.context() as patch:
        patch.setattr(process, "subprocess", copying(_loaded))
        # Each HTTP server sets the loggers of its process as all others do, which takes a tenth of a server's start.
        patch.setattr(common, "configure_logging", functools.cache(configure_logging))
        try:
            yield
        finally:
            while _LOADED:
                _LOADED.pop().close()


# --- what runs in the process itself -------------------------------------------------------------------------------


def serve(asked: socket.socket) -> None:
    """Start processes and tell how they ended, until nobody asks any more."""
    load_server()
    while True:
        said, files, _, _ = socket.recv_fds(asked, REQUEST_BYTES, 3)
        if not said:
            return
        request = json.loads(said)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            if (load := LOADS.get(request["start"][0])) is not None:
                load()
            answer = os.fork()
            if answer == 0:
                asked.close()
                become(request, files)
            for each in files:
                os.close(each)
        asked.sendall(json.dumps(answer).encode())


def become(request: dict[str, Any], files: list[int]) -> None:
    """Turn this copy into the process that is wanted, to its end."""
    status = 1
    try:
        for number, each in enumerate(files):
            os.dup2(each, number)
            os.close(each)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        module, *arguments = request["start"]
        sys.argv = [module, *arguments]
        if module == "tidings":
            from tidings.cli.main import app

            status = app(arguments)
        elif module == "tests.warm_shell":
            status = keep(arguments, become)
        elif module == "tests.warm_example":
            status = play(arguments, serve)
        else:
            from tidings.testing.serve import main

            main()
            status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        serve(asked)
