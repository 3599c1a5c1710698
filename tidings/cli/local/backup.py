"""`tidings backup DEST`: copy the database while the server is running, check the copy, and say where the key is."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer

from tidings.cli.local import check
from tidings.cli.session import FAILED, AsJson, fail, print_json, progress_bar
from tidings.cli.terminal.numbers import counting
from tidings.cli.terminal.sentences import counted
from tidings.model.moment import Micros, SystemClock
from tidings.rules.network.database_url import without_password
from tidings.rules.reading.refused import Refused
from tidings.settings import Settings, SettingsError
from tidings.store.base import StoreError

if TYPE_CHECKING:
    from tidings.store.backup import Copied, Progress
    from tidings.store.engines.pen import Described

Data = Annotated[str | None, typer.Option(help="The data folder that `serve` uses.", metavar="DIR")]
Database = Annotated[str | None, typer.Option(help="The database that `serve` uses.", metavar="URL")]
File = Annotated[
    str | None,
    typer.Option(help="The settings file; default: $TIDINGS_CONFIG, or else ./tidings.yaml.", metavar="FILE"),
]

Keep = Annotated[
    int | None,
    typer.Option(
        parser=counting,
        help="Keep only this many backups of this database in the folder DEST, and delete older ones.",
        metavar="NUMBER",
    ),
]


def backup(
    dest: Annotated[
        str,
        typer.Argument(
            help="The file to write, or an existing folder, in which the backup is named after the current time.",
            metavar="DEST",
        ),
    ],
    with_key: Annotated[
        Path | None, typer.Option(help="Also write the secret key to this file, with mode 0600.", metavar="FILE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file DEST if it exists.")] = False,
    keep: Keep = None,
    data: Data = None,
    database: Database = None,
    config: File = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database while the server is running, and check the copy.

    The copy shows the database at a single moment; the server continues to accept writes in the meantime. The copy
    gets its final name once it is complete, checked and on disk. It does not contain the secret key: --with-key writes
    the key to a separate file, which must be kept elsewhere.

    On PostgreSQL, the command makes no copy: it checks the database, prints the commands that make a backup, and
    exits with status 1.
    """
    settings = settings_of(config, data, database)
    now = SystemClock().now()
    from tidings.store.engines.opening import sqlite_file

    try:
        source = sqlite_file(settings.database, settings.folder)
        if source is None:
            _postgres(settings, Path(dest), as_json)
        from tidings.store import backup

        _check_places(dest, with_key, is_folder=dest.endswith("/") or keep is not None)
        key = _key(settings) if with_key is not None else None
        with copy_bar("Copying", source, silent=as_json) as progress:
            made = backup.back_up(source, Path(dest), now, progress, replace=force)
    except (StoreError, OSError) as wrong:
        fail(f"no backup was made: {reason(wrong)}")
    if with_key is not None and key is not None:
        _write_key(key, with_key, made, now)
    note_backup(settings, made, now, key_copied=with_key is not None)
    deleted, left = ([], []) if keep is None else _delete_oldest(made, keep)
    _say(settings, made, with_key, deleted, left, keep, as_json=as_json)


def _check_places(dest: str, with_key: Path | None, *, is_folder: bool) -> None:
    """Raise StoreError if nothing can be written there, before anything is copied."""
    from tidings.store import backup

    if not dest:
        raise StoreError("DEST is empty; name a file or a folder")
    if is_folder and not Path(dest).is_dir():
        raise StoreError(f"there is no folder {dest}; create it first")
    if with_key is not None:
        backup.refuse_special(with_key)


def _say(
    settings: Settings,
    made: Copied,
    with_key: Path | None,
    deleted: list[Path],
    left: list[Path],
    keep: int | None,
    *,
    as_json: bool,
) -> None:
    if as_json:
        key_file = None if with_key is None else str(with_key)
        files = {"deleted": [str(each) for each in deleted], "left": [str(each) for each in left]}
        print_json({**msgspec.to_builtins(made), "key": key_file, **files})
        return
    typer.echo(f"{made.file}: {size(made.bytes)} with {held(made)}, copied and checked in {made.seconds:.1f} s.")
    if deleted:
        typer.echo(
            f"Deleted, to keep at most {counted(keep or 0, 'backup')}: {', '.join(each.name for each in deleted)}."
        )
    if left:
        typer.echo(f"Left alone, as they are not backups of this database: {', '.join(each.name for each in left)}.")
    typer.echo(_about_key(settings, made, with_key))


def _delete_oldest(made: Copied, keep: int) -> tuple[list[Path], list[Path]]:
    from tidings.store import backup

    try:
        return backup.delete_oldest(Path(made.file), made.contents.secret_mark, keep)
    except OSError as wrong:
        fail(f"the backup {made.file} is complete, but an older backup could not be deleted: {reason(wrong)}")


def note_backup(settings: Settings, made: Copied, now: Micros, *, key_copied: bool) -> None:
    """Record a backup in the data folder, for `tidings doctor --production`."""
    from tidings.cli.local.production import record

    record.note(settings.folder, made=str(Path(made.file).resolve()), made_at=now)
    if key_copied:
        record.note(settings.folder, key_copied_at=now)


def settings_of(config: str | None, data: str | None, database: str | None) -> Settings:
    """The settings that a start would use; ends the command if they are wrong."""
    flags = {name: value for name, value in (("data", data), ("database", database)) if value is not None}
    try:
        return check.read(config, flags)[1]
    except (SettingsError, StoreError, Refused) as wrong:
        fail(str(wrong))


def reason(wrong: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(wrong, OSError) and wrong.strerror:
        return f"{wrong.filename}: {wrong.strerror}" if wrong.filename else wrong.strerror
    return str(wrong)


def held(made: Copied) -> str:
    """The content of a copy, in words."""
    found = made.contents
    events, endpoints = (
        ("event" if found.events == 1 else "events"),
        "endpoint" if found.endpoints == 1 else "endpoints",
    )
    return f"{found.events:,} {events} and {found.endpoints:,} {endpoints} (schema {found.schema})"


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextmanager
def copy_bar(what: str, source: Path, *, silent: bool) -> Iterator[Progress]:
    """A progress bar for the copy of a file."""
    total = source.stat().st_size if source.is_file() else None
    with progress_bar(what, total, is_bytes=True, silent=silent) as done:
        yield lambda count, total: done(count)


def _key(settings: Settings) -> bytes:
    """The server's secret key; never creates one. Raises StoreError."""
    from tidings.store.seal import KEY_FILE, load_key, read_key

    if settings.secret_key:
        return load_key(settings.secret_key, settings.folder)
    path = settings.folder / KEY_FILE
    if not path.exists():
        raise StoreError(f"there is no secret key at {path} or in TIDINGS_SECRET_KEY")
    return read_key(path)


def _write_key(key: bytes, file: Path, made: Copied, now: Micros) -> None:
    """Write the key next to the backup; ends the command if it is not the backup's."""
    from tidings.store import backup
    from tidings.store.seal import Sealer

    mark, wanted = Sealer(key).mark, made.contents.secret_mark
    if wanted not in (None, mark):
        fail(
            f"the backup {made.file} is complete, but no key was written: the secret key in these settings (mark "
            f"{mark}) is not the key of this database (mark {wanted})"
        )
    try:
        backup.put_key(base64.b64encode(key), file, now)
    except (StoreError, OSError) as wrong:
        fail(f"the backup {made.file} is complete, but the key could not be written: {reason(wrong)}")


def _about_key(settings: Settings, made: Copied, with_key: Path | None) -> str:
    mark = f" (mark {made.contents.secret_mark})" if made.contents.secret_mark else ""
    if with_key is not None:
        return (
            f"The secret key{mark} is in {with_key}. Keep that file apart from the backup: together, they reveal every "
            "signing secret."
        )
    said = _place_of_key(settings, " (--with-key FILE writes one)")
    return f"The secret key{mark} is not included. {said}; without the key, the backup is useless."


def _place_of_key(settings: Settings, how: str = "") -> str:
    """Where the secret key is, and that it must be kept.

    `how`: a hint about how this command can copy the key, if it can.
    """
    from tidings.store.seal import KEY_FILE

    file = settings.folder / KEY_FILE
    if settings.secret_key or file.exists():
        where = "TIDINGS_SECRET_KEY" if settings.secret_key else file
        return f"The key is in {where}: keep a copy elsewhere{how}"
    return (
        f"This command cannot find the key: there is no {file}, and TIDINGS_SECRET_KEY is not set. Keep a copy of the "
        "key elsewhere"
    )


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def described(settings: Settings) -> Described:
    """What a PostgreSQL database contains. Raises StoreError."""
    from tidings.store.engines.opening import driver_needed

    with driver_needed():
        from tidings.store.engines import pen

    return pen.describe(settings.database)


def _postgres(settings: Settings, dest: Path, as_json: bool) -> NoReturn:
    if not settings.database.startswith(("postgresql://", "postgres://")):
        raise StoreError("the database is neither sqlite:FILE nor postgresql://USER@HOST/NAME")
    found = described(settings)
    url = shlex.quote(without_password(settings.database))
    file = shlex.quote(str(dest / "tidings.dump" if dest.is_dir() else dest))
    dump = [f"pg_dump --format=custom --file={file} --dbname={url}", f"pg_restore --list {file} >/dev/null"]
    base = f"pg_basebackup --format=tar --gzip --wal-method=stream --checkpoint=fast --pgdata=DIR --dbname={url}"
    if as_json:
        print_json({"made": False, **msgspec.to_builtins(found), "commands": [*dump, base]})
        raise typer.Exit(FAILED)
    if found.schema is None:
        fail(f"no backup was made: {url} has no Tidings data")
    typer.echo(
        f"PostgreSQL {found.version} is reachable ({size(found.bytes)}, schema {found.schema}). Use PostgreSQL's own "
        "backup tools; this command made no backup."
    )
    typer.echo(
        "\nTo copy the database at a single moment while the server is running, and check that the copy is readable:\n"
    )
    typer.echo("".join(f"  {line}\n" for line in dump))
    typer.echo(
        'To lose at most a few minutes of data, archive the WAL and keep base backups (see "Continuous Archiving" in '
        f"the PostgreSQL manual).\narchive_mode is {('on' if found.archives else 'off')} here. To make a base "
        f"backup:\n\n  {base}\n"
    )
    mark = f" (mark {found.secret_mark})" if found.secret_mark else ""
    typer.echo(f"None of these backups includes the secret key{mark}. {_place_of_key(settings)}.")
    raise typer.Exit(FAILED)
