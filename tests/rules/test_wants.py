"""What a link wants, and the reason where it does not want an event."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.model.event import Event
from tidings.model.link import Endpoint, Sealed, Webhook
from tidings.rules import filter
from tidings.rules.wants import (
    ABOUT_ITSELF,
    BROKEN,
    CUT_OFF,
    EARLIER,
    FILTERED,
    OTHER_TENANT,
    OTHER_TYPE,
    REASONS,
    TESTED,
    TESTS_ANOTHER,
    Reason,
    Wants,
    undecided,
)

SLOW = {"data": {"a": {"$in": ["y"]}}}
LONG = '{"a": [' + ",".join(["[" + '"x"' + "]"] * 9_000) + "]}"


def endpoint(num: int, tenant: str | None, chosen: tuple[str, ...], pattern: Any = None, after: int = 0) -> Endpoint:
    what = Webhook(url="https://example.com", sealed=Sealed(secrets=()))
    return Endpoint(num=num, id=f"ep_{num}", tenant=tenant, events=chosen, filter=pattern, what=what, after=after)


def event(kind: str = "tasks.done", *, seq: int = 5, data: str = "{}", **more: Any) -> Event:
    return Event(id=f"evt_{seq}", type=kind, time=1, created=1, seq=seq, data=data, **more)


def decided(wants: Wants, it: Event) -> Reason | None:
    """The whole decision on one event."""
    document = filter.document(it.type, it.subject, it.data, it.previous, it.changed)
    return wants.before_filter(it) or wants.filtered(document)


@pytest.mark.parametrize(
    ("link", "it", "reason"),
    [
        (endpoint(1, None, ("*",)), event(), None),
        (endpoint(1, "*", ("tasks.*",)), event(tenant="x"), None),
        (endpoint(1, "x", ("*",)), event(tenant="y"), OTHER_TENANT),
        (endpoint(1, None, ("*",)), event(tenant="y"), OTHER_TENANT),
        (endpoint(1, None, ("users.*",)), event(), OTHER_TYPE),
        (endpoint(1, None, ("*",), after=5), event(seq=5), EARLIER),
        (endpoint(1, None, ("*",), after=5), event(seq=6), None),
        (endpoint(1, None, ("endpoint.*",)), event("endpoint.failing", subject="ep_1"), ABOUT_ITSELF),
        (endpoint(2, None, ("endpoint.*",)), event("endpoint.failing", subject="ep_1"), None),
        (endpoint(1, None, ("*",)), event("tasks.done", subject="ep_1"), None),
        (endpoint(1, "x", ("users.*",), {"data": {"n": 1}}), event("endpoint.test", target=1), TESTED),
        (endpoint(1, None, ("*",)), event("endpoint.test", target=2), TESTS_ANOTHER),
        (endpoint(1, None, ("*",), {"data": {"n": 1}}), event(data='{"n": 1}'), None),
        (endpoint(1, None, ("*",), {"data": {"n": 1}}), event(data='{"n": 2}'), FILTERED),
        (endpoint(1, None, ("*",), SLOW), event(data=LONG), CUT_OFF),
    ],
)
def test_each_event_is_wanted_or_there_is_a_reason(link: Endpoint, it: Event, reason: Reason | None) -> None:
    assert decided(Wants.of(link), it) is reason
    assert decided(Wants.of(link).compiled(), it) is reason


def test_an_event_is_sent_if_its_filter_breaks() -> None:
    wants = Wants.of(endpoint(1, None, ("*",), {"data": {"n": 1}}))

    def breaks(document: object, meter: object) -> bool:
        raise RuntimeError("broke")

    wants.fits = breaks
    reason = wants.filtered({})
    assert reason is not None and reason.name == BROKEN.name and reason.is_sent
    assert isinstance(reason.error, RuntimeError) and undecided(reason.error) == reason


def test_every_reason_has_a_name_and_a_sentence_of_its_own() -> None:
    wants = Wants(1, "ep_1", None, ("tasks.*", "users.created"), {"data": {"n": 1}})
    sentences = {wants.explain(reason, "other.type", {"type": "other.type", "data": {"n": 2}}) for reason in REASONS}
    assert len({reason.name for reason in REASONS}) == len(REASONS) == len(sentences)
    assert all(sentence.endswith(".") and "{" not in sentence for sentence in sentences)
    assert "The selected types are tasks.*, users.created, but the event's type is other.type." in sentences
    assert "The filter does not match: /data/n is 2; the filter requires $eq 1." in sentences
