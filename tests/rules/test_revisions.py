"""Conditions of a change: what If-Match and If-None-Match require of the present revision."""

from __future__ import annotations

import pytest

from tidings.model.errors import Stale
from tidings.rules.revisions import ANY, Conditions

ONLY_CREATE = Conditions(excluded=None)
ONLY_REPLACE = Conditions(must_exist=True)
AT_3 = Conditions(must_exist=True, expected=frozenset({3}))
NOT_AT_3 = Conditions(excluded=frozenset({3}))

MET = [(ANY, None), (ANY, 3), (ONLY_CREATE, None), (ONLY_REPLACE, 3), (AT_3, 3), (NOT_AT_3, None), (NOT_AT_3, 4)]
NOT_MET = {
    (
        ONLY_CREATE,
        3,
    ): "The item x already exists, but If-None-Match requires that it does not exist, or that it has another revision.",
    (
        NOT_AT_3,
        3,
    ): "The item x already exists, but If-None-Match requires that it does not exist, or that it has another revision.",
    (ONLY_REPLACE, None): "There is no item x, but If-Match requires one.",
    (AT_3, None): "There is no item x, but If-Match requires one.",
    (AT_3, 4): "The resource is now at revision 4. Read it again, then repeat the change.",
}


@pytest.mark.parametrize(("conditions", "present"), MET)
def test_a_change_whose_conditions_are_met_goes_through(conditions: Conditions, present: int | None) -> None:
    conditions.check("item", "x", present)


@pytest.mark.parametrize(("conditions", "present"), NOT_MET)
def test_a_condition_that_is_not_met_says_which(conditions: Conditions, present: int | None) -> None:
    with pytest.raises(Stale) as refused:
        conditions.check("item", "x", present)
    assert refused.value.detail == NOT_MET[conditions, present]
