"""`tidings items`: the items of a collection, one by one and as files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, NoReturn

import typer

from tidings.cli.session import (
    LIST_LIMIT,
    PAGE_MAX,
    AsJson,
    Key,
    Limit,
    Session,
    Url,
    calling,
    fail,
    print_json,
    revision_of,
    session,
)
from tidings.cli.terminal.sentences import counted
from tidings.cli.terminal.values import pairs, read_json, values
from tidings.client import ImportRefused, Invalid
from tidings.client.calls import given
from tidings.client.items import Items
from tidings.client.uploads import ENDINGS

EXAMPLE = "done=true"
"""An example of a field and its value, for error messages."""

cli = typer.Typer(help="Items of a collection: one by one, or as files.", no_args_is_help=True)

LISTS = ("__in", "__nin")
"""The suffixes of filters that accept several values."""
RETRIES = 6
"""The number of retries: enough for an import to survive a server restart."""
CONFLICT_ADVICE = "If items already exist, use --on-conflict replace, merge or skip."
REFUSED = 3
"""The exit status of an import with --partial that stored some lines and refused others."""
OWN = ("revision", "created", "updated")

Collection = Annotated[str, typer.Argument(help="The collection's name.")]
Id = Annotated[str, typer.Argument(help="The item's id.")]
Data = Annotated[str | None, typer.Option(help="The fields: JSON, @file, or - for stdin.", metavar="JSON")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A field to set; the value is JSON or plain text. Repeat for more.", metavar="NAME=VALUE"
    ),
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        help=(
            "A condition that items must meet, such as done=false or price__gte=10; repeat for more. To allow "
            "several values, use status__in=a,b; if one of them contains a comma, repeat the option for each value."
        ),
        metavar="NAME=VALUE",
    ),
]
Words = Annotated[str | None, typer.Option("--q", help="Include only items that contain all of these words.")]
Sort = Annotated[str | None, typer.Option(help="The sort order, such as -price,title.")]
Fields = Annotated[str | None, typer.Option(help="The fields to include, separated by commas.")]
Tenant = Annotated[str | None, typer.Option(help="The tenant that owns the items; only for keys without a tenant.")]
Revision = Annotated[int | None, revision_of("item")]
Format = Annotated[
    str | None, typer.Option(help="The file's format: csv or ndjson. The default depends on the file's extension.")
]


@cli.command("list")
@calling
def list_items(
    out: Session,
    collection: Collection,
    filter: Filter = None,
    q: Words = None,
    sort: Sort = None,
    fields: Fields = None,
    tenant: Tenant = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List items, newest first."""
    query = _filters(filter) | given(q=q, sort=sort, fields=fields, limit=min(limit, PAGE_MAX))
    found = list(islice(out.client.items(collection, tenant).list(**query), limit))
    shown = {name: name for item in found for name in item if name not in OWN or fields}
    if not fields and not any(item.get("tenant") for item in found):
        shown.pop("tenant", None)
    out.list(found, limit, shown, f"There are no such items in {collection}.")


@cli.command("show")
@calling
def show(
    out: Session,
    collection: Collection,
    id: Id,
    expand: Annotated[
        str | None,
        typer.Option(help="Fields that refer to other items, separated by commas. Those items are shown too."),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Show one item."""
    found = out.client.items(collection, tenant).get(id, **given(expand=expand))
    out.answer(found, lambda: out.details(found, id))


@cli.command("create")
@calling
def create(
    out: Session,
    collection: Collection,
    data: Data = None,
    set: Set = None,
    id: Annotated[str | None, typer.Option(help="Your own id for the item; no other item may have it.")] = None,
    tenant: Tenant = None,
) -> None:
    """Create an item."""
    with _quotes_told(set):
        made = out.client.items(collection, tenant).create(_fields(data, set), id)
    out.answer(made, lambda: out.details(made, f"{made['id']} is created."))


@cli.command("edit")
@calling
def edit(
    out: Session,
    collection: Collection,
    id: Id,
    data: Data = None,
    set: Set = None,
    revision: Revision = None,
    tenant: Tenant = None,
) -> None:
    """Change the given fields and keep the others; null removes a value."""
    changes = _fields(data, set)
    if not changes:
        raise ValueError("Pass at least one change, such as --set done=true.")
    with _quotes_told(set):
        changed = out.client.items(collection, tenant).edit(id, changes, revision)
    out.answer(changed, lambda: out.details(changed, f"{id} is at revision {changed['revision']}."))


@cli.command("delete")
@calling
def delete(out: Session, collection: Collection, id: Id, revision: Revision = None, tenant: Tenant = None) -> None:
    """Delete an item. This is refused while other items refer to it."""
    out.client.items(collection, tenant).delete(id, revision)
    out.deleted(id)


@cli.command("import")
def import_(
    collection: Collection,
    file: Annotated[str, typer.Argument(help="A CSV file with a header line, or an NDJSON file; - for stdin.")],
    format: Format = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Store the valid lines even if others are refused. The exit status is 3 if any line is refused.",
        ),
    ] = False,
    on_conflict: Annotated[
        str, typer.Option(help="What to do if an id already exists: refuse, replace, merge or skip.")
    ] = "refuse",
    tenant: Tenant = None,
    url: Url = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Import a file of items. If any line is refused, nothing is imported, unless --partial is given."""
    with session(url, key, as_json, retries=RETRIES) as out:
        source: Path | IO[bytes] = sys.stdin.buffer if file == "-" else Path(file)
        format = _format(file, format)
        try:
            with out.progress("importing", _size(source), is_bytes=True) as show:
                said = out.client.items(collection, tenant).import_(
                    source, format, partial=partial, on_conflict=on_conflict, sent=show
                )
        except ImportRefused as wrong:
            _refused(out, wrong)
        except OSError as wrong:
            raise ValueError(f"The file {file} cannot be read: {wrong.strerror}") from None
        out.answer(said, lambda: _summary(out, said))
        if said["refused"]:
            raise typer.Exit(REFUSED)


@cli.command("export")
@calling
def export(
    out: Session,
    collection: Collection,
    file: Annotated[str, typer.Argument(help="The file to write; - for stdout.")] = "-",
    format: Format = None,
    filter: Filter = None,
    q: Words = None,
    sort: Annotated[
        str | None,
        typer.Option(help="The order: created for oldest first (the default), or -created for newest first."),
    ] = None,
    fields: Fields = None,
    tenant: Tenant = None,
) -> None:
    """Export items to a file that `tidings items import` accepts. The file is written completely or not at all."""
    query = _filters(filter) | given(q=q, sort=sort, fields=fields)
    format = format or (_format(file, None) if file != "-" else "ndjson")
    items = out.client.items(collection, tenant)
    if file == "-":
        _write(out, items, format, query, sys.stdout.buffer)
        return
    part = Path(f"{file}.part")
    try:
        with part.open("wb") as target:
            count = _write(out, items, format, query, target)
        os.replace(part, file)
    except OSError as wrong:
        raise ValueError(f"The file {file} cannot be written: {wrong.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    out.answer(
        {"exported": count, "file": file},
        lambda: out.say(f"{counted(count, 'item')} {'was' if count == 1 else 'were'} exported to {file}."),
    )


def _write(out: Session, items: Items, format: str, query: Mapping[str, Any], target: IO[bytes]) -> int:
    """Write the file; returns the number of items in it."""
    rows = _Rows(format)
    with out.progress("exporting", None) as show:
        for piece in items.export_file(format, **query):
            target.write(piece)
            show(rows.feed(piece))
    target.flush()
    return rows.count


class _Rows:
    """Counts the rows of a file as it passes. A line break inside quotes does not end a CSV row."""

    def __init__(self, format: str) -> None:
        self._is_csv = format == "csv"
        self._inside = 0
        self._ends = 0

    @property
    def count(self) -> int:
        """The number so far, without the header."""
        return max(self._ends - (1 if self._is_csv else 0), 0)

    def feed(self, piece: bytes) -> int:
        """Feed one more chunk; returns the rows counted so far."""
        if not self._is_csv:
            self._ends += piece.count(b"\n")
            return self.count
        parts = piece.split(b'"')
        self._ends += sum(part.count(b"\n") for part in parts[self._inside :: 2])
        self._inside = (self._inside + len(parts) - 1) % 2
        return self.count


def _summary(out: Session, said: Mapping[str, Any]) -> None:
    # Servers of earlier versions have no `merged`.
    names = ("created", "replaced", "merged", "skipped", "unchanged", "refused")
    told = [f"{said[name]:,} {name}" for name in names if said.get(name)]
    out.say(f"{counted(said['read'], 'line')}: {', '.join(told) or 'nothing to do'}.")
    for line in _places(said["errors"]):
        typer.echo(line, err=True)
    if _is_taken(said["errors"]):
        typer.echo(CONFLICT_ADVICE, err=True)


def _refused(out: Session, wrong: ImportRefused) -> NoReturn:
    """End with every reported place, one per line."""
    if out.as_json:
        print_json({"detail": wrong.detail, "errors": wrong.errors})
    for line in _places(wrong.errors):
        typer.echo(line, err=True)
    fail(f"{wrong.detail} {CONFLICT_ADVICE}" if _is_taken(wrong.errors) else wrong.detail)


def _is_taken(errors: Sequence[Mapping[str, Any]]) -> bool:
    return any(error.get("code") == "id_taken" for error in errors)


def _places(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors:
        where = f" at {error['pointer']}" if error.get("pointer") else ""
        yield f"line {error.get('line', '?')}{where}: {error['detail']}"


def _fields(data: str | None, set: list[str] | None) -> dict[str, Any]:
    """The fields of --data and --set. Raises ValueError."""
    found: dict[str, Any] = {}
    if data is not None:
        text = sys.stdin.read() if data == "-" else _file(data[1:]) if data.startswith("@") else data
        found = read_json(text, "--data")
        if not isinstance(found, dict):
            raise ValueError('--data must be an object, such as {"title": "..."}.')
    return found | values(set, EXAMPLE)


@contextmanager
def _quotes_told(set: list[str] | None) -> Iterator[None]:
    """If a number was refused because a string is needed, explain how to pass a string in the shell."""
    try:
        yield
    except Invalid as wrong:
        fields = dict(pairs(set, "--set", EXAMPLE))
        for error in wrong.errors:
            name = str(error.get("pointer", ""))[1:]
            if name in fields and "as a string" in error["detail"] and not fields[name].startswith('"'):
                fail(f"{wrong} The shell removes quotes, so write: --set {name}='\"{fields[name]}\"'")
        raise


def _file(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as wrong:
        raise ValueError(f"The file {name} cannot be read: {wrong.strerror}") from None


def _filters(texts: list[str] | None) -> dict[str, Any]:
    """The filters of --filter in the form of the client. Raises ValueError."""
    found: dict[str, list[str]] = {}
    for name, value in pairs(texts, "--filter", EXAMPLE):
        found.setdefault(name, []).append(value)
    # If a filter is given once, its value may be several, separated by commas; if repeated, each value is whole.
    return {
        name: (values[0].split(",") if name.endswith(LISTS) else values[0]) if len(values) == 1 else values
        for name, values in found.items()
    }


def _format(file: str, format: str | None) -> str:
    """The format of a file. Raises ValueError if neither the option nor the extension determines it."""
    found = format or ENDINGS.get(Path(file).suffix.lower())
    if found is None or found not in ENDINGS.values():
        raise ValueError("Specify the file's format: --format csv or --format ndjson.")
    return found


def _size(source: Path | IO[bytes]) -> int | None:
    return source.stat().st_size if isinstance(source, Path) else None
