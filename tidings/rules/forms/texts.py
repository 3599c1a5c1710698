"""What forms say to people, in their languages: one file of sentences per language, all with the same names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

FALLBACK = "en"
LANGUAGES = ("en", "de", "fr", "es")
"""The languages that have sentences. A form in another language gets the sentences of FALLBACK, marked as such."""

FAMILIES = ("image", "video", "audio")
"""Families of file types that have their own word, such as `images`."""

_KILO, _MEGA = 1_000, 1_000_000


def language_of(lang: str) -> str:
    """The language of the sentences for a form in a language such as `de-AT`."""
    base = lang.partition("-")[0].lower()
    return base if base in LANGUAGES else FALLBACK


@cache
def sentences(language: str) -> dict[str, str]:
    """The sentences of one of LANGUAGES, by name."""
    text = (files("tidings.rules.forms") / "languages" / f"{language}.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, str])


class Says:
    """The sentences of one language."""

    __slots__ = ("_sentences", "language")

    def __init__(self, lang: str) -> None:
        """`lang`: that of the form."""
        self.language = language_of(lang)
        self._sentences = sentences(self.language)

    def say(self, name: str, /, **values: Any) -> str:
        """A sentence with its values."""
        text = self._sentences[name]
        return text.format(**values) if values else text


def size_text(size: int) -> str:
    """A number of bytes for people, rounded down, such as `1.5 MB`."""
    if size < _KILO:
        return f"{size} B"
    unit, each = ("KB", _KILO) if size < _MEGA else ("MB", _MEGA)
    tenths = size * 10 // each
    return f"{tenths // 10}.{tenths % 10} {unit}" if tenths < 100 and tenths % 10 else f"{tenths // 10:,} {unit}"


def types_text(accept: Sequence[str], says: Says) -> str:
    """The types of files that a field accepts, for people: `images, PDF`."""
    found = []
    for each in accept:
        family, _, kind = each.partition("/")
        if each.startswith(".") or family not in FAMILIES or kind != "*":
            found.append(re.split(r"[./+-]", each)[-1].upper())
        else:
            found.append(says.say(family))
    return ", ".join(dict.fromkeys(found))
