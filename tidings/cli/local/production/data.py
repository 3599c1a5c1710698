"""Where the data is, who owns it, how it is backed up, and where its key is kept."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tidings.cli.local.backup import reason
from tidings.cli.local.doctor_local import Finding, unmerged
from tidings.cli.local.production import record
from tidings.cli.local.production.record import BackupRecord
from tidings.cli.local.production.service import server_process
from tidings.cli.terminal.sentences import sentence
from tidings.model import moment
from tidings.model.moment import DAY, HOUR, Micros
from tidings.settings import Settings
from tidings.store.backup import mark_in
from tidings.store.base import StoreError
from tidings.store.engines import place
from tidings.store.engines.opening import driver_needed, sqlite_file
from tidings.store.seal import KEY_FILE, Sealer, load_key, read_key, refuse_other

if TYPE_CHECKING:
    from tidings.store.engines.pen import Durability

BACKUP_HOURS = 26
"""The maximum age of a nightly backup: a day, and two hours in case one takes longer."""
TRIAL_DAYS = 35
KEY_FILE_BYTES_MAX = 200
"""Files that are larger cannot be keys."""
BACKUP_FILES_MAX = 1_000
EXCEPT_BACKUP = "If something else copies the data, skip this check: --except backup"


def look_at_data(settings: Settings, now: Micros) -> Iterator[Finding]:
    """The data folder, and the database in it or on PostgreSQL."""
    folder, file = settings.folder, sqlite_file(settings.database, settings.folder)
    holds = file is not None or not settings.secret_key
    yield _volume(folder if file is None else file.parent, file, holds=holds)
    kept = record.read(folder)
    if file is not None:
        yield _backup(kept, folder, now)
        yield _trial(kept, now)
    else:
        yield from _postgres(settings, now)
    yield _key(settings, kept, file)
    yield from _key_beside_backups(settings, kept)


def _volume(folder: Path, file: Path | None, *, holds: bool) -> Finding:
    found = place.mount_of(folder)
    said = (place.passing(folder, found) if holds else None) or (place.shared(folder, found) if file else None)
    if said is not None:
        return Finding("fail", "volume", f"{said}.")
    return Finding("ok", "volume", f"{folder} is on a local disk{f' ({found.kind})' if found else ''}.")


def _backup(kept: BackupRecord, folder: Path, now: Micros) -> Finding:
    if kept.made is None or kept.made_at is None:
        advice = "Enable deploy/tidings-backup.timer, or run `tidings backup DIR --keep 14` each night"
        return Finding("fail", "backup", f"No backup of {folder} has ever been made. {advice}. {EXCEPT_BACKUP}.")
    made = f"The last backup, {kept.made}, was made at {moment.to_text(kept.made_at)[:19]}Z"
    if now - kept.made_at > BACKUP_HOURS * HOUR:
        days = (now - kept.made_at) / DAY
        return Finding(
            "fail", "backup", f"{made}, {days:.1f} days ago. Find out why backups stopped: journalctl -u tidings-backup"
        )
    file = Path(kept.made)
    if folder.resolve() in file.resolve().parents:
        return Finding(
            "fail",
            "backup",
            f"{made}, inside the data folder: whatever destroys the data destroys the backup too. Move the "
            "backup elsewhere.",
        )
    if file.parent.is_dir() and not file.is_file():
        return Finding(
            "fail",
            "backup",
            f"{made}, but no longer exists. Make another backup, and find out what deleted this one.",
        )
    if file.is_file() and file.stat().st_dev == folder.stat().st_dev:
        return Finding("warn", "backup", f"{made}, but is on the same disk as the data. Copy it to another machine.")
    return Finding("ok", "backup", f"{made}.")


def _trial(kept: BackupRecord, now: Micros) -> Finding:
    how = "tidings restore --trial FILE"
    if kept.tried_at is None:
        return Finding("fail", "trial", f"No backup has ever been restored to check that it works. Run: {how}")
    if now - kept.tried_at > TRIAL_DAYS * DAY:
        days = (now - kept.tried_at) // DAY
        return Finding("fail", "trial", f"The last trial restore of a backup was {days} days ago. Run: {how}")
    return Finding(
        "ok", "trial", f"A trial restore of {kept.tried} succeeded at {moment.to_text(kept.tried_at)[:19]}Z."
    )


def _postgres(settings: Settings, now: Micros) -> Iterator[Finding]:
    try:
        with driver_needed():
            from tidings.store.engines.pen import durability
        found = durability(settings.database)
    except StoreError as wrong:
        yield Finding("fail", "replica", sentence(str(wrong)))
        return
    yield _replica(found)
    yield _archive(found)


def _archive(found: Durability) -> Finding:
    if not found.archives:
        advice = "Set archive_mode=on and archive_command, and make base backups (docs/howto/point-in-time.md)"
        said = f"PostgreSQL does not archive its WAL (archive_mode is off). {advice}. {EXCEPT_BACKUP}."
        return Finding("fail", "backup", said)
    if found.archive_failing:
        return Finding(
            "fail",
            "backup",
            f"PostgreSQL's archive_command has been failing since {found.archive_failing}. See PostgreSQL's log.",
        )
    if found.archived_at is None:
        return Finding("fail", "backup", "PostgreSQL has not archived any WAL yet. Try: SELECT pg_switch_wal()")
    said = f"PostgreSQL archives its WAL; it last did so at {found.archived_at}"
    need = "A restore also needs a base backup, which this command cannot see: make one each week"
    return Finding("ok", "backup", f"{said}. {need} (docs/howto/point-in-time.md).")


def _replica(found: Durability) -> Finding:
    if not found.standby_names:
        return Finding(
            "fail",
            "replica",
            "PostgreSQL has no synchronous replica (synchronous_standby_names is empty), so if its disk is lost, "
            "acknowledged writes are lost too. Set up a replica (docs/howto/two-servers.md); if the provider keeps "
            "the disk on several machines, skip this check: --except replica",
        )
    if not found.synchronous:
        names = found.standby_names
        return Finding(
            "fail",
            "replica",
            f"No synchronous replica ({names}) is connected, so commits either hang, or do not wait for a replica. "
            "Start a replica.",
        )
    return Finding("ok", "replica", f"Commits wait for a synchronous replica ({', '.join(found.synchronous)}).")


def _key(settings: Settings, kept: BackupRecord, file: Path | None) -> Finding:
    path = settings.folder / KEY_FILE
    if (settings.secret_key or path.exists()) and (refused := _refused(settings, file)) is not None:
        return Finding("fail", "secret", sentence(refused))
    if settings.secret_key:
        return Finding("ok", "secret", "The secret key is in TIDINGS_SECRET_KEY. Keep a copy of it elsewhere.")
    if not path.exists():
        said = f"There is no {path}, and TIDINGS_SECRET_KEY is not set"
        if server_process(settings.folder) is None:
            if file is not None and not file.exists():
                return Finding("fail", "secret", f"{said}: the server will generate a key at its first start.")
            advice = "Restore the file from your copy, or set the variable to the key"
            return Finding("fail", "secret", f"{said}: the database's secrets cannot be decrypted. {advice}.")
        advice = (
            "Run this command with the server's environment variables; with a unit: set -a; . /etc/tidings.env; set +a"
        )
        return Finding(
            "fail", "secret", f"{said} for this command, but a server is running with a secret key. {advice}"
        )
    if kept.key_copied_at is None:
        advice = (
            f"`tidings backup DIR --with-key FILE` makes one, which must be kept apart from the backups. If you have "
            f"copied {path} yourself, skip this check"
        )
        said = f"No copy of {path} is known, and without the key a backup is useless. {advice}: --except secret"
        return Finding("fail", "secret", said)
    return Finding("ok", "secret", f"{path} was copied at {moment.to_text(kept.key_copied_at)[:19]}Z.")


def _refused(settings: Settings, file: Path | None) -> str | None:
    """Why a start would refuse the secret key; None if it would not, as far as this command can find out."""
    try:
        sealer = Sealer(load_key(settings.secret_key, settings.folder))
    except (OSError, StoreError) as wrong:
        return reason(wrong)
    if file is None or unmerged(file) is not None:
        return None
    try:
        mark = mark_in(file)
    except (OSError, StoreError):
        # Errors of the database are reported elsewhere.
        return None
    try:
        refuse_other(mark or sealer.mark, sealer, settings.secret_key, settings.folder)
    except StoreError as wrong:
        return str(wrong)
    return None


def _key_beside_backups(settings: Settings, kept: BackupRecord) -> Iterator[Finding]:
    """Anyone who gets both a backup and the key can read every secret."""
    path = settings.folder / KEY_FILE
    if kept.made is None or not (folder := Path(kept.made).parent).is_dir():
        return
    if not settings.secret_key and not path.exists():
        return
    try:
        key = load_key(settings.secret_key, settings.folder) if settings.secret_key else read_key(path)
        wanted = base64.b64encode(key)
        for file in islice(sorted(folder.iterdir()), BACKUP_FILES_MAX):
            small = file.is_file() and file.stat().st_size <= KEY_FILE_BYTES_MAX
            if small and wanted in file.read_bytes() and file.resolve() != path.resolve():
                risk = "anyone who gets that folder can read every secret"
                said = f"{file} contains the secret key, next to the backups: {risk}. Move that file."
                yield Finding("fail", "secret", said)
    except (OSError, StoreError) as wrong:
        yield Finding("warn", "secret", f"The backup folder could not be searched for the secret key: {reason(wrong)}.")
