"""Entity tags as RFC 9110 has them."""

from __future__ import annotations

import re

import pytest

from tidings.model.errors import Malformed
from tidings.web.habits.revisions import TAGS, read

LISTS = {
    '"1"': {"1"},
    'W/"1"': {"1"},
    '"1" ,': {"1"},
    ', "1"': {"1"},
    ',,"1",\t,W/"2" , ': {"1", "2"},
    '"1","2"': {"1", "2"},
    '"a,b", "c"': {"a,b", "c"},
    '""': {""},
    "*": None,
    " * ": None,
}


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_entity_tags_may_have_empty_elements(text: str) -> None:
    assert read(text, "if-none-match") == LISTS[text]
    assert re.fullmatch(TAGS, text.strip())


@pytest.mark.parametrize(
    "text", ["", ",", " , ", "1", '"1', '"1" "2"', 'w/"1"', 'W/ "1"', '"a b"', '*, "1"', "W/*", '"1"' * 3]
)
def test_what_is_not_a_list_of_entity_tags_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read(text, "if-match")


def test_a_weak_tag_never_matches_strongly() -> None:
    assert read('W/"1", "2"', "if-match", strong=True) == {"2"}
    assert read('W/"1"', "if-match", strong=True) == set()


def test_a_long_list_is_read_in_linear_time() -> None:
    with pytest.raises(Malformed):
        read('"1"' + " ,\t" * 2_600 + "x", "if-match")
