"""`tidings move --to URL`: move the data of a stopped server from SQLite to PostgreSQL."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tidings.cli.local.backup import Data, Database, File, reason, settings_of
from tidings.cli.session import AsJson, fail, print_json, progress_bar
from tidings.cli.terminal.sentences import counted
from tidings.model.moment import SystemClock, to_text
from tidings.rules.network.database_url import without_password
from tidings.settings import Settings
from tidings.store.base import StoreError

if TYPE_CHECKING:
    from tidings.control.upkeep.moving import MovedStore


def move(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The PostgreSQL database to move the data to, which must be empty: `postgresql://USER@HOST/NAME`.",
            metavar="URL",
        ),
    ],
    data: Data = None,
    database: Database = None,
    config: File = None,
    as_json: AsJson = False,
) -> None:
    """Move the data from SQLite to PostgreSQL; the server must be stopped.

    Ids, cursors, secrets and waiting deliveries are kept, so endpoints do not notice the move. Either everything is
    moved, or nothing is. Afterwards, the SQLite file is renamed, so that no server continues with it by mistake.
    """
    settings = settings_of(config, data, database)
    from tidings.store.engines.opening import lock_database, lock_folder, sqlite_file

    file = sqlite_file(settings.database, settings.folder)
    if file is None:
        fail("nothing was moved: the data is not in SQLite; pass the folder of the SQLite database with --data")
    try:
        if not file.is_file() or not file.stat().st_size:
            raise StoreError(f"there is no database at {file}; pass its folder with --data")
        with contextlib.ExitStack() as locks:
            locks.callback(lock_folder(settings.folder).release)
            if (lock := lock_database(settings.database, settings.folder)) is not None:
                locks.callback(lock.release)
            moved = _move(settings, to, silent=as_json)
            kept = _put_aside(file)
    except (StoreError, OSError) as wrong:
        fail(f"nothing was moved: {reason(wrong)}")
    if as_json:
        print_json({**msgspec.to_builtins(moved), "kept": str(kept)})
        return
    items = sum(moved.items.values())
    what = f"{counted(moved.rows['event'], 'event')} and {counted(items, 'item')}"
    typer.echo(f"{what} were moved, {moved.total:,} rows in all.")
    typer.echo(f"The SQLite file is now {kept}; delete it when you no longer need it.")
    typer.echo(f"Start the server with: tidings serve --data {settings.data} --database {_shown(to)}")


def _move(settings: Settings, to: str, *, silent: bool) -> MovedStore:
    from tidings.control.upkeep import moving
    from tidings.store.engines.migrate import plan
    from tidings.store.engines.opening import open_engine, shared_engine
    from tidings.store.seal import load_sealer

    shared_engine(to).close()
    source_engine = open_engine(settings.database, settings.folder, "filled")
    with contextlib.ExitStack() as opened:
        opened.callback(source_engine.close)
        source = source_engine.reader()
        opened.callback(source.close)
        if plan(source).newer:
            raise StoreError("the database was changed by a newer Tidings; move it with that version")
        # With a different key, the secrets could not be decrypted there either.
        load_sealer(source, settings.secret_key or None, settings.folder)
        target_engine = open_engine(to, settings.folder)
        opened.callback(target_engine.close)
        target = target_engine.writer()
        opened.callback(target.close)
        source.begin(write=False)
        with progress_bar("Moving", moving.count(source), silent=silent) as progress:
            moved = moving.move(source, target, progress)
        target_engine.claim(target)
        return moved


def _put_aside(file: Path) -> Path:
    """Give the old file another name. Its journal is empty: closing the last connection has emptied it."""
    stamp = to_text(SystemClock().now())[:19].replace(":", "").replace("-", "")
    kept = file.with_name(f"{file.name}.moved-{stamp}")
    file.rename(kept)
    return kept


def _shown(url: str) -> str:
    return shlex.quote(without_password(url))
