"""Sentences for people, whatever an error's text looks like."""

from __future__ import annotations


def sentence(text: str) -> str:
    """The text with a capital letter, where it begins with a word and not a name or a path, and a full stop."""
    word = text.partition(" ")[0]
    if word.isalpha() and word.islower():
        text = word.capitalize() + text[len(word) :]
    return text if text.endswith((".", "?", "!")) else text + "."
