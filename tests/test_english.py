"""Documents, errors, help, docstrings and comments keep clear of phrases that a native reader stumbles over.

The word list of CONTRIBUTING.md has the replacements. Only phrases without a good use are listed here.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@functools.cache
def readable() -> list[tuple[Path, int, str]]:
    """Every text that people read, with its file and line."""
    pages = [path for path in files() if path.suffix == ".md" and path.name not in WITHOUT]
    modules = [path for path in files() if path.suffix == ".py" and path.is_relative_to(ROOT / "tidings")]
    scripts = [path for path in files() if path.suffix in (".js", ".html") and path.is_relative_to(ROOT / "tidings")]
    return [(path, line, text) for path in (*pages, *modules, *scripts) for line, text in prose(path)]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The text that people read, with its line: pages without code blocks, string literals of the package, scripts."""
    if path.suffix != ".py":
        yield 1, FENCE.sub(lambda block: "\n" * block[0].count("\n"), path.read_text())
        return
    docstrings = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("phrase", FOREIGN)
def test_a_foreign_phrase_does_not_return(phrase: str) -> None:
    pattern = re.compile(phrase)
    found = [
        f"{name(path)}:{line + text.count(chr(10), 0, match.start())}: {match[0]!r}"
        for path, line, text in readable()
        for match in pattern.finditer(text)
    ]
    assert not found, f"say {FOREIGN[phrase]!r} instead: {found}"


@pytest.mark.parametrize("phrase", FOREIGN)
def test_a_foreign_phrase_does_not_return_to_docstrings_and_comments(phrase: str) -> None:
    pattern = re.compile(phrase)
    found = [
        f"{name(path)}:{line}: {match[0]!r}" for path, line, text in all_remarks() for match in pattern.finditer(text)
    ]
    assert not found, f"say {FOREIGN[phrase]!r} instead: {found}"


@functools.cache
def all_remarks() -> list[tuple[Path, int, str]]:
    return [(path, *remark) for path in under("tidings", suffix=".py") for remark in remarks(path)]


def remarks(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a file, and its comments, with the line where each begins."""
    for node in nodes(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, " ".join(node.value.value.split())
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
