"""A bash whose `tidings` is a copy of a process that has loaded Tidings, which is most of what a call takes.

`keep` runs in such a copy (tests/warm.py). It starts bash and, at the request of the program `tidings` on bash's path,
copies itself once for each call, with the call's arguments, variables, folder and streams. All of them are in one
session and one process group, as if bash had started them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import marshal
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tidings.cli.table import COMMANDS

Become = Callable[[dict[str, Any], list[int]], None]
ADDRESS = "WARM_SHELL"
REQUEST_BYTES = 1 << 18
FIXED = ("PYTHON", "TZ", "LANG", "LC_", "LD_", "OPENSSL_")
"""Variables that a process reads when it starts: one that has others is no copy."""
CALL = """\
#!{python} -ISE
import _signal, _socket, array, marshal, os, sys
fixed = {{name: os.environ.get(name) for name in os.environ if name.startswith({fixed})}}
if fixed != {there}:
    os.execv({python!r}, [{python!r}, "-m", "tidings", *sys.argv[1:]])
keeper = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
keeper.connect(b"\\0" + os.environb[b"{address}"])
ignored = _signal.getsignal(_signal.SIGINT) == _signal.SIG_IGN
asked = marshal.dumps((sys.argv[1:], dict(os.environ), os.getcwd(), ignored))
streams = array.array("i", (0, 1, 2))
keeper.sendmsg([asked], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
for each in (_signal.SIGTERM, _signal.SIGHUP, *(() if ignored else (_signal.SIGINT,))):
    _signal.signal(each, lambda number, _: keeper.send(b"%d" % number))
status = int(keeper.recv(16) or 1)
if status < 0:
    _signal.signal(-status, _signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


def fixed(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that a process reads only when it starts."""
    return {name: each for name, each in environment.items() if name.startswith(FIXED)}


def put_program(folder: Path, there: dict[str, str]) -> None:
    """Put the program `tidings` into a folder. `there`: what is fixed in the process that is copied."""
    file = folder / "tidings"
    file.write_text(CALL.format(python=sys.executable, fixed=FIXED, there=there, address=ADDRESS))
    file.chmod(0o755)


def load_commands() -> None:
    """Load every command, in the process that is copied."""
    if "tidings.cli.commands" in sys.modules:
        return
    importlib.import_module("tidings.cli.commands")
    for command in COMMANDS:
        importlib.import_module(f"tidings.cli.{command.module}")
    gc.freeze()


def keep(arguments: list[str], become: Become) -> int:
    """Start bash with these arguments and serve its calls until it ends; returns its exit status.

    `become` turns a copy into the process that is wanted, and does not return.
    """
    os.setsid()
    os.environ[ADDRESS] = f"tidings-{os.getpid()}"
    with contextlib.ExitStack() as ours:
        listener = ours.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind(f"\0{os.environ[ADDRESS]}")
        listener.listen(64)
        bash = subprocess.Popen(arguments)
        # bash alone holds the streams, so that they end with it.
        for number in range(2):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        return _Calls(listener, bash, become).serve()


class _Calls:
    """The calls that run, each the copy of this process that a connection asked for."""

    def __init__(
        self,
        listener: socket.socket,
        bash: subprocess.Popen[bytes],
        become: Callable[[dict[str, Any], list[int]], None],
    ) -> None:
        self._listener, self._bash, self._become = listener, bash, become
        self._pids: dict[socket.socket, int] = {}
        self._selector = selectors.DefaultSelector()
        self._ended, theirs = socket.socketpair()
        for each in (self._ended, theirs):
            each.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._ended, selectors.EVENT_READ)
        self._theirs = theirs
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> int:
        """Serve until bash ends; returns its exit status."""
        while self._bash.poll() is None:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._selector.register(self._listener.accept()[0], selectors.EVENT_READ)
                elif key.fileobj is self._ended:
                    self._ended.recv(REQUEST_BYTES)
                    self._tell_ends()
                elif isinstance(key.fileobj, socket.socket):
                    self._hear(key.fileobj)
        return self._bash.returncode

    def _hear(self, call: socket.socket) -> None:
        """A call begins, passes a signal on, or was killed."""
        said, files, _, _ = socket.recv_fds(call, REQUEST_BYTES, 3)
        pid = self._pids.get(call)
        if said and pid is None:
            self._pids[call] = self._copy(said, files)
        elif pid is not None:
            os.kill(pid, int(said or signal.SIGKILL))
        if not said:
            self._forget(call)

    def _copy(self, said: bytes, files: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            for each in (self._listener, self._ended, self._theirs, *self._pids):
                each.close()
            arguments, environment, folder, ignored = marshal.loads(said)
            if ignored:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._become({"start": ["tidings", *arguments], "environment": environment, "folder": folder}, files)
        for file in files:
            os.close(file)
        return pid

    def _tell_ends(self) -> None:
        """Tell the calls whose copies ended how they ended."""
        for call, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with contextlib.suppress(OSError):
                    call.send(b"%d" % os.waitstatus_to_exitcode(status))
                self._forget(call)

    def _forget(self, call: socket.socket) -> None:
        self._selector.unregister(call)
        self._pids.pop(call, None)
        call.close()
