"""`tidings publish`: one event from the command line, or a file of them in batches."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated, NoReturn

import msgspec
import typer

from tidings.cli.session import FAILED, AsJson, Key, Session, Url, fail, print_json, session
from tidings.cli.terminal.sentences import counted
from tidings.cli.terminal.values import check_json
from tidings.client import ApiError, ClientError, calls

LINES_MAX = 5
"""The maximum number of line numbers to list in front of an error message."""
BATCH_EVENTS_MAX = 1000
RETRIES = 6
"""The number of retries for each batch of a file: enough to survive a server restart."""

_RESUME = re.compile(r"([0-9a-f]{16}):([0-9]+)")
_PLACE = re.compile(r"/events/([0-9]+)(.*)")


def publish(
    type: Annotated[str | None, typer.Argument(help="The event's type, such as tasks.completed.")] = None,
    data: Annotated[
        str | None, typer.Option(help="The event's data: JSON, @file, or - for stdin.", metavar="JSON")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Publish the example that the event type declares.")
    ] = False,
    subject: Annotated[str | None, typer.Option(help="What the event is about.")] = None,
    id: Annotated[
        str | None, typer.Option(help="Your own id for the event; only one event with this id is stored.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="When the event happened; defaults to now.", metavar="TIME")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant that the event belongs to.")] = None,
    file: Annotated[
        str | None, typer.Option(help="A file with one event per line, in JSON; - for stdin.", metavar="FILE")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Continue publishing a --file after an error; the error message shows the value to pass here."
        ),
    ] = None,
    url: Url = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Publish an event, or a file of events. The command reports success once the server has saved them."""
    with session(url, key, as_json, retries=RETRIES if file else 1) as out:
        if file is None:
            if type is None or (data is None) is not example:
                raise ValueError("Pass either a TYPE with --data or --example, or a --file with one event per line.")
            if resume is not None:
                raise ValueError("--resume requires --file.")
            text = _example(out, type) if data is None else _data(data)
            fields = calls.given(type=type, subject=subject, id=id, time=time, tenant=tenant)
            accepted = out.client.send(calls.create("/v1/events", calls.event_text(fields, text)))
            # The server's response to a repeat is the same, so that a retry is safe.
            again = "" if id is None else " If an event with this id had already been stored, it was not sent again."
            out.answer(accepted, lambda: out.say(f"{accepted['id']} is published.{again}"))
        elif example or any(each is not None for each in (type, data, subject, id, time, tenant)):
            raise ValueError(
                "With --file, each line contains a whole event (`type`, `data` and so on), so omit TYPE, --data and "
                "the like."
            )
        else:
            _publish_file(out, file, resume)


def _data(text: str) -> str:
    """The JSON text that --data means, sent exactly as written. Raises ValueError."""
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as wrong:
            raise ValueError(f"The file {text[1:]} cannot be read: {wrong.strerror}") from None
    check_json(text, "--data")
    return text


def _example(out: Session, kind: str) -> str:
    """The example that an event type declares, as its JSON text. Raises ValueError or ClientError."""
    found = out.client.exchange(calls.read(calls.at("event-types", kind)))
    found.value()
    example = msgspec.json.decode(found.body, type=dict[str, msgspec.Raw])["example"]
    text = bytes(example).decode()
    if text == "null":
        raise ValueError(f"{kind} declares no example. Use --data instead.")
    return text


def _publish_file(out: Session, name: str, resume: str | None) -> None:
    run, first = secrets.token_hex(8), 1
    if resume is not None:
        match = _RESUME.fullmatch(resume)
        if match is None:
            raise ValueError(
                "--resume requires the value that the error message showed, such as 0123456789abcdef:2001."
            )
        run, first = match[1], int(match[2])
    with _opened(name) as source:
        total = None if name == "-" else _count(source)
        with out.progress("publishing", total) as show:
            count = _send_batches(out, source, run, first, show)
    out.answer({"published": count}, lambda: out.say(f"{_published(count)}."))


def _send_batches(out: Session, source: IO[bytes], run: str, first: int, show: Callable[[int], None]) -> int:
    """Send every batch from line `first` on; returns their number. If it breaks off, it prints how to continue."""
    published, line = 0, first
    try:
        for line, numbers, events in _batches(source, first):
            # The key is the same when --resume sends this batch again, so nothing is stored twice.
            body = b'{"events":[' + b",".join(events) + b"]}"
            try:
                out.client.send(calls.create("/v1/events:batch", body, f"{run}-{line}"))
            except ApiError as wrong:
                _break_off(out, f"{wrong.detail} {_lines(wrong, numbers)}".strip(), published, run, line)
            published += len(events)
            line = numbers[-1] + 1
            show(numbers[-1])
    except (ClientError, ValueError) as wrong:
        _break_off(out, str(wrong), published, run, line)
    except KeyboardInterrupt:
        _break_off(out, "Interrupted.", published, run, line)
    return published


def _batches(source: IO[bytes], first: int) -> Iterator[tuple[int, list[int], list[bytes]]]:
    """From line `first` on: the batch's first line, the line of each event, and the events. Raises ValueError."""
    start, numbers, events, size = first, list[int](), list[bytes](), 0
    for number, raw in enumerate(source, 1):
        text = raw.strip()
        if number < first or not text:
            continue
        if events and (len(events) == BATCH_EVENTS_MAX or size + len(text) > calls.BATCH_BYTES_MAX):
            yield start, numbers, events
            start, numbers, events, size = number, [], [], 0
        try:
            json.loads(text)
        except ValueError as wrong:
            # The lines before it in its batch are not sent either, as if the server had refused this one.
            raise ValueError(f"Line {number} is not valid JSON: {wrong}.") from None
        numbers.append(number)
        events.append(text)
        size += len(text) + 1
    if events:
        yield start, numbers, events


def _lines(wrong: ApiError, numbers: list[int]) -> str:
    """The errors of a batch, by line of the file; each message appears once, after the lines that it is about."""
    told: dict[tuple[str, str], list[int]] = {}
    for error in wrong.errors:
        match = _PLACE.fullmatch(error.get("pointer") or "")
        about = told.setdefault(((match[2] if match else None) or "", error.get("detail", "")), [])
        if match:
            about.append(numbers[int(match[1])])
    return " ".join(f"{_about(lines, at)}: {detail}" for (at, detail), lines in told.items())


def _about(lines: list[int], at: str) -> str:
    if not lines:
        return "the batch"
    first = ", ".join(map(str, lines[:LINES_MAX]))
    more = f" and {len(lines) - LINES_MAX} more" if len(lines) > LINES_MAX else ""
    return f"line{'s' if len(lines) > 1 else ''} {first}{more}{' at ' + at if at else ''}"


def _break_off(out: Session, why: str, published: int, run: str, line: int) -> NoReturn:
    if out.as_json:
        print_json({"published": published, "resume": f"{run}:{line}"})
    fail(f"{why} {_published(published)}. Continue with: --resume {run}:{line}", FAILED)


def _published(count: int) -> str:
    return f"{counted(count, 'event')} {'is' if count == 1 else 'are'} published"


def _opened(name: str) -> IO[bytes]:
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as wrong:
        raise ValueError(f"The file {name} cannot be read: {wrong.strerror}") from None


def _count(source: IO[bytes]) -> int:
    lines = sum(1 for _ in source)
    source.seek(0)
    return lines
