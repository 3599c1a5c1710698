"""The words of texts, as `q` finds them: the same for what is stored and for what is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

WORDS_MAX = 2_000
WORD_CHARS_MAX = 100
"""Longer words are cut: PostgreSQL takes 2,046 bytes for one, and one megabyte for all of an item."""

_WORD = re.compile(r"[^\W_]+")


def words(texts: Iterable[str | None]) -> str:
    """The different words of all texts, joined by spaces: lower case, without accents, at most WORDS_MAX.

    A word is a run of letters and digits of any script. What the store's own tokenizers do is not asked for, since
    they differ between SQLite and PostgreSQL.
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
    # Twice, because folding the case may give letters with marks anew.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] != "M")
