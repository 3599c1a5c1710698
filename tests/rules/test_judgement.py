"""What answers say about the message and of the endpoint."""

from __future__ import annotations

import pytest

from tidings.model import outcome as outcomes
from tidings.rules.deliver import judgement
from tidings.rules.deliver.judgement import GIVE_UP_MAX, OF_CALLS, OF_EDITS, TABLE, check_give_up_on, given_up, judge
from tidings.rules.reading.refused import Refused


def test_every_outcome_is_judged() -> None:
    assert {row.outcome for row in (*TABLE, *OF_CALLS, *OF_EDITS.values())} == set(outcomes.OUTCOMES)
    assert set(OF_EDITS) == set(outcomes.OF_EDITS)
    assert all(row.because for row in TABLE)
    for outcome in {row.outcome for row in TABLE}:
        if outcome is not outcomes.BAD_STATUS:
            assert judge(outcome, None).outcome is outcome


@pytest.mark.parametrize("status", [400, 406, 409, 412, 413, 414, 415, 417, 418, 422, 423, 431, 451, 499])
def test_these_speak_of_the_message(status: int) -> None:
    judged = judge(outcomes.BAD_STATUS, status)
    assert (judged.message, judged.endpoint) == ("again", "silent")


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 408, 500, 501, 502, 503, 504, 599, 304, 999])
def test_these_speak_of_the_endpoint(status: int) -> None:
    judged = judge(outcomes.BAD_STATUS, status)
    assert (judged.message, judged.endpoint) == ("again", "failing")


def test_requests_to_wait_hold_the_endpoint() -> None:
    for asked in (True, False):
        assert judge(outcomes.BAD_STATUS, 429, asked_to_wait=asked).endpoint == "hold"
    assert judge(outcomes.BAD_STATUS, 503, asked_to_wait=True).endpoint == "hold"
    assert judge(outcomes.BAD_STATUS, 503).endpoint == "failing"
    # Elsewhere it is about the one message, such as a 413 that is only so for now.
    assert judge(outcomes.BAD_STATUS, 413, asked_to_wait=True).endpoint == "silent"


def test_giving_up_is_about_the_message() -> None:
    for status, give_up_on in ((422, (422,)), (422, ("4xx",)), (500, (400, "5xx")), (302, ("3xx",))):
        kind = outcomes.REDIRECT if status == 302 else outcomes.BAD_STATUS
        judged = given_up(judge(kind, status), status, give_up_on)
        assert (judged.message, judged.endpoint) == ("dead", "silent")
    assert given_up(judge(outcomes.BAD_STATUS, 422), 422, (400, "5xx")).message == "again"
    assert given_up(judge(outcomes.TIMEOUT, None), None, ("3xx", "4xx", "5xx")).message == "again"
    assert given_up(judge(outcomes.BAD_STATUS, 429), 429, (429,)).endpoint == "hold"
    assert given_up(judge(outcomes.GONE, 410), 410, (410,)).endpoint == "gone"


@pytest.mark.parametrize("wrong", [200, 204, 299, 600, 0, -400, True, 400.0, "400", "2xx", "4XX", "4xx ", None, []])
def test_invalid_statuses_to_give_up_on_are_refused(wrong: object) -> None:
    with pytest.raises(Refused) as caught:
        check_give_up_on([400, wrong], "/give_up_on")
    assert caught.value.pointer == "/give_up_on/1"


def test_lists_of_statuses_are_bounded() -> None:
    assert check_give_up_on([]) == ()
    assert check_give_up_on([300, 599, *judgement.CLASSES]) == (300, 599, "3xx", "4xx", "5xx")
    for wrong in ([400] * (GIVE_UP_MAX + 1), "400", None):
        with pytest.raises(Refused):
            check_give_up_on(wrong)
