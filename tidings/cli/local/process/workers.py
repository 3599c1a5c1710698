"""`tidings serve --workers`: prepare the folder and the ports, start the workers, and say where they listen."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tidings.cli.local.process.log_format import log_to_stderr
from tidings.cli.local.process.notify import notify, watchdog_seconds
from tidings.cli.local.process.saying import announce, obstacle
from tidings.cli.local.process.stopping import Stop
from tidings.listening import opened, url_of
from tidings.nodes.line import Said, StartOrder
from tidings.nodes.supervisor import REFUSED, Supervisor
from tidings.rules.network.origin import with_port_after
from tidings.settings import Settings
from tidings.store.base import StoreBusy, StoreError
from tidings.store.engines.opening import (
    files_of,
    is_draining,
    lock_folder,
    note_draining,
    note_use,
    note_workers,
    worker_folders,
)
from tidings.store.engines.place import refuse_closed
from tidings.store.files import FileLock
from tidings.store.seal import KEY_FILE, read_key

EARLIER_SECONDS = 20.0
"""The maximum number of seconds that workers take to exit after their supervisor was killed."""
LOOK_SECONDS = 0.1
COMMAND = (sys.executable, "-P", "-m", "tidings.cli.local.process.worker")
"""`-P` keeps the working folder out of the module search path. Each worker loads the program from disk again."""
OF_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables that are meant only for the supervisor."""


def supervise(settings: Settings, flags: Mapping[str, Any]) -> int:
    """Serve with several workers; returns the exit status. Raises OSError if a port is taken."""
    log_to_stderr(settings.log_level, settings.log_format)
    stop = Stop()
    try:
        with _folder(settings, stop) as lock:
            return 0 if stop.asked else _run(settings, dict(flags), stop, lock)
    except StoreError as wrong:
        obstacle(str(wrong))
        return REFUSED


def _run(settings: Settings, flags: dict[str, Any], stop: Stop, lock: FileLock) -> int:
    shared = {**flags, **_key(settings), "join": True, "workers": 1}
    public = opened(settings.host, settings.port)
    port = public.getsockname()[1]
    numbers = range(1, settings.workers + 1)
    for number in numbers if settings.port else ():
        opened(settings.host, port + number).close()
    orders = [_order(settings, shared, number, public.fileno()) for number in numbers]
    environment = {name: value for name, value in os.environ.items() if name not in OF_SYSTEMD}
    supervisor = Supervisor(COMMAND, environment, orders, public, lambda: is_draining(settings.folder))

    def ready(workers: list[Said]) -> None:
        note_use(settings.database, settings.folder, lock)
        made = next((each.operator_key for each in workers if each.operator_key), None)
        urls = [each.url for each in workers]
        announce(url_of(settings.host, port), made, as_json=bool(flags.get("json")), workers=urls)

    supervisor.on_ready = ready
    if watchdog_seconds() is not None:
        supervisor.on_turn = lambda: notify("WATCHDOG=1")
    stop.at_once = supervisor.kill
    stop.ends(supervisor)
    status = supervisor.run()
    if supervisor.refusal:
        obstacle(supervisor.refusal)
    return status


def _order(settings: Settings, shared: Mapping[str, Any], number: int, public: int) -> StartOrder:
    """How a worker is to start. Its settings are read again each time, but for these."""
    flags = {
        **shared,
        "data": str(worker_folders(settings.folder, number)[-1]),
        "host": settings.host,
        "port": settings.port + number if settings.port else 0,
        "node_url": with_port_after(settings.node_url, number) if settings.node_url else "",
        # Only one worker may find the database empty.
        "new_store": bool(shared.get("new_store")) and number == 1,
    }
    return StartOrder(number=number, flags=flags, public=public, watchdog_seconds=watchdog_seconds())


def _key(settings: Settings) -> dict[str, str]:
    """The secret key for all workers, if it is in the data folder and not in the settings. Raises StoreError."""
    if settings.secret_key:
        return {}
    path = settings.folder / KEY_FILE
    try:
        return {"secret_key": base64.b64encode(read_key(path)).decode()}
    except FileNotFoundError:
        raise StoreError(
            f"workers need a common secret key, in `secret_key` or {path}: generate one with openssl rand -base64 32"
        ) from None
    except OSError as wrong:
        raise StoreError(f"the secret key {path} cannot be used: {wrong.strerror}") from None


@contextmanager
def _folder(settings: Settings, stop: Stop) -> Iterator[FileLock]:
    """Hold the data folder, with one in it for each worker. Raises StoreError."""
    folder = settings.folder
    refuse_closed(folder, files_of(None, folder))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = lock_folder(folder)
    try:
        until = time.monotonic() + EARLIER_SECONDS
        while not stop.asked:
            try:
                note_workers(folder, settings.workers, lock)
                break
            except StoreBusy:
                if time.monotonic() > until:
                    raise
            time.sleep(LOOK_SECONDS)
        note_draining(folder, asked=False)
        yield lock
    finally:
        lock.release()
