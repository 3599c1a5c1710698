"""The words of texts, as `q` finds them: the same for stored texts and for queries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

WORDS_MAX = 2_000
WORD_CHARS_MAX = 100
"""Longer words are cut: PostgreSQL accepts 2,046 bytes for a word, and one megabyte for all words of an item."""

_WORD = re.compile(r"[^\W_]+")


def words(texts: Iterable[str | None]) -> str:
    """The different words of all texts, joined by spaces: lower case, without accents, at most WORDS_MAX.

    A word is a run of letters and digits of any script. The store's own tokenizers are not used, since they differ
    between SQLite and PostgreSQL.
    """
    found: dict[str, None] = {}
    for text in texts:
        if text is None:
            continue
        for word in _WORD.findall(_plain(text)):
            found[word[:WORD_CHARS_MAX]] = None
            if len(found) >= WORDS_MAX:
                return " ".join(found)
    return " ".join(found)


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Twice, because case folding may produce letters with marks again.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] != "M")
