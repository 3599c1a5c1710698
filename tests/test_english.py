"""Documents, errors, help, docstrings and comments keep clear of phrases that a native reader stumbles over.

The word list of CONTRIBUTING.md has the replacements. Only phrases without a good use are listed here.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.repository import ROOT, files, name, nodes, under

WITHOUT = ("CONTRIBUTING.md", "latest.md")
"""The word list itself, and the table of the last benchmark run."""
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
FOREIGN = {
    r"\banew\b": "again, from scratch",
    r"\bby now\b": "now, already",
    r"\b(?:is|are|was|were) told\b(?! apart)": "is reported, is called, gets",
    r"\b(?:is|are) not (?:told|looked at)\b": "is not reported, is not read",
    r"\bstands? (?:in(?! for)|at|there|beside|below)\b": "is in, appears, is next to",
    r"\b[Ss]o many\b(?! that)": "how many, this many, the maximum number of",
    r"\bthe one of the other\b": "one from the other",
    r"\bper cent\b": "percent",
    r"\bof its own accord\b": "on its own",
    r"\b(?:go|goes|going) on\b": "continue",
    r"\b(?:say|says|said) of\b": "say about",
    r"\bForget (?:a|an|the|these)\b": "delete, drop",
    r"(?<![Tt]here )\bis no (?!longer\b|such\b|more\b)": "is not a",
    r"(?<![Tt]here )\bis none\b": "is malformed, is not one",
    r"\ban? \w+ of its own\b": "its own",
    r"\b[Ww]hat came of\b": "the result of",
    r"\b[Ww]hat (?:becomes|became) of\b": "what happens to, what to do about",
    r", where (?:there (?:is|are)|nothing|no)\b": "if",
    r"\bbeside (?:it|its|them|themselves|itself|one another|the event loop|the writer|others)\b": "next to, alongside",
    r"\bmend(?:s|ed|ing)?\b": "fix, correct",
    r"\bfor ever\b": "forever",
    r"\bfor long\b": "for a long time, too long",
    r"\bas it (?:came|comes)\b": "as received",
    r"\b(?:holds|held|hold) for (?:the|all|each|every|it|any)\b": "applies to",
    r"\b[Nn]othing that waits\b": "no waiting delivery",
    r"\ball else\b": "everything else",
    r"\b(?:thereof|herein|save for|of whom)\b": "of it, here, except for",
    r"\bis of no use\b": "does not help",
    r"\b[Ww]hoever (?!who\b)": "anyone who, the caller that",
    r"\bown words\b": "message",
    r"\bfull look\b": "full read",
    r"\b[Rr]ecognis": "recogniz...",
    r"\bstays? what (?:it|they) (?:is|are|was|were)\b": "does not change",
    r"\b(?:ends|ended) (?:well|badly)\b": "succeeds, fails",
}
"""A phrase, and what to write instead. It is not used where people read, nor in docstrings and comments."""


def readable() -> Iterator[tuple[Path, int, str]]:
    """Every text that people read, with its file and line."""
    pages = [path for path in files() if path.suffix == ".md" and path.name not in WITHOUT]
    modules = [path for path in files() if path.suffix == ".py" and path.is_relative_to(ROOT / "tidings")]
    scripts = [path for path in files() if path.suffix in (".js", ".html") and path.is_relative_to(ROOT / "tidings")]
    return ((path, line, text) for path in (*pages, *modules, *scripts) for line, text in prose(path))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The text that people read, with its line: pages without code blocks, string literals of the package, scripts."""
    if path.suffix != ".py":
        yield 1, FENCE.sub(lambda block: "\n" * block[0].count("\n"), path.read_text())
        return
    found = nodes(path)
    docstrings = {id(node.value) for node in found if type(node) is ast.Expr}
    for node in found:
        if type(node) is ast.Constant and type(node.value) is str and id(node) not in docstrings:
            yield node.lineno, node.value


VARIABLE = re.compile(r"\((?:[^()]|\([^()]*\))*\)|\[[^]]*\]|\\w\+|\\b|\w\?")
LOOKED_FOR = [(max(VARIABLE.split(each), key=len), re.compile(each), instead) for each, instead in FOREIGN.items()]
"""The longest part of each phrase that is always the same, since few texts have it; the phrase; and what to write."""


def test_no_foreign_phrase_returns() -> None:
    assert not foreign(readable())


def test_no_foreign_phrase_returns_to_docstrings_and_comments() -> None:
    assert not foreign((path, *remark) for path in under("tidings", suffix=".py") for remark in remarks(path))


def test_no_template_puts_a_word_before_a_time_that_only_a_moment_can_follow() -> None:
    """A page shows times as `4 seconds ago` or `in 5 minutes`: nothing is "since 4 seconds ago"."""
    wanted = re.compile(r"\b(?:since|until|till|by|from|before|after)\s*\{\{[^}]*\|time", re.IGNORECASE)
    wrong = {
        name(path): found[0] for path in under("tidings", suffix=".html") if (found := wanted.search(path.read_text()))
    }
    assert not wrong, "say `expires {{ ...|time }}` or `began {{ ...|time }}`"


def test_each_phrase_is_found() -> None:
    text = "It is told of a change, and stands in the table, anew.\nSo many go on for ever."
    said = foreign([(ROOT / "a.md", 7, text)])
    assert sorted(each.split(": ", 1)[0] for each in said) == ["a.md:7"] * 3 + ["a.md:8"] * 3
    assert said[0] == "a.md:7: 'anew': say 'again, from scratch'"
    assert [always for always, _, _ in LOOKED_FOR[:6]] == ["anew", "by now", " told", " not ", "stand", "o many"]


def foreign(texts: Iterable[tuple[Path, int, str]]) -> list[str]:
    """Where a phrase was used, and what to say instead."""
    return [
        f"{name(path)}:{line + text.count(chr(10), 0, match.start())}: {match[0]!r}: say {instead!r}"
        for path, line, text in texts
        for always, phrase, instead in LOOKED_FOR
        if always in text
        for match in phrase.finditer(text)
    ]


def remarks(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a file, and its comments, with the line where each begins."""
    strings: dict[int, list[tuple[int, int]]] = {}
    for node in nodes(path):
        if type(node) is ast.Expr and type(node.value) is ast.Constant and type(node.value.value) is str:
            yield node.lineno, " ".join(node.value.value.split())
        if type(node) is ast.JoinedStr or (type(node) is ast.Constant and type(node.value) in (str, bytes)):
            for line in range(node.lineno, (node.end_lineno or 0) + 1):
                begins = node.col_offset if line == node.lineno else 0
                ends = node.end_col_offset if line == node.end_lineno else None
                strings.setdefault(line, []).append((begins, sys.maxsize if ends is None else ends))
    # To ask the tokenizer takes five times as long.
    for number, text in enumerate(path.read_bytes().split(b"\n"), 1):
        for at in (each.start() for each in re.finditer(b"#", text)):
            if not any(begins <= at < ends for begins, ends in strings.get(number, ())):
                yield number, text[at:].decode()
                break
