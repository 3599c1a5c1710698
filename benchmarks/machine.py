"""Describes the machine and the versions of what was measured; names no host and no place on a disk."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tidings", "apsw", "psycopg", "pycurl", "granian", "uvloop", "msgspec", "cryptography")


def described(folder: Path) -> dict[str, str]:
    """Cores, processor, memory, file system of the data, and versions, as text by name."""
    about = {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _line("/proc/cpuinfo", "model name"),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "file system of the data": file_system(folder),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            continue
    about["commit"] = _commit()
    return about


def file_system(folder: Path) -> str:
    """The type of file system that holds a folder, such as `ext4`; a `tmpfs` would make every fsync free."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found = line.split()[:3]
        inside = str(folder.resolve()).startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, found
    return kind


def _line(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return asked.stdout.strip() or "unknown"
