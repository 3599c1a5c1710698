"""Whoever reads items for a caller, the API or a page, is refused what the caller's grant does not include."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.items.collections import declare
from tidings.intake.items.reading import ItemList, ItemReading
from tidings.model.access import Key, Permit
from tidings.model.collection import Collection, Field, Question
from tidings.model.errors import Forbidden, Invalid
from tidings.rules.items.condition import Compare
from tidings.testing import TestServer

FLATS = Collection(
    name="flats",
    fields=(
        Field(name="code", type="string", filterable=True, sortable=True),
        Field(name="rent", type="integer", filterable=True, sortable=True),
        Field(name="notes", type="string", searchable=True),
        Field(name="next_to", type="reference", to="flats"),
    ),
    questions=(Question(name="by_rent", parameters=("rent__gte", "rent__lt")),),
)
BETWEEN = (Compare("rent", "gte", 1), Compare("rent", "lt", 9))


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, FLATS)


@pytest.fixture
def reading(server: TestServer) -> Callable[..., ItemReading]:
    assert server.server is not None
    parts = server.server.parts

    def of(**permit: Any) -> ItemReading:
        key = Key(id="key_1", name="", hash="", scopes=(), permits=(Permit(collection="flats", **permit),))
        grant = parts.kinds.grant(key, parts.catalog.now.collections["flats"])
        assert grant is not None
        return ItemReading.of(parts.catalog, parts.kinds, key, grant)

    return of


def test_a_list_beyond_a_permit_is_refused_whoever_asks(reading: Callable[..., ItemReading]) -> None:
    its = reading(verbs=("list",), read=("code",), filter=("code",), sort=("code",))
    its.page(ItemList(limit=5, compares=(Compare("code", "eq", "a"),), sort=["code"], fields=["id", "code"]))
    beyond: list[dict[str, Any]] = [
        {"compares": BETWEEN},
        {"sort": ["-rent"]},
        {"fields": ["rent"]},
        {"words": "sunny"},
        {"expand": ["next_to"]},
        {"question": "by_rent", "compares": BETWEEN},
    ]
    for each in beyond:
        with pytest.raises(Forbidden, match="This key may not"):
            its.page(ItemList(limit=5, **each))
    with pytest.raises(Forbidden, match="may not get items"):
        its.one("a", None, None, ())


def test_a_question_takes_its_own_parameters_only(reading: Callable[..., ItemReading]) -> None:
    its = reading(questions=("by_rent",))
    its.page(ItemList(limit=5, question="by_rent", compares=BETWEEN))
    for compares in ((), BETWEEN[:1], (*BETWEEN, Compare("code", "eq", "a")), (Compare("rent", "gt", 1), BETWEEN[1])):
        with pytest.raises(Forbidden, match="ask by_rent like this"):
            its.page(ItemList(limit=5, question="by_rent", compares=compares))
    with pytest.raises(Forbidden):
        its.page(ItemList(limit=5))


def test_a_search_without_a_word_is_refused_before_anything_is_read(reading: Callable[..., ItemReading]) -> None:
    with pytest.raises(Invalid, match="at least one word"):
        reading(verbs=("list",)).page(ItemList(limit=5, words="..."))


def test_a_made_up_position_is_refused(reading: Callable[..., ItemReading]) -> None:
    its, asked = reading(verbs=("list",)), ItemList(limit=5, sort=["rent"])
    assert its.position(asked, [5, 7]) == [5, 7] and its.position(asked, [None, 7]) == [None, 7]
    made_up: list[list[Any]] = [[], [5], ["5", 7], [5, -1], [5, "7"], [5, 7, 9], [1 << 70, 7]]
    assert [its.position(asked, each) for each in made_up] == [None] * len(made_up)
