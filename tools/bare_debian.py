"""A bare Debian with Python, to try Tidings where nothing of ours is installed.

It is made once by debootstrap, from the mirror that apt uses, and copied for each try. Needs root.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("BARE_DEBIAN", "/var/tmp/tidings-debian"))
SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
NEEDS = ("debootstrap", "chroot", "unshare", "apt-get")
FROM_HERE = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/hosts")
"""How this machine reaches the package registry."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TRUST = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
"""What an image of Debian for containers leaves out too."""


def missing() -> str | None:
    """Why no bare Debian can be made here; None if it can."""
    if os.geteuid() != 0:
        return "only root can make a bare Debian"
    absent = [program for program in NEEDS if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def base() -> Path:
    """The folder of a bare Debian, made now if there is none. Raises subprocess.CalledProcessError."""
    done = CACHE / "base"
    if not done.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        sites = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, check=True
        )
        fresh = Path(tempfile.mkdtemp(dir=CACHE))
        fresh.chmod(0o755)
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(fresh)]
        subprocess.run([*command, sites.stdout.split()[0]], check=True, stdout=subprocess.DEVNULL)
        for name in LEFT_OUT:
            shutil.rmtree(fresh / name, ignore_errors=True)
        fresh.rename(done)
    return done


@contextmanager
def copied() -> Iterator[Path]:
    """A bare Debian of one's own, which reaches the package registry as this machine does."""
    root = Path(tempfile.mkdtemp(prefix="try-", dir=base().parent))
    try:
        subprocess.run(["cp", "-a", f"{base()}/.", str(root)], check=True)
        for name in (*FROM_HERE, CERTIFICATES):
            if Path(name).is_file():
                shutil.copy(name, root / name[1:])
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


class Run:
    """Runs commands in a bare Debian, with its own processes and only the variables that are named; nothing is left.

    `root` None: on this machine.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def __call__(self, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        known |= {name: CERTIFICATES for name in TRUST if Path(CERTIFICATES).is_file()}
        known |= {name: text for name, text in os.environ.items() if name.startswith("PIP_") and "://" in text}
        away: list[str] = []
        if self._root is not None:
            proc = f"--mount-proc={self._root}/proc"
            away = ["unshare", "--mount", "--pid", "--fork", "--kill-child", proc, "chroot", str(self._root)]
        return subprocess.run(
            [*away, *command], env={**known, **environment}, capture_output=True, text=True, check=False
        )

    def seen(self, path: Path) -> str:
        """A path of this machine as the command sees it."""
        return str(path) if self._root is None else f"/{path.relative_to(self._root)}"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; the bare Debian shares the loopback with this machine."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def megabytes(folder: Path) -> float:
    """The size of what is in a folder, on disk."""
    said = subprocess.run(["du", "-s", "--block-size=1000", str(folder)], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0]) / 1000
