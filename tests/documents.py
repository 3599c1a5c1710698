"""Pages as tests: the blocks of a page are run from its top to its end, in one shell, against a real server.

What the blocks of docs/start.md, docs/howto/ and the README mean:

* `sh` is run by bash and must succeed; variables and background processes last for the whole page.
* `python` is run by Python. A block of any language whose first line is `# file: NAME` or `// file: NAME` is saved
  under that name instead, and later blocks use it.
* `text`, `json` and `ini` show what is printed or belongs elsewhere; they are not run.
* A comment before a block steers it: `<!-- not run: REASON -->`.
* A comment after a block says what it must print, by then or soon: `<!-- prints: PATTERN -->`. With
  `<!-- again until: PATTERN -->` the block, which only looks and may fail, is run again until it prints that.
* `<!-- page: WORD ... -->` at the page's top: `server` (the page starts its own, on 8080), `receiver` (it has its
  own, on 9000), `postgres` (`postgresql://tidings@localhost/tidings` is a real, empty database), `pair`
  (`postgresql://tidings@db1,db2/tidings` is one on a primary and its synchronous replica).

The ports 8080 to 8089 and 9000 to 9009 stand for free ones.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from tests.warm import shell
from tidings.testing.ports import free_port

BLOCK = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!-- (?P<word>not run|prints|again until|page): (?P<value>.*?) -->", re.DOTALL)
NAMED = re.compile(r"(?:#|//) file: (?P<name>[\w.-]+)\n")
PORT = re.compile(r"\b(?:808\d|900\d)\b")
DATABASE = "postgresql://tidings@localhost/tidings"
PAIR = "postgresql://tidings@db1,db2/tidings"
TOOLS = ("curl", "jq", "node", "npm", "openssl")
"""What pages may use beyond the shell; a machine may lack them."""
RUN = ("sh", "python")
SHOWN = ("text", "json", "ini")
BLOCK_SECONDS = 90.0
PRINT_SECONDS = 30.0
END_SECONDS = 15.0
LOOK_SECONDS = 0.1


class Block(msgspec.Struct, kw_only=True):
    """One fenced block and what its comments say."""

    language: str
    text: str
    file: str | None = None
    not_run: str | None = None
    prints: list[str] = []
    again_until: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page: its blocks in order, and the words of its `page` comment."""

    blocks: list[Block]
    words: frozenset[str]

    @property
    def tools(self) -> list[str]:
        """The tools of TOOLS that its blocks call."""
        text = "\n".join(block.text for block in self.blocks if block.language == "sh" and block.not_run is None)
        return [tool for tool in TOOLS if re.search(rf"(?<![\w/.-]){tool}(?![\w-])", text)]


def read(path: Path) -> Page:
    """Take a page apart."""
    text = path.read_text()
    found: list[Block] = []
    words: set[str] = set()
    reason: str | None = None
    pieces = sorted(
        [*BLOCK.finditer(text), *COMMENT.finditer(BLOCK.sub(_blank, text))], key=lambda piece: piece.start()
    )
    for piece in pieces:
        if piece.re is BLOCK:
            named = NAMED.match(piece["text"])
            name = named["name"] if named else None
            found.append(Block(language=piece["language"], text=piece["text"], file=name, not_run=reason, prints=[]))
            reason = None
        elif piece["word"] == "not run":
            reason = piece["value"]
        elif piece["word"] == "page":
            words |= set(piece["value"].split())
        elif piece["word"] == "prints":
            found[-1].prints.append(piece["value"])
        else:
            found[-1].again_until = piece["value"]
    return Page(blocks=found, words=frozenset(words))


class Shell:
    """One bash for one page, in `folder`. Everything that it started ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], texts: Mapping[str, str]) -> None:
        self.folder = folder
        self._texts = dict(texts)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "XDG_STATE_HOME": str(folder), **environment}
        self._said = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._ended = 0

    def __enter__(self) -> Shell:
        reads, writes = os.pipe()
        command = ["bash", "--norc", "-e", "-u", "-o", "pipefail"]
        with os.fdopen(writes, "w") as said:
            self._bash = shell(command, self.folder, self._environment, said)
        self._reader = threading.Thread(target=self._read, args=[reads], daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            # First politely, so that servers close their stores; then everybody who is left.
            os.killpg(self._bash.pid, signal.SIGTERM)
            self._bash.kill()
            self._bash.wait()
            self._wait(lambda: not _group_lives(self._bash.pid), END_SECONDS)
            os.killpg(self._bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            # Nobody was left, which is what we want.
            pass
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._reader.join(END_SECONDS)

    def run(self, block: Block) -> None:
        """Run one block, or save it. Raises AssertionError with what was printed."""
        text = self._given(block.text)
        if block.file is not None:
            (self.folder / block.file).write_text(text)
            return
        if block.language == "python":
            (self.folder / "block.py").write_text(text)
            text = "python block.py"
        deadline = time.monotonic() + PRINT_SECONDS
        while True:
            start = len(self._said)
            self._source(text, block)
            if block.again_until is None:
                break
            if re.search(self._given(block.again_until), self._said[start:]):
                break
            assert time.monotonic() < deadline, self._why(block, f"it never printed {block.again_until!r}", start)
            time.sleep(LOOK_SECONDS)
        for pattern in block.prints:
            wanted = self._given(pattern)
            came = self._wait(lambda: re.search(wanted, self._said[start:]) is not None, PRINT_SECONDS)
            assert came, self._why(block, f"it did not print {wanted!r}", start)

    def _source(self, text: str, block: Block) -> None:
        """Have bash read the block from a file, so that no command of it eats what we say to bash."""
        self._ended += 1
        mark = f"--- end of block {self._ended} ---"
        (self.folder / "block.sh").write_text(text)
        start = len(self._said)
        assert self._bash.stdin is not None
        # What is looked for may not be there yet.
        fails = "" if block.again_until is None else " || :"
        self._bash.stdin.write(f". ./block.sh </dev/null{fails}\necho '{mark}'\n")
        self._bash.stdin.flush()
        ended = self._wait(lambda: mark in self._said[start:] or self._bash.poll() is not None, BLOCK_SECONDS)
        assert ended, self._why(block, f"it did not end within {BLOCK_SECONDS:g} s", start)
        if mark not in self._said[start:]:
            self._wait(lambda: False, 0.2)
            raise AssertionError(self._why(block, f"it ended with {self._bash.returncode}", start))

    def _wait(self, condition: object, seconds: float) -> bool:
        """Take in what is printed until the condition holds; whether it does."""
        assert callable(condition)
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                self._said += self._lines.get(timeout=min(left, LOOK_SECONDS)) or ""
            except queue.Empty:
                continue
        return True

    def _read(self, reads: int) -> None:
        with os.fdopen(reads, errors="replace") as said:
            for line in said:
                self._lines.put(line)

    def _given(self, text: str) -> str:
        for written, meant in self._texts.items():
            text = text.replace(written, meant)
        return text

    def _why(self, block: Block, wrong: str, start: int) -> str:
        return f"{wrong}\n--- the block\n{self._given(block.text)}--- it printed\n{self._said[start:]}"


def ports(page: Page) -> dict[str, str]:
    """A free port for each one that the page names, and for 8080."""
    named = sorted({"8080", *(port for block in page.blocks for port in PORT.findall(block.text))})
    return {name: str(free_port()) for name in named}


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _blank(match: re.Match[str]) -> str:
    """The block as blanks, so that comments inside it are none, and places stay."""
    return " " * len(match[0])
