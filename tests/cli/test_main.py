"""The program itself: its help, its version, and that a call loads no more than it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tests import warm
from tests.examples import slow
from tidings import __version__
from tidings.cli.commands import tree
from tidings.cli.table import COMMANDS

LOADED = """
import sys
from tidings.cli.main import app
try:
    app({args!r})
except SystemExit:
    pass
heavy = ("typer", "rich", "asyncio", "tidings.server", "psycopg", "apsw", "pydantic")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return warm.ended("tidings", *args, env=dict(os.environ), cwd=None, seconds=60)


@pytest.mark.parametrize("args", [(), ("-h",), ("--help",), ("help",)])
def test_help_lists_every_command_within_80_columns(args: tuple[str, ...]) -> None:
    said = run(*args)
    assert said.returncode == 0 and said.stderr == ""
    assert all(f"\n  {command.name} " in said.stdout for command in COMMANDS)
    assert max(map(len, said.stdout.splitlines())) <= 80


@pytest.mark.parametrize("word", ["version", "--version", "-V"])
def test_version_is_a_command_and_an_option(word: str) -> None:
    said = run(word)
    assert (said.returncode, said.stdout) == (0, f"tidings {__version__}\n")


@pytest.mark.parametrize(
    "args", [("publish", "-h"), *slow(("endpoints", "-h"), ("endpoints", "create", "-h"), ("help", "keys"))]
)
def test_minus_h_explains_a_command_too(args: tuple[str, ...]) -> None:
    said = run(*args)
    assert said.returncode == 0 and "Usage: tidings" in said.stdout


def test_open_is_another_name_of_console() -> None:
    said = run("open", "--help")
    assert said.returncode == 0 and said.stdout == run("console", "--help").stdout == run("help", "open").stdout


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 60])
def test_help_breaks_lines_between_words(columns: int) -> None:
    """Every command's help; --client-certificate and the examples of values were cut with an ellipsis."""

    def helps(command: Any, path: list[str], width: int) -> Iterator[tuple[str, str]]:
        context = typer.Context(command, info_name=" ".join(path), terminal_width=width, max_content_width=width)
        yield " ".join(path), command.get_help(context)
        for name, each in getattr(command, "commands", {}).items():
            yield from helps(each, [*path, name], width)

    program = typer.main.get_command(tree())
    wide = dict(helps(program, ["tidings"], 1_000))
    for name, text in helps(program, ["tidings"], columns):
        known = set(wide[name].split())
        # Only a long value, such as a URL, may be broken, or a word at its hyphen; nothing is left out.
        parts = {part for word in known if len(word) > 17 or "-" in word for part in _parts(word)}
        assert set(text.split()) <= known | parts, name
        for line in text.splitlines():
            assert len(line) <= columns or len(line.split()) == 1, (name, line)


def _parts(word: str) -> Iterator[str]:
    for at in range(1, len(word)):
        if len(word) > 17 or word[at - 1] == "-":
            yield from (word[:at], word[at:])


def test_an_unknown_command_is_named() -> None:
    said = run("endpoint", "list")
    assert said.returncode == 2 and "endpoint" in said.stderr and "endpoints" in said.stderr


@pytest.mark.slow
def test_the_table_has_the_help_of_each_command() -> None:
    commands = typer.main.get_command(tree()).commands  # type: ignore[attr-defined]
    assert list(commands) == [command.name for command in COMMANDS]
    for command in COMMANDS:
        first = command.help.removesuffix(".").split(",")[0].split(" the server")[0]
        assert (commands[command.name].help or "").startswith(first), command.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "loaded"),
    [
        (["--help"], "[]"),
        (["version"], "[]"),
        (["serve", "--port", "nowhere"], "[]"),
        (["events", "list", "--json", "--url", "http://127.0.0.1:1"], "['typer']"),
    ],
)
def test_a_call_loads_what_it_needs(args: list[str], loaded: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", LOADED.format(args=args)], capture_output=True, text=True, check=False, timeout=60
    )
    found = said.stderr.splitlines()[-1]
    # Whoever has pydantic installed gets it with typer; none of our dependencies brings it.
    assert found.replace(", 'pydantic'", "").replace(", 'asyncio'" if "pydantic" in found else "\0", "") == loaded


def test_options_that_commands_share_are_the_same_in_each() -> None:
    """The options that several commands have are declared once, so they cannot drift apart."""
    endpoints = typer.main.get_command(tree(["endpoints"])).commands["endpoints"].commands  # type: ignore[attr-defined]
    create, edit = ({each.name for each in endpoints[name].params} for name in ("create", "edit"))
    assert {"events", "filter", "header", "ca", "give_up_on", "set", "url", "key", "as_json"} <= create & edit
    assert create - edit == {"tenant", "once"} and edit - create == {"id", "revision"}


@pytest.mark.slow
@pytest.mark.parametrize("args", [("--help",), ("schemes",), ("schemes", "--json"), ("keys", "--help")])
def test_an_output_that_cannot_be_written_is_said_in_a_sentence(args: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tidings", *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "The output could not be written: No space left on device.\n")


@pytest.mark.slow
def test_a_reader_that_has_had_enough_is_told_nothing() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "tidings", "schemes"], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, "")


INTERRUPTED_IMPORT = """
import sys
from tidings.cli.main import app

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
sys.exit(app(["events", "list"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["typer", "tidings.cli.remote.events", "tidings.client"])
def test_ctrl_c_while_a_command_is_loaded_ends_it_without_a_traceback(name: str) -> None:
    code = INTERRUPTED_IMPORT.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
