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

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
FOREIGN = {
    r"\banew\b": "again, from scratch",
    r"\bby now\b": "now, already",
    r"\b(?:is|are) told (?:of|with)\b": "is reported",
    r"\bstands? (?:beside|in place of)\b": "is next to, replaces",
    r"\bso many (?!that\b|as\b)\w+ (?:are|may|can)\b": "the maximum number of",
    r"\bthe one of the other\b": "one from the other",
    r"\bat most so many\b": "the maximum number of",
    r"\bper cent\b": "percent",
    r"\bof its own accord\b": "on its own",
}
"""A phrase, and what to write instead."""
LAPSES = {
    r"\b[Ss]o many\b(?! that)": "how many, this many, the maximum number of",
    r"\b(?:is|are|was|were) told\b(?! apart)": "is reported, is called, gets",
    r"\b(?:go|goes|going) on\b": "continue",
    r"\bstands? (?:in|at|there|beside|below)\b": "is in, appears",
    r"\b(?:say|says|said) of\b": "say about",
    r"\bForget (?:a|an|the|these)\b": "delete, drop",
    r"(?<![Tt]here )\bis no (?!longer\b|such\b|more\b)": "is not a",
    r"(?<![Tt]here )\bis none\b": "is malformed, is not one",
    r"\ban? \w+ of its own\b": "its own",
    r"\b[Ww]hat came of\b": "the result of",
    r", where (?:there (?:is|are)|nothing|no)\b": "if",
    r"\b(?:is|are) not (?:told|looked at)\b": "is not reported, is not read",
}
"""The same for docstrings and comments, which only we read, so they are held to a longer list."""


@functools.cache
def readable() -> list[tuple[Path, int, str]]:
    """Every text that people read, with its file and line."""
    pages = [path for path in files() if path.suffix == ".md" and path.name != "CONTRIBUTING.md"]
    modules = [path for path in files() if path.suffix == ".py" and path.is_relative_to(ROOT / "tidings")]
    return [(path, line, text) for path in (*pages, *modules) for line, text in prose(path)]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The text that people read, with its line: pages without code blocks, and string literals of the package."""
    if path.suffix == ".md":
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


@pytest.mark.parametrize("phrase", FOREIGN | LAPSES)
def test_a_foreign_phrase_does_not_return_to_docstrings_and_comments(phrase: str) -> None:
    pattern = re.compile(phrase)
    found = [
        f"{name(path)}:{line}: {match[0]!r}" for path, line, text in all_remarks() for match in pattern.finditer(text)
    ]
    assert not found, f"say {(FOREIGN | LAPSES)[phrase]!r} instead: {found}"


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
