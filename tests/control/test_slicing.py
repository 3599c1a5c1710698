"""Long work rests for others, as long as there are others."""

from __future__ import annotations

from tidings.control.slicing import ALONE_AFTER_SECONDS, Others


def test_others_are_absent_once_nobody_else_was_there_for_a_while() -> None:
    done, now = 7, 100.0
    others = Others(lambda: done, lambda: now)
    seen = []
    # In each step the work's own job, and in some of them one of somebody else.
    for jobs, later in ((1, 0.3), (1, 0.3), (1, 0.3), (1, 0.3), (2, 0.3), (1, 0.9), (1, 0.3), (1, 0.3)):
        done += jobs
        others.look()
        now += later * ALONE_AFTER_SECONDS
        seen.append(others.are_absent)
    assert seen == [False, False, False, True, False, True, True, True]
