"""The words that `q` finds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.items.search_words import WORD_CHARS_MAX, WORDS_MAX, words


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["Clean the windows"], "clean the windows"),
        (["Crème Brûlée", None, "crème"], "creme brulee"),
        (["STRASSE Straße"], "strasse"),
        (["İstanbul ﬁne ²"], "istanbul fine 2"),
        (["a_b-c.d'e"], "a b c d e"),
        (["Привет, мир! 東京"], "привет мир 東京"),
        ([None, "", " \n\t"], ""),
        (["\x00a\x00"], "a"),
    ],
)
def test_words_are_plain_and_different(texts: list[str | None], found: str) -> None:
    assert words(texts) == found


def test_what_is_too_much_is_cut() -> None:
    assert len(words([" ".join(f"w{n}" for n in range(WORDS_MAX + 100))]).split(" ")) == WORDS_MAX
    assert words(["x" * 1000]) == "x" * WORD_CHARS_MAX


@given(st.lists(st.text(max_size=60), max_size=4))
def test_words_of_words_are_the_same(texts: list[str]) -> None:
    found = words(texts)
    assert words([found]) == found
    assert words([" ".join(texts)]) == found
    assert words([text.lower() for text in texts if text.isascii()]) == words([t for t in texts if t.isascii()])
    assert words([unicodedata.normalize("NFC", text) for text in texts]) == found
    assert all(word.isalnum() for word in found.split(" ") if found)
    assert len(set(found.split(" "))) == len(found.split(" "))
