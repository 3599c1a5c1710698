"""What a group's reason looks like for people."""

from __future__ import annotations

import pytest

from tidings.rules.deliver.reasons import folded, of_all, readable


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (["12 of 900 bytes arrived."], "12 of 900 bytes arrived."),
        (["12 of 900 bytes arrived.", "7 of 31 bytes arrived."], "… of … bytes arrived."),
        (["No answer within 30 s.", "No answer within 30 s."], "No answer within 30 s."),
        (["The item itm_01m7xv5zj8f6nbxq0w1v2yd3ek is gone.", "The item itm_01m7xv663afar800000000001s is gone."],
         "The item … is gone."),
        (["The endpoint answered 503."], "The endpoint answered 503."),
        (["The certificate is for *.example.com, not for shop.example.com."],
         "The certificate is for *.example.com, not for shop.example.com."),
    ],
)  # fmt: skip
def test_a_group_says_what_all_say_and_marks_what_differs(reasons: list[str], said: str) -> None:
    assert readable(of_all(reasons, 503)) == said


def test_a_status_stays_where_other_numbers_differ() -> None:
    assert readable(folded("The endpoint answered 503 after 17 ms.", 503)) == "The endpoint answered 503 after … ms."
