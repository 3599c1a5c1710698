"""`tidings restore SRC`: replace the database of a stopped server with a backup."""

from __future__ import annotations

import base64
import contextlib
import shlex
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from tidings.cli.local.backup import (
    Data,
    Database,
    File,
    copy_bar,
    described,
    held,
    reason,
    settings_of,
    size,
)
from tidings.cli.session import FAILED, AsJson, fail, print_json
from tidings.cli.terminal.sentences import counted
from tidings.model.moment import Micros, SystemClock
from tidings.rules.network.database_url import without_password
from tidings.settings import Settings
from tidings.store.base import StoreError
from tidings.store.files import PARTIAL, give_to_owner_of

Source = Annotated[
    Path,
    typer.Argument(help="A file made by `tidings backup`; with --trial, also a folder of such files.", metavar="SRC"),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key", help="The file with the backup's secret key, unless the server already has that key.", metavar="FILE"
    ),
]
Trial = Annotated[
    bool,
    typer.Option(
        "--trial",
        help="Only test, in a temporary folder next to SRC, whether a server could start with the backup. If SRC is a "
        "folder, the newest backup in it is tested. The server can keep running.",
    ),
]


def restore(
    src: Source,
    key: KeyFile = None,
    force: Annotated[bool, typer.Option("--force", help="Move an existing database aside.")] = False,
    trial: Trial = False,
    data: Data = None,
    database: Database = None,
    config: File = None,
    as_json: AsJson = False,
) -> None:
    """Replace the database with a backup; the server must be stopped.

    The backup is checked, and so is the secret key: it must be the key that encrypted the backup's secrets. With
    --force, existing files are moved aside, never deleted.

    On PostgreSQL, the command changes nothing: it checks the database, prints the commands that restore a dump, and
    exits with status 1.
    """
    settings = settings_of(config, data, database)
    if trial:
        _try(settings, src, key, as_json=as_json)
        return
    from tidings.store.engines.opening import lock_database, lock_folder, sqlite_file

    try:
        target = sqlite_file(settings.database, settings.folder)
        if target is None:
            _postgres(settings, src, as_json)
        _check_source(src)
        # Before anything is created: a refused restore leaves no folder behind.
        _checked_key(settings, src, key, force=force)
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as locks:
            locks.callback(_give_to_owner, settings.folder, target)
            locks.callback(lock_folder(settings.folder).release)
            if (lock := lock_database(settings.database, settings.folder)) is not None:
                locks.callback(lock.release)
            _restore(settings, src, target, key, force=force, as_json=as_json)
    except (StoreError, OSError) as wrong:
        fail(f"nothing was restored: {reason(wrong)}")


def _try(settings: Settings, src: Path, key_file: Path | None, *, as_json: bool) -> None:
    from tidings.cli.local.production import record, trial
    from tidings.store.seal import Sealer

    now = SystemClock().now()
    try:
        source = trial.newest(src, _mark_at_hand(settings, key_file)) if src.is_dir() else src
        _check_source(source)
        _checked_key(settings, source, key_file, force=True)
        key = _key_at_hand(settings, key_file)
        with copy_bar("Restoring", source, silent=as_json) as progress:
            tried = trial.restore_on_trial(source, Sealer(key), now, progress)
    except (StoreError, OSError) as wrong:
        fail(f"the backup {src} cannot be restored: {reason(wrong)}")
    record.note(settings.folder, tried=str(source.resolve()), tried_at=now)
    if as_json:
        print_json(msgspec.to_builtins(tried))
        return
    typer.echo(
        f"{source} can be restored: it contains {counted(tried.events, 'event')} and "
        f"{counted(tried.endpoints, 'endpoint')}, and every secret in it can be decrypted. The test took "
        f"{tried.seconds:.1f} s; nothing was changed."
    )


def _key_at_hand(settings: Settings, file: Path | None) -> bytes:
    from tidings.store.seal import KEY_FILE, load_key, read_key

    if settings.secret_key and file is None:
        return load_key(settings.secret_key, settings.folder)
    return read_key(file or settings.folder / KEY_FILE)


def _mark_at_hand(settings: Settings, file: Path | None) -> str | None:
    """The mark of the key that was given or that the server has; None if there is no key, which is refused later."""
    from tidings.store.seal import Sealer

    with contextlib.suppress(StoreError, OSError):
        return Sealer(_key_at_hand(settings, file)).mark
    return None


def _check_source(src: Path) -> None:
    if src.is_dir():
        raise StoreError(f"{src} is a folder; pass a file in it")
    if not src.is_file():
        raise StoreError(f"there is no file {src}")
    if src.name.endswith(PARTIAL):
        raise StoreError(f"{src} was left by an interrupted backup or restore; pass a complete backup")


def _restore(settings: Settings, src: Path, target: Path, key_file: Path | None, *, force: bool, as_json: bool) -> None:
    from tidings.store import backup

    now = SystemClock().now()
    key = _checked_key(settings, src, key_file, force=force)
    with copy_bar("Restoring", src, silent=as_json) as progress:
        made, kept = backup.restore(src, target, now, progress, replace=force)
    _leave_word(target, now, made.contents.schema)
    if key is not None:
        _put_key(settings, key, now)
    if as_json:
        print_json({**msgspec.to_builtins(made), "moved": kept or None})
        return
    typer.echo(f"{made.file} was restored from {src} and checked: {size(made.bytes)} with {held(made)}.")
    if kept:
        typer.echo(f"The previous database is now {kept}.")
    typer.echo(
        "Events published after the backup are missing. Deliveries made after the backup will be repeated; receivers "
        "can recognize the repeats by webhook-id. Feed cursors that are newer than the backup will be refused: "
        "continue from `start` or `end`."
    )


def _leave_word(target: Path, now: Micros, schema: int) -> None:
    """Mark the database as restored, so that its first start reports what is missing. Raises StoreError."""
    from tidings.control.upkeep.timekeeper import SEEN
    from tidings.store.engines import gaps
    from tidings.store.engines.migrate import FACTS_SINCE
    from tidings.store.engines.sqlite import SqliteEngine

    if schema < FACTS_SINCE:
        return
    db = SqliteEngine(target).writer()
    try:
        db.begin()
        gaps.mark_restored(db, now, SEEN)
        db.commit()
    finally:
        db.close()


def _checked_key(settings: Settings, src: Path, given: Path | None, *, force: bool) -> bytes | None:
    """The key to install; None if the server already has it. Raises StoreError if it is not the backup's."""
    from tidings.store import backup
    from tidings.store.seal import KEY_FILE, Sealer, load_key, read_key

    backup.contents_of(src)
    there = settings.folder / KEY_FILE
    if given is not None:
        if settings.secret_key:
            raise StoreError("--key and TIDINGS_SECRET_KEY cannot be combined; the server would use the latter")
        key, where = read_key(given), str(given)
    elif settings.secret_key:
        key, where = load_key(settings.secret_key, settings.folder), "TIDINGS_SECRET_KEY"
    elif there.exists():
        key, where = read_key(there), str(there)
    else:
        raise StoreError(
            f"the secret key is missing: there is no {there}, and TIDINGS_SECRET_KEY is not set. Set the variable "
            "as for the server, or pass the file that contains the key with --key"
        )
    if not backup.fits(src, Sealer(key)):
        mark = backup.contents_of(src).secret_mark
        raise StoreError(
            f"{where} is not the secret key of {src}: its mark is {Sealer(key).mark}"
            + (f", but that of the backup's key is {mark}" if mark else "")
            + ". Use --key to pass the file with the right key"
        )
    if given is None:
        return None
    if there.exists() and read_key(there) != key and not force:
        raise StoreError(f"{there} contains a different key. Use --force to move it aside")
    return key


def _put_key(settings: Settings, key: bytes, now: Micros) -> None:
    from tidings.store import backup
    from tidings.store.seal import KEY_FILE

    backup.put_key(base64.b64encode(key), settings.folder / KEY_FILE, now)


def _give_to_owner(folder: Path, target: Path) -> None:
    """As root, give the files to the owner of the folder: the server need not run as root.

    Even a refused restore creates files: those of the locks.
    """
    for place in {folder, target.resolve().parent}:
        if place.is_dir():
            for file in place.iterdir():
                if file.is_file():
                    give_to_owner_of(place, file)


def _postgres(settings: Settings, src: Path, as_json: bool) -> NoReturn:
    if not settings.database.startswith(("postgresql://", "postgres://")):
        raise StoreError("the database is neither sqlite:FILE nor postgresql://USER@HOST/NAME")
    found = described(settings)
    url, file = shlex.quote(without_password(settings.database)), shlex.quote(str(src))
    commands = [f"pg_restore --clean --if-exists --no-owner --single-transaction --dbname={url} {file}"]
    if as_json:
        print_json({"made": False, **msgspec.to_builtins(found), "commands": commands})
        raise typer.Exit(FAILED)
    if found.writer is not None:
        fail(f"nothing was restored: a Tidings server is writing to {url} ({found.writer}); stop it first")
    full = f"has schema {found.schema}, which will be replaced" if found.schema is not None else "is empty"
    typer.echo(
        f"PostgreSQL {found.version} is reachable; the database {full}. Restore a dump with PostgreSQL's own tools:\n"
    )
    typer.echo("".join(f"  {line}\n" for line in commands))
    typer.echo(
        'To restore to any point in time, use a base backup and the archived WAL (see "Continuous Archiving" in the '
        "PostgreSQL manual)."
    )
    typer.echo(f"Restore the secret key too: set TIDINGS_SECRET_KEY, or put it into {settings.folder / 'secret.key'}.")
    raise typer.Exit(FAILED)
