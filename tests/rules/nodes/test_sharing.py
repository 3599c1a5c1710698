"""Which of the workers at one port take its calls."""

from __future__ import annotations

import pytest

from tidings.rules.nodes.sharing import Candidate, at_shared_port

SENDS, TAKES_IN, DRAINS, SENDS_LAST = (
    Candidate(1, sends=True, drains=False),
    Candidate(2, sends=False, drains=False),
    Candidate(3, sends=False, drains=True),
    Candidate(4, sends=True, drains=True),
)


@pytest.mark.parametrize(
    ("ready", "found"),
    [
        ([], set()),
        ([SENDS], {1}),
        ([SENDS, TAKES_IN], {2}),
        ([SENDS, DRAINS], {1}),
        ([SENDS, TAKES_IN, DRAINS], {2}),
        ([DRAINS], {3}),
        ([TAKES_IN, SENDS_LAST], {2}),
        ([DRAINS, SENDS_LAST], {3}),
    ],
)
def test_the_sender_and_the_drained_are_there_only_if_nobody_else_is(ready: list[Candidate], found: set[int]) -> None:
    assert at_shared_port(ready) == found


def test_if_all_are_drained_they_answer_so() -> None:
    assert at_shared_port([DRAINS, SENDS_LAST, TAKES_IN], all_drain=True) == {2, 3}
