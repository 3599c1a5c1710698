"""What all commands that call a server share: options, client, and output for people and scripts."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Annotated, Any, NoReturn

import typer

from tidings.cli.profiles import completed
from tidings.cli.terminal import exact_json, layout
from tidings.cli.terminal.numbers import counting
from tidings.cli.terminal.sentences import sentence
from tidings.client import Client, ClientError
from tidings.client.exchange import DEFAULT_URL
from tidings.model.errors import TidingsError

FAILED = 1
LIST_LIMIT = 50
PAGE_MAX = 1000

Url = Annotated[
    str | None,
    typer.Option(envvar="TIDINGS_URL", help="The server's URL.", metavar="URL", show_default=DEFAULT_URL),
]
"""None if no URL was given; the URL is then that of the stored profile, or the default."""
Key = Annotated[str, typer.Option(envvar="TIDINGS_KEY", help="The key to use.", metavar="KEY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, for scripts.")]
Limit = Annotated[int, typer.Option(parser=counting, help="Show at most this many entries.", metavar="NUMBER")]


def spelled_out(values: list[str]) -> list[str]:
    """A list of types or scopes as people see it: a lone `*` is explained."""
    return ["* (all)"] if values == ["*"] else values


class Session:
    """One command's client and its output."""

    def __init__(self, client: Client, *, as_json: bool, url: str = DEFAULT_URL) -> None:
        self.client = client
        self.as_json = as_json
        self.url = url.rstrip("/")
        """The server's URL."""

    def answer(self, value: Any, human: Callable[[], None]) -> None:
        """Print the command's result: one JSON document for scripts, or what `human` prints."""
        if self.as_json:
            print_json(value)
        else:
            human()

    def say(self, text: str) -> None:
        """Print one line for people; silent for scripts."""
        if not self.as_json:
            typer.echo(text)

    def list(self, items: Iterable[Mapping[str, Any]], limit: int, columns: Mapping[str, str], nothing: str) -> None:
        """Print a list as a table, or as a JSON array. `columns`: the field for each heading."""
        shown = list(islice(items, limit))
        self.answer(shown, lambda: self.table(shown, columns, nothing))

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], nothing: str) -> None:
        """Print rows for people. `columns`: the field for each heading; `nothing` is printed if there are no rows."""
        if not rows:
            self.say(nothing)
            return
        for line in layout.table(rows, columns, width()):
            self.say(line)

    def details(self, value: Mapping[str, Any], title: str) -> None:
        """Print one object, field by field; empty fields are omitted."""
        self.say(title)
        for line in layout.details(value, width()):
            self.say(line)

    def changed(self, value: Mapping[str, Any]) -> None:
        """Print the result of an edit."""
        self.answer(value, lambda: self.details(value, f"{value['id']} is changed."))

    def deleted(self, name: str, member: str = "id") -> None:
        """Print the result of a deletion; `member` is the member for the name in JSON."""
        self.answer({member: name, "deleted": True}, lambda: self.say(f"{name} is deleted."))

    @contextmanager
    def progress(self, what: str, total: int | None, *, is_bytes: bool = False) -> Iterator[Callable[[int], None]]:
        """A progress bar on stderr; call the yielded function with the amount done.

        Silent for scripts and without a tty.
        """
        with progress_bar(what, total, is_bytes=is_bytes, silent=self.as_json) as done:
            yield done


@contextmanager
def progress_bar(
    what: str, total: int | None, *, is_bytes: bool = False, silent: bool = False
) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if that is a terminal; call the yielded function with the amount done."""
    if silent or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    done = DownloadColumn() if is_bytes else MofNCompleteColumn()
    columns = (TextColumn(what), BarColumn(), done, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def session(url: str | None, key: str, as_json: bool, retries: int = 1) -> Iterator[Session]:
    """A session; API errors end the command with one sentence on stderr and status 1."""
    try:
        url, key = completed(url, key)
    except ValueError as wrong:
        fail(str(wrong))
    try:
        with Client(url, key or None, retries=retries, loads=exact_json.loads) as client:
            yield Session(client, as_json=as_json, url=url)
    except ClientError as wrong:
        fail(f"{wrong}{_advice(wrong, url, key)}")
    except (ValueError, TidingsError) as wrong:
        fail(str(wrong))
    except BrokenPipeError:
        # The reader of our output has had enough (`| head`). Say nothing more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None


def revision_of(noun: str) -> Any:
    """The option --revision of commands that change something."""
    return typer.Option(parser=counting, help=f"Proceed only if the {noun} is at this revision.", metavar="NUMBER")


class Together:
    """Options that several commands share: the parameters of `read`, whose result is passed to the command."""

    def __init__(self, read: Callable[..., Any]) -> None:
        self.read = read
        self.parameters = list(inspect.signature(read, eval_str=True).parameters.values())


def calling(command: Callable[..., None]) -> Callable[..., None]:
    """A command that calls the server, as typer sees it: without the session, and with --url, --key and --json.

    Each `Annotated[..., Together(read)]` is replaced by the parameters of `read`.
    """
    parameters: list[inspect.Parameter] = []
    together: dict[str, Together] = {}
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    for each in own:
        shared = next((it for it in getattr(each.annotation, "__metadata__", ()) if isinstance(it, Together)), None)
        if shared is None:
            parameters.append(each)
        else:
            together[each.name] = shared
            parameters += shared.parameters

    @functools.wraps(command)
    def run(*, url: str | None, key: str, as_json: bool, **options: Any) -> None:
        with session(url, key, as_json) as out:
            for name, shared in together.items():
                options[name] = shared.read(**{each.name: options.pop(each.name) for each in shared.parameters})
            command(out, **options)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*parameters, *_SHARED.parameters)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _shared(*, url: Url = None, key: Key = "", as_json: AsJson = False) -> None:
    """What every command that calls the server takes."""


_SHARED = Together(_shared)


def fail(why: str, status: int = FAILED) -> NoReturn:
    """End the command with a sentence on stderr."""
    typer.echo(sentence(why), err=True)
    raise typer.Exit(status)


def width() -> int | None:
    """The width of the terminal; None if the output is a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: Any) -> None:
    """Print one JSON document to stdout."""
    typer.echo(exact_json.dumps(value, indent=2))


def _advice(wrong: ClientError, url: str, key: str) -> str:
    if getattr(wrong, "status", None) == 401:
        if key:
            return " Pass another key with --key or TIDINGS_KEY."
        return " Pass a key with --key or TIDINGS_KEY, or store one with: tidings login"
    return elsewhere(wrong, url)


def elsewhere(wrong: Exception, url: str) -> str:
    """How to call another server, if nothing listens at the default URL; begins with a space, unless it is empty."""
    if url != DEFAULT_URL or not isinstance(wrong.__cause__, ConnectionRefusedError):
        return ""
    port = _port_in_file()
    if port is None or DEFAULT_URL.endswith(f":{port}"):
        return " If the server listens elsewhere, pass its URL with --url or TIDINGS_URL."
    return f" ./tidings.yaml sets `port` to {port}: pass --url http://127.0.0.1:{port}, or set TIDINGS_URL."


def _port_in_file() -> int | None:
    """The port in ./tidings.yaml, which `serve` reads, and commands that call a server do not."""
    from tidings.config import find_config
    from tidings.rules.reading.refused import Refused
    from tidings.settings import SettingsError

    with suppress(SettingsError, Refused, OSError):
        port = find_config(None).settings.get("port")
        return port if isinstance(port, int) and port else None
    return None


__all__ = ["AsJson", "Key", "Limit", "Session", "Url", "session"]
