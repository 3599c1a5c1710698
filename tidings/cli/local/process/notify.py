"""Reports the server's state to systemd: the protocol of sd_notify(3), for units with `Type=notify`.

Without NOTIFY_SOCKET, which systemd sets, nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable


def notify(*states: str) -> None:
    """Send states such as `READY=1`, or `STATUS=...` for people. If systemd does not get them, nothing else happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.setblocking(False)
        out.sendto("\n".join(states).encode(), address)


def watchdog_seconds() -> float | None:
    """The value of `WatchdogSec=` in the unit, if it applies to this process."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or os.environ.get(
        "WATCHDOG_PID", str(os.getpid())
    ) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000


def keep_watchdog(seconds: float | None, turned: Callable[[], None] = lambda: notify("WATCHDOG=1")) -> None:
    """Report twice in this time that the running event loop turns: a server that hangs is started again."""
    if not seconds:
        return
    import asyncio  # the caller runs in its loop, so it is loaded already

    loop = asyncio.get_running_loop()

    def turn() -> None:
        turned()
        loop.call_later(seconds / 2, turn)

    turn()
