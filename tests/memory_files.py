"""Temporary files in memory, if there is room: no test waits for a disk, and PostgreSQL copies databases much faster.

Every fsync is still made. What a test kills is a process, never the machine, so the files outlive it all the same.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
"""A whole run takes well under half of it."""


def use_memory() -> None:
    """Let temporary folders of this process and its children be in memory, unless TMPDIR says where they go."""
    if "TMPDIR" not in os.environ and _is_fit(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


def _is_fit(folder: Path) -> bool:
    """Whether programs can be run from there, as some tests install them, and there is room."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize >= ROOM_BYTES and not disk.f_flag & os.ST_NOEXEC
