"""`tidings serve --workers` as a process, with the processes that it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.nodes.joined import KEY
from tidings.store.engines.opening import FOLDER_LOCK, worker_folders
from tidings.store.files import FileLock
from tidings.testing import Api, ProcessServer, until
from tidings.testing.api import OPERATOR_KEY
from tidings.testing.ports import free_port


class Workers(ProcessServer):
    """The supervisor. Its workers are at the ports after its own."""

    def __init__(self, folder: Path, database: str, count: int = 2, **settings: Any) -> None:
        super().__init__(folder, database=database, **{"workers": count, "secret_key": KEY, **settings})
        self.count = count
        self.port = free_ports(1 + count)
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = Api(self.url, OPERATOR_KEY)

    def __enter__(self) -> Workers:
        self.start()
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        self._began = len(self.log)
        super().launch()

    def wait_until_ready(self) -> None:
        """Wait until all are."""
        until(self._all_are_ready, "all workers are ready", 60)

    def own(self, number: int) -> Api:
        """The API of one worker, at its own port."""
        return Api(f"http://127.0.0.1:{self.port + number}", OPERATOR_KEY)

    def pid(self, number: int) -> int:
        """The process of a worker; 0 if it is not there yet."""
        folder = worker_folders(self.folder / "data", number)[-1]
        pid = int(FileLock.content_of(folder / FOLDER_LOCK).get("pid", 0))
        return 0 if self.process is not None and pid == self.process.pid else pid

    def pids(self) -> list[int]:
        """The processes of all workers."""
        return [self.pid(number) for number in range(1, self.count + 1)]

    def is_ready(self, number: int) -> bool:
        """Whether a worker takes calls."""
        try:
            return self.own(number).with_key(None).call("GET", "/readyz").status == 200
        except OSError:
            return False

    def kill_workers(self, *numbers: int) -> None:
        """End some as kill -9 does, and wait until other processes have taken their places."""
        before = [self.pid(number) for number in numbers]
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(
            lambda: all(self.pid(number) not in (0, *before) and self.is_ready(number) for number in numbers),
            "back",
            30,
        )

    def _all_are_ready(self) -> bool:
        return self._is_ready() and "workers take calls on that port" in self.log[self._began :]


def free_ports(count: int) -> int:
    """The first of some ports in a row on which nobody listens."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port))
            return first


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
