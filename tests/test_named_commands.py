"""Commands that texts name exist, with the options that they are named with: those that no test runs, too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.repository import files, name
from tidings.cli.commands import tree
from tidings.cli.table import BY_NAME, OTHER_NAMES

OUTSIDE = ("CHANGELOG.md", "docs/decisions/", "tests/", "benchmarks/")
"""Where the names of former commands may be, or of wrong ones."""
PROSE = re.compile(r"(?:`|\b(?:run|with|try|use): )tidings ([^`\n\"']+)")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^\s*(?:\$ |ExecStart=/\S*/|[A-Z_]+=\S+ )*tidings ([a-z].*)$", re.MULTILINE)
END = re.compile(r"^(?:[|&;<>(){}]+|\d?>.*|#.*|\$\(.*)$")
WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def texts() -> list[Path]:
    kinds = (".md", ".py", ".html", ".yaml", ".yml", ".service", ".timer", ".txt", ".js")
    return [path for path in files() if path.suffix in kinds and not name(path).startswith(OUTSIDE)]


@pytest.mark.parametrize("folder", sorted({name(path).split("/")[0] for path in texts()}))
def test_each_command_that_is_named_exists_and_has_the_options_that_are_named(folder: str) -> None:
    wrong = [
        f"{name(path)}: tidings {line}: {why}"
        for path in texts()
        if name(path).split("/")[0] == folder
        for line in named(path)
        if (why := misnamed(line))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("keys delete", "no command keys delete"),
        ("keyz", "no command keyz"),
        ("check --config FILE", "no option --config"),
        ("backup DIR --keep=3 --force", ""),
        ("outbox", ""),
        ("endpoints list --json | jq", ""),
        ("serve --data data &", ""),
    ],
)
def test_the_judge_of_names_sees_what_is_wrong(line: str, why: str) -> None:
    assert misnamed(line) == why


def named(path: Path) -> Iterator[str]:
    """What follows `tidings` where a text names a command."""
    text = path.read_text()
    yield from PROSE.findall(text)
    blocks = BLOCK.findall(text) if path.suffix == ".md" else [text] if path.suffix in (".service", ".yaml") else []
    for block in blocks:
        yield from LINE.findall(block.replace("\\\n", " "))


def misnamed(line: str) -> str:
    """What is wrong with a command line; an empty text if nothing is."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        # It is cut off in the middle of a quoted text, as a sentence may be.
        words = line.split()
    words = words[: next((n for n, word in enumerate(words) if END.match(word)), len(words))]
    if not words or not WORD.fullmatch(words[0].rstrip(".,;:")) or words[0] in ("help", "version"):
        return ""
    first = words[0].rstrip(".,;:")
    command = known().get(OTHER_NAMES.get(first, first))
    if command is None:
        return f"no command {first}"
    if BY_NAME[OTHER_NAMES.get(first, first)].group and len(words) > 1 and WORD.fullmatch(words[1].rstrip(".,;:")):
        second = words[1].rstrip(".,;:")
        command = command.commands.get(second)
        if command is None:
            return f"no command {first} {second}"
    options = {text for each in command.params for text in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    if hasattr(command, "commands"):
        return ""
    unknown = [
        flag for word in words if (flag := word.partition("=")[0].rstrip(".,;:")).startswith("--") and flag != "--"
    ]
    return next((f"no option {flag}" for flag in unknown if flag not in options), "")


@cache
def known() -> dict[str, Any]:
    program: Any = typer.main.get_command(tree())
    return dict(program.commands)
