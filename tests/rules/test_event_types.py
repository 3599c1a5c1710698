"""Names of event types and the patterns that choose among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.event_types import check_patterns, check_type, is_type, matcher
from tidings.rules.reading.refused import Refused

PART = st.text("abXY09_-", min_size=1, max_size=4)
NAME = st.lists(PART, min_size=1, max_size=4).map(".".join)
PATTERN = st.one_of(NAME, NAME.map(lambda name: name + ".*"), st.just("*"))


@pytest.mark.parametrize("name", ["a", "tasks.completed", "Tasks.Done", "a-b_c.9", "x" * 128])
def test_names(name: str) -> None:
    assert is_type(name)
    assert check_type(name) == name
    assert check_patterns([name]) == (name,)


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "a b", "a\n", "é", "a/b", "x" * 129, "tasks.*", "*", None, 5, "a\x00", "a:b"]
)
def test_malformed_names_are_refused(name: object) -> None:
    with pytest.raises(Refused) as caught:
        check_type(name, "/type")
    assert caught.value.pointer == "/type"


@pytest.mark.parametrize("pattern", ["", ".*", "**", "*.a", "a.*.b", "a*", "a.**", "a.*.*", None, 1, "a.*\n"])
def test_malformed_patterns_are_refused(pattern: object) -> None:
    with pytest.raises(Refused) as caught:
        check_patterns(["a", pattern], "/events")
    assert caught.value.pointer == "/events/1"


@pytest.mark.parametrize("patterns", [[], "tasks.*", None, {}, ["a"] * 201])
def test_malformed_lists_of_patterns_are_refused(patterns: object) -> None:
    with pytest.raises(Refused) as caught:
        check_patterns(patterns, "/events")
    assert caught.value.pointer == "/events"


def test_choosing() -> None:
    takes = matcher(["tasks.*", "users.created"])
    assert [name for name in ("tasks.done", "tasks.done.late", "users.created") if takes(name)] == [
        "tasks.done",
        "tasks.done.late",
        "users.created",
    ]
    assert not any(map(takes, ("tasks", "tasksX.done", "users.created.x", "Tasks.done", "users")))
    assert matcher(["*"])("anything.at.all")


def slowly(pattern: str, name: str) -> bool:
    if pattern == "*":
        return True
    parts, asked = name.split("."), pattern.split(".")
    if asked[-1] == "*":
        return len(parts) >= len(asked) and parts[: len(asked) - 1] == asked[:-1]
    return parts == asked


@given(st.lists(PATTERN, min_size=1, max_size=5), NAME)
def test_agrees_with_the_definition(patterns: list[str], name: str) -> None:
    assert matcher(check_patterns(patterns))(name) == any(slowly(pattern, name) for pattern in patterns)
