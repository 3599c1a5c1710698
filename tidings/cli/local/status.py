"""`tidings status`: one sentence about the server's health, what needs attention, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from tidings.cli.session import FAILED, Session, calling, fail
from tidings.cli.terminal import layout
from tidings.cli.terminal.sentences import counted
from tidings.client import NotFound
from tidings.client.exchange import ClientRequest

COLUMNS = 80
SHOWN = 3
INDENT = "  "


@calling
def status(out: Session) -> None:
    """Say in one sentence whether something needs attention, and if so, what to do first.

    The exit status is 1 if something needs attention, or the server does not answer.
    """
    try:
        report = out.client.exchange(ClientRequest("GET", "/v1/health")).value()
    except NotFound:
        fail("this server is of an older version, which has no /v1/health. See: tidings doctor")
    out.answer(report, lambda: typer.echo("\n".join(lines(report))))
    if report["state"] != "ok":
        raise typer.Exit(FAILED)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for people, in at most 14 lines of at most 80 columns."""
    problems, total = report["problems"], report["problems_total"]
    if not problems:
        yield from _wrapped(report["sentence"], "")
        yield from _jobs(report)
        return
    if total > 1:
        oldest = report["oldest_waiting"]
        since = "" if oldest is None else f" Oldest waiting delivery: {oldest['since'][:16].replace('T', ' ')} UTC."
        yield from _wrapped(f"{total:,} things need attention.{since}", "")
    for problem in problems[:SHOWN]:
        yield from _wrapped(problem["sentence"], "", 2)
        if problem["reason"]:
            yield _cut(f"{INDENT}Why: {layout.printable(problem['reason'])}")
        yield from _advice(problem["advice"])
    if total > SHOWN:
        yield f"And {total - SHOWN:,} more: tidings status --json"
    if total < SHOWN:
        yield from _jobs(report)


def _jobs(report: Mapping[str, Any]) -> Iterator[str]:
    replays = [job for job in report["jobs"] if job["what"] == "replay"]
    if replays:
        yield f"{counted(len(replays), 'replay')} under way: tidings replays list"


def _advice(text: str) -> list[str]:
    """The advice. A command in it may be copied, so it is never broken, but moved to the next line."""
    said, colon, command = layout.printable(text).partition(": tidings ")
    if not colon or len(INDENT + text) <= COLUMNS:
        return _wrapped(text, INDENT)
    return [*_wrapped(f"{said}:", INDENT), f"{INDENT * 2}tidings {command}"]


def _wrapped(text: str, indent: str, most: int | None = None) -> list[str]:
    """The text in lines; values that may be copied, such as an id or a time, are not broken."""
    return textwrap.wrap(
        layout.printable(text),
        COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        max_lines=most,
        placeholder=" ...",
    )


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 3]}..."
