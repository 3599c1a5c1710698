"""Where a data folder is and whose it is: what a start refuses or warns about, and what `tidings doctor` checks."""

from __future__ import annotations

import logging
import os
import pwd
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tidings.store.base import StoreError
from tidings.store.seal import KEY_FILE

MOUNTS = Path("/proc/self/mountinfo")
LAYERS = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
MEMORY = frozenset({"tmpfs", "ramfs"})
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "gfs2", "lustre"}
    | {"ocfs2"}
)
"""File systems that other machines can also mount."""
_ESCAPED = re.compile(r"\\([0-7]{3})")

log = logging.getLogger("tidings.store")


class Mount(msgspec.Struct, frozen=True):
    """The mount that a path is on, and the kind of its file system."""

    point: str
    kind: str


def mount_of(path: Path, mounts: str | None = None) -> Mount | None:
    """The mount that a path is on; None if this system does not tell. `mounts`: the text of /proc/self/mountinfo."""
    try:
        mounts = MOUNTS.read_text() if mounts is None else mounts
    except OSError:
        return None
    wanted, best = str(path.resolve()), None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if len(fields := before.split(" ")) < 5 or not after:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        within = point == "/" or wanted == point or wanted.startswith(f"{point}/")
        # If two mounts have the same mount point, the later one hides the other.
        if within and (best is None or len(point) >= len(best.point)):
            best = Mount(point, after.split(" ")[0])
    return best


def passing(folder: Path, mount: Mount | None) -> str | None:
    """A sentence on why a folder's data would not last; None if it does, as far as its file system says."""
    if mount is None or mount.kind not in LAYERS | MEMORY:
        return None
    kind = "a container's own layer" if mount.kind in LAYERS else "memory"
    end = "the container" if mount.kind in LAYERS else "the next restart of the machine, or of the container"
    gone = "is gone with" if mount.kind in LAYERS else "does not survive"
    return (
        f"{folder} is on {kind} ({mount.kind}), so the data {gone} {end}. Mount a volume there "
        f"(docker run --volume tidings:{folder.absolute()}), or name a folder on a disk with --data"
    )


def shared(folder: Path, mount: Mount | None) -> str | None:
    """A sentence on why SQLite is not safe in a folder; None if its file system is this machine's own."""
    if mount is None or mount.kind not in NETWORK:
        return None
    return (
        f"{folder} is on a network file system ({mount.kind}). Locks there may fail to keep out a second server on "
        "another machine, which would destroy an SQLite database. Use a local disk, or --database postgresql://..."
    )


def warn_of_place(folder: Path, *, holds_database: bool) -> None:
    """At a start, log what is wrong with the place of a data folder.

    A file system in memory is fine: it is used on purpose.
    """
    mount = mount_of(folder)
    said = [passing(folder, mount) if mount is not None and mount.kind in LAYERS else None]
    said += [shared(folder, mount) if holds_database else None]
    for sentence in said:
        if sentence is not None:
            log.warning("%s", sentence)


def refuse_closed(folder: Path, files: Iterable[Path]) -> None:
    """Raise StoreError if this process may not use the data folder, or one of the files in it: says who owns it."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if there.is_dir() and not _may(there, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(_closed(there, folder))
    for file in files:
        # A broken link is reported elsewhere.
        if file.is_file() and not _may(file, os.R_OK if file.name == KEY_FILE else os.R_OK | os.W_OK):
            raise StoreError(_closed(file, folder))


def owner_of(path: Path) -> str:
    """The owner of a file, by name if it has one."""
    return user(path.stat().st_uid)


def user(number: int) -> str:
    """A user as people write one: `tidings (user 10001)`, or the number alone if it has no name here."""
    try:
        return f"{pwd.getpwuid(number).pw_name} (user {number})"
    except KeyError:
        return f"user {number}"


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _closed(path: Path, folder: Path) -> str:
    ours = os.geteuid()
    try:
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        read_only = False
    if read_only:
        return (
            f"{path} is on a read-only file system. Mount a volume for the data folder there, or choose another --data"
        )
    if path.stat().st_uid == ours:
        return f"{path} is closed to its owner, {user(ours)}. Run: chmod -R u+rwX {folder}"
    if not folder.exists():
        return (
            f"the data folder {folder} does not exist, and {user(ours)}, who runs the server, may not create it: "
            f"{path} belongs to {owner_of(path)}. Create it for that user, or choose another --data"
        )
    return (
        f"{path} belongs to {owner_of(path)}, but the server runs as {user(ours)}, who may not write to it. Run: chown "
        f"-R {ours} {folder}"
    )
