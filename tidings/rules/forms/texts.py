"""What forms say to people, in their languages: one file of sentences for each, all with the same names."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

FALLBACK = "en"
LANGUAGES = ("en", "de", "fr", "es")
"""Those whose sentences there are. A form in another language gets those of FALLBACK, marked as such."""

_KILO = 1024


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
    """Speaks one language."""

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
    """A number of bytes for people, such as `1.5 MB`."""
    for unit in ("B", "KB", "MB"):
        if size < _KILO or unit == "MB":
            break
        size, rest = divmod(size, _KILO)
        if rest and size < 10:
            return f"{size + rest / _KILO:.1f} {'KB' if unit == 'B' else 'MB'}"
    return f"{size:,} {unit}"
