"""The units of deploy/ under a real systemd, which boots in a bare Debian: a start, faults, a backup, and the end."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import bare_debian
from tests.programs import needed
from tests.repository import ROOT, files
from tidings.testing import until

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.sqlite_only]
PACKAGES = ("systemd", "systemd-sysv", "dbus")
TIDINGS = "/opt/tidings/.venv/bin/tidings"
WATCHED = "[Service]\nWatchdogSec=2\n"
"""The unit's minute, in seconds, so that the test need not wait for it."""

Inside = Callable[..., str]


@pytest.fixture(scope="module")
def machine() -> Iterator[Path]:
    """A bare Debian with systemd, and Tidings installed as docs/howto/systemd.md says."""
    needed("systemd-nspawn")
    if (why := bare_debian.missing()) is not None:
        pytest.skip(why)
    with bare_debian.copied() as root:
        for path in files():
            copy = root / "opt/tidings" / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        run = bare_debian.Run(root)
        for command in (
            ["apt-get", "update"],
            ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES],
            ["/opt/tidings/tools/setup.sh", ".venv", "requirements.lock", "python3"],
        ):
            done = run(command)
            assert done.returncode == 0, done.stderr[-2000:]
        for unit in (root / "opt/tidings/deploy").glob("tidings*.[st]*e*r*"):
            shutil.copy(unit, root / "etc/systemd/system")
        dropped = root / "etc/systemd/system/tidings.service.d"
        dropped.mkdir()
        (dropped / "watched.conf").write_text(WATCHED)
        yield root


@contextmanager
def booted(root: Path) -> Iterator[Inside]:
    """What runs a command in the machine, and returns what it printed."""
    log = root / "console.log"
    command = ["systemd-nspawn", f"--directory={root}", "--boot", "--keep-unit", "--register=no", "--private-network"]
    with (
        log.open("wb") as console,
        subprocess.Popen(
            [*command, "--console=pipe"], stdin=subprocess.DEVNULL, stdout=console, stderr=console
        ) as host,
    ):

        def first() -> str:
            if host.poll() is not None:
                pytest.skip(f"no machine boots here: {log.read_text()[-500:]}")
            children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
            return children[0] if children else ""

        def inside(*command: str, fails: bool = False, **environment: str) -> str:
            variables = [f"{name}={text}" for name, text in environment.items()]
            enter = ["nsenter", "--target", first(), "--mount", "--pid", "--uts", "--ipc", "--net", "env", *variables]
            done = subprocess.run([*enter, *command], capture_output=True, text=True, check=False)
            assert fails or done.returncode == 0, f"{command}: {done.stdout[-1000:]} {done.stderr[-1000:]}"
            return done.stdout.strip()

        try:
            until(first, "systemd has started", 20)
            until(lambda: "running" in inside("systemctl", "is-system-running", fails=True) or None, "it is up", 60)
            yield inside
        finally:
            host.terminate()
            try:
                host.wait(20)
            except subprocess.TimeoutExpired:
                host.kill()


def test_the_units_work_under_systemd(machine: Path) -> None:
    with booted(machine) as inside:
        inside("systemctl", "enable", "--now", "tidings")

        def shown(name: str, unit: str = "tidings") -> str:
            return inside("systemctl", "show", "--property", name, "--value", unit)

        assert shown("ActiveState") == "active" and shown("StatusText") == "Listens on http://127.0.0.1:8080."
        assert inside("stat", "--format=%u", f"/proc/{shown('MainPID')}") != "0"
        printed = inside("journalctl", "--unit=tidings", "--output=cat")
        key = next(word for word in printed.split() if word.startswith("tdk_"))
        inside(TIDINGS, "publish", "orders.paid", "--data", "{}", TIDINGS_KEY=key)

        def is_another(than: str) -> bool:
            return shown("MainPID") not in (than, "0") and shown("ActiveState") == "active"

        for signal in ("KILL", "STOP"):
            before = shown("MainPID")
            inside("systemctl", "kill", f"--signal={signal}", "tidings")
            until(partial(is_another, before), f"it works again after SIG{signal}", 30)
        listed = json.loads(inside(TIDINGS, "events", "list", "--json", TIDINGS_KEY=key))
        assert len(listed) == 1, "nothing acknowledged is lost"

        inside("systemctl", "start", "tidings-backup")
        said = inside("journalctl", "--unit=tidings-backup", "--output=cat")
        assert shown("Result", "tidings-backup") == "success" and "can be restored: it contains 1 event" in said
        assert inside("sh", "-c", "stat --format='%u %a' /var/backups/tidings/*.db") == "0 600"
        inside("systemctl", "enable", "--now", "tidings-backup.timer")
        assert shown("NextElapseUSecRealtime", "tidings-backup.timer")

        doctor = inside(TIDINGS, "doctor", "--production", "--data", "/var/lib/tidings", fails=True)
        for line in (
            "The server runs as the unit tidings.service.",
            "The server does not run as root.",
            "ok    trial",
        ):
            assert line in doctor, doctor

        inside("systemctl", "stop", "tidings")
        assert shown("Result") == "success" and shown("ExecMainStatus") == "0"
        inside("systemctl", "start", "tidings-backup")
        inside("systemctl", "start", "tidings")
        assert shown("ActiveState") == "active", "what the backup of a stopped server left does not stop a start"
