"""How the server's process runs: its supervisor, its user, its limit of open files, and its clock."""

from __future__ import annotations

import ctypes
import fcntl
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tidings.cli.local.doctor_local import OPEN_FILES_WARN, Finding
from tidings.settings import Settings
from tidings.store.engines.opening import FOLDER_LOCK

TIME_ERROR = 5
"""What adjtimex(2) returns if the clock is not synchronized."""
ADJTIMEX_BYTES = 512
CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman create in a container."""
_PARENT = re.compile(r"^PPid:\s+([0-9]+)", re.MULTILINE)
_LIMIT = re.compile(r"^Max open files\s+([0-9]+)", re.MULTILINE)
_USER = re.compile(r"^Uid:\s+([0-9]+)", re.MULTILINE)


def look_at_service(settings: Settings) -> Iterator[Finding]:
    """Check the process that uses the data folder, if it runs on this machine, the clock, and the log level."""
    process = server_process(settings.folder)
    if process is None:
        said = (
            f"No server is using {settings.folder}, so no process was checked. Start the server, and run this command "
            "again."
        )
        yield Finding("fail", "service", f"{said}{hidden(Path(sys.executable))}")
    else:
        yield _supervised(process)
        yield _user(process)
        yield from _open_files(process)
    yield _clock()
    yield _log(settings)


def hidden(interpreter: Path) -> str:
    """A sentence, after a space, if the unit's ProtectHome hides this interpreter; otherwise the empty string."""
    place = interpreter.resolve()
    if not place.is_relative_to("/root") and not place.is_relative_to("/home"):
        return ""
    return (
        f" The Python interpreter is {place}, which deploy/tidings.service cannot run: the unit has no access to home "
        "folders (ProtectHome). Install Tidings with an interpreter outside these folders."
    )


def server_process(folder: Path) -> Path | None:
    """The folder in /proc of the server of a data folder; None if it does not run, or not where it can be seen."""
    try:
        with (folder / FOLDER_LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                process = Path(f"/proc/{int(json.load(file)['pid'])}")
                return process if process.is_dir() else None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _supervised(process: Path, containers: tuple[Path, ...] = CONTAINERS) -> Finding:
    group = _text(process / "cgroup").strip().rpartition(":")[2]
    unit = group.rpartition("/")[2]
    if process.name == "1" or (unit.endswith(".service") and not unit.startswith("user@")):
        said = "as the main process of a container" if process.name == "1" else f"as the unit {unit}"
        return Finding("ok", "service", f"The server runs {said}.")
    parent = _PARENT.search(_text(process / "status"))
    if parent is not None and parent[1] == "1" and any(each.exists() for each in containers):
        return Finding("ok", "service", "The server runs in a container, under its init process.")
    if unit.endswith(".scope") and "session-" in unit:
        where = "in somebody's login session, and may end with it"
    else:
        where = "without a supervisor that this command recognizes, so nothing starts it at boot or after a crash"
    advice = "Use deploy/tidings.service or deploy/compose.yaml"
    return Finding("fail", "service", f"The server runs {where}. {advice}, or skip this check: --except service")


def _user(process: Path) -> Finding:
    found = _USER.search(_text(process / "status"))
    if found is not None and found[1] == "0":
        return Finding(
            "fail",
            "user",
            "The server runs as root. Run it as another user: set DynamicUser=yes in the unit, or do not override "
            "the user of the container image.",
        )
    return Finding("ok", "user", "The server does not run as root.")


def _open_files(process: Path) -> Iterator[Finding]:
    found = _LIMIT.search(_text(process / "limits"))
    if found is None:
        return
    if int(found[1]) < OPEN_FILES_WARN:
        advice = "Set LimitNOFILE=65536 in the unit, or ulimits.nofile in the compose file, and restart the server."
        said = f"The server can open only {found[1]} files, and each connection counts as one. {advice}"
        yield Finding("fail", "limit", said)
    else:
        yield Finding("ok", "limit", f"The server can have {found[1]} files open at once.")


def _clock() -> Finding:
    if sys.platform != "linux":
        return Finding("ok", "ntp", "This command can check only on Linux whether a time service sets the clock.")
    # The kernel knows whether a time service sets the clock. Only the return value is needed, not the structure.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(ADJTIMEX_BYTES))
    if state == TIME_ERROR or state < 0:
        return Finding(
            "fail",
            "ntp",
            "The kernel reports that no time service keeps the clock synchronized, so the clock will drift until "
            "receivers refuse signatures. Install chrony or enable systemd-timesyncd; if the host of this "
            "virtual machine sets the clock, skip this check: --except ntp",
        )
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Finding("ok", "ntp", f"A time service keeps the clock synchronized; it is now {now}.")


def _log(settings: Settings) -> Finding:
    level = settings.log_level
    if level in ("debug", "error"):
        why = "writes a line for each step" if level == "debug" else "hides warnings about what may fail soon"
        return Finding("fail", "log", f"`log_level` is {level}, which {why}. Set it to `info`.")
    return Finding("ok", "log", f"`log_level` is {level}.")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
