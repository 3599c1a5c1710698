"""Writes the sync client from the async one; `--check` only says which files are not fresh.

python tools/make_client.py            write the files
python tools/make_client.py --check    exit with 1 and name the files that differ
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tokenize
from itertools import accumulate, pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "tidings" / "client"

TWINS = {"async_client.py": "client.py", "async_items.py": "items.py"}
"""What is written by hand, and what is made of it. The transports (`wire.py`, `async_wire.py`) are both by hand."""

NAMES = {"asyncio": "time", "aclosing": "closing", "__aenter__": "__enter__", "__aexit__": "__exit__"}
"""Names of the sync client, beside those that only lose an `Async` or `async_` in front. `time` is for `time.sleep`."""

PHRASES = {
    "async client": "sync client",
    "Belongs to one event loop; use it in an `async with`, or await `close()`.": (
        "May be shared between threads; use it in a `with`, or call `close()`."
    ),
}
"""What docstrings and comments say about the sync client instead."""

PREFIX = re.compile(r"^(_*)(?:Async(?=[A-Z])|async_(?=[a-z]))")
UNTRUE = re.compile(r"async|await|event loop", re.IGNORECASE)


def sync_source(source: str) -> str:
    """The sync twin of a module, not yet formatted. Raises ValueError where a text would speak of the async one."""
    starts = list(accumulate((len(line) + 1 for line in source.split("\n")), initial=0))
    written: list[str] = []
    done = 0
    for token, following in pairwise(tokenize.generate_tokens(io.StringIO(source).readline)):
        begin, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        if token.type == tokenize.NAME and token.string in ("async", "await"):
            end, text = starts[following.start[0] - 1] + following.start[1], ""
        elif token.type == tokenize.NAME:
            text = NAMES.get(token.string) or PREFIX.sub(r"\1", token.string)
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            text = sync_text(token.string, token.start[0])
        else:
            continue
        written += source[done:begin], text
        done = end
    return "".join([*written, source[done:]])


def sync_text(text: str, line: int) -> str:
    """A docstring or comment in the words of the sync client."""
    for phrase, instead in PHRASES.items():
        text = text.replace(phrase, instead)
    if untrue := UNTRUE.search(text.replace("sync client", "")):
        raise ValueError(f"line {line} says {untrue[0]!r}, which is not true of the sync client: add it to PHRASES")
    return text


def twin(name: str) -> str:
    """The whole text of the file that is made of this one."""
    note = f"# Generated from {name} by `make client`. Edit that file instead.\n"
    text = note + sync_source((CLIENT / name).read_text())
    # Imports sort by other names, and a loop that only yields may be `yield from`, which async code cannot have.
    text = ruff("check", "--fix-only", "--unsafe-fixes", "--select", "I,UP028", name=TWINS[name], text=text)
    return ruff("format", name=TWINS[name], text=text)


def ruff(*command: str, name: str, text: str) -> str:
    """What ruff makes of a text, as if it stood in this file of the client."""
    arguments = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", str(CLIENT / name), "-"]
    return subprocess.run(arguments, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where files are not fresh")
    wanted = {made: twin(source) for source, made in TWINS.items()}
    changed = [name for name, text in wanted.items() if (CLIENT / name).read_text() != text]
    if parser.parse_args().check:
        if changed:
            sys.stderr.write(f"tidings/client is not fresh, run `make client`: {', '.join(changed)}\n")
        return 1 if changed else 0
    for name in changed:
        (CLIENT / name).write_text(wanted[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
