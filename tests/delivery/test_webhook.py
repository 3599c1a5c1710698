"""The webhook as an action: what it makes of events, and what it makes of answers."""

from __future__ import annotations

from typing import Any, cast, get_args

import pytest

from tidings.deliver.actions.action import Result, Tools
from tidings.deliver.actions.bodies import BodyCache
from tidings.deliver.actions.edits import Edits
from tidings.deliver.actions.once import Once
from tidings.deliver.actions.tokens import Tokens
from tidings.deliver.actions.webhook import OUTCOMES, WebhookAction
from tidings.model import outcome as outcomes
from tidings.model.event import Event
from tidings.model.link import Batch, Endpoint, Pacing, Sealed, Secret, Webhook
from tidings.model.moment import SECOND
from tidings.net.http import FailureKind, HttpRequest, Reply, TransportFailure
from tidings.net.reply import AFTER_STATUS
from tidings.rules.schemes.standard import new_secret
from tidings.rules.schemes.standard_verify import verify

NOW = 1_800_000_000 * SECOND


def secret(byte: int, expires: int | None = None) -> Secret:
    return Secret(text=new_secret(bytes([byte]) * 32), created=0, expires=expires)


def webhook(sealed: Sealed | None = None, **pacing: Any) -> WebhookAction:
    endpoint = Endpoint(
        num=1,
        id="ep_1",
        tenant=None,
        pacing=Pacing(**pacing),
        what=Webhook(url="https://a.example/hook", sealed=sealed or Sealed(secrets=(secret(1),))),
    )
    return WebhookAction(
        endpoint,
        Tools(
            lambda request, done: None,
            BodyCache("/test"),
            cast(Edits, None),
            cast(Any, None),
            lambda name: None,
            cast(Tokens, None),
            cast(Once, None),
            cast(Any, None),
            cast(Any, None),
            cast(Any, None),
            lambda call: None,
        ),
    )


def event(number: int = 1, text: str = "x") -> Event:
    return Event(id=f"evt_{number}", type="step", time=NOW, data=f'{{"t":"{text}"}}', seq=number)


def headers(request: HttpRequest) -> dict[str, str]:
    return {line.partition(":")[0]: line.partition(": ")[2] for line in request.headers}


def judged(status: int | None, *lines: str, failure: TransportFailure | None = None, **pacing: Any) -> Result:
    head = [b"HTTP/1.1 %d X\r\n" % (status or 0), *(line.encode() + b"\r\n" for line in lines)]
    return webhook(**pacing).judge(Reply(status, head, b"said", 7, failure), NOW)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, outcomes.OK, "Delivered."),
        (299, outcomes.OK, "Delivered."),
        (304, outcomes.REDIRECT, "304 Not Modified"),
        (302, outcomes.REDIRECT, "Register the final URL."),
        (410, outcomes.GONE, "The endpoint answered 410 Gone."),
        (422, outcomes.BAD_STATUS, "The endpoint answered 422."),
        (500, outcomes.BAD_STATUS, "The endpoint answered 500."),
        (101, outcomes.BAD_STATUS, "The endpoint answered 101."),
    ],
)
def test_a_status_decides(status: int, outcome: outcomes.Outcome, reason: str) -> None:
    result = judged(status)
    assert (result.outcome, result.status, result.duration_ms, result.answer) == (outcome, status, 7, b"said")
    assert reason in result.reason
    # Whatever became of the rest of the answer.
    for kind in AFTER_STATUS:
        broken = judged(status, failure=TransportFailure(kind, "The rest broke."))
        assert (broken.outcome, broken.status, broken.judged) == (outcome, status, result.judged)
        assert broken.reason == f"{result.reason} The rest broke."


def test_every_network_failure_has_its_outcome() -> None:
    assert set(OUTCOMES) | AFTER_STATUS == set(get_args(FailureKind))
    for kind, outcome in OUTCOMES.items():
        result = judged(None, failure=TransportFailure(kind, "So it was."))
        assert (result.outcome, result.reason, result.status) == (outcome, "So it was.", None)
        # A status in a head that broke off is shown, and decides nothing.
        assert judged(200, failure=TransportFailure(kind, "So it was.")).outcome is outcome
    assert set(OUTCOMES.values()).isdisjoint({outcomes.OK, outcomes.BAD_STATUS, outcomes.GONE, outcomes.REDIRECT})


def test_retry_after_is_read_only_if_it_means_something() -> None:
    assert judged(429, "Retry-After: 30").wait_seconds == 30
    assert judged(503, "RETRY-AFTER:9").judged.endpoint == "hold"
    assert judged(503).judged.endpoint == "failing"
    assert judged(503, "Retry-After: soon").wait_seconds is None
    assert judged(200, "Retry-After: 30").wait_seconds is None
    broken = judged(503, "Retry-After: 9", failure=TransportFailure("answer", "It broke."))
    assert (broken.wait_seconds, broken.judged.endpoint) == (None, "failing")


def test_gone_says_why_the_endpoint_is_disabled() -> None:
    assert judged(410).disable_because == "The endpoint answered 410 Gone: it wants no more webhooks."
    assert judged(410, give_up_on=(410,)).disable_because is not None
    assert judged(404).disable_because is None


def test_statuses_that_are_given_up_on_end_the_message() -> None:
    assert judged(500, give_up_on=("5xx",)).judged.message == "dead"
    assert judged(500, give_up_on=(501,)).judged.message == "again"


def test_the_request_is_signed_with_every_secret_that_is_valid() -> None:
    old, new = secret(1, expires=NOW + 10 * SECOND), secret(2)
    action = webhook(Sealed(secrets=(new, old), headers={"X-Key": "abc", "X-Empty": ""}))
    for now, valid in ((NOW, [old, new]), (NOW + 11 * SECOND, [new])):
        prepared = action.prepare([event()], [], now)
        sent = headers(prepared.request)
        assert len(sent["webhook-signature"].split()) == len(valid)
        for each in valid:
            assert verify(sent, prepared.request.body, each.text, now / SECOND) == "evt_1"
    assert (sent["X-Key"], prepared.size, prepared.request.method) == ("abc", len(prepared.request.body), "POST")
    assert "X-Empty;" in prepared.request.headers and "abc" not in prepared.shown


def test_a_batch_is_as_long_as_it_may_be() -> None:
    assert webhook().fitting([event(1), event(2)]) == 1
    action = webhook(batch=Batch(max_bytes=1_024))
    assert action.fitting([event(number) for number in range(1, 4)]) == 3
    long = [event(number, "x" * 500) for number in range(4, 7)]
    assert action.fitting(long) == 1
    assert action.fitting([event(9, "x" * 5_000), *long]) == 1
    assert headers(action.prepare(long[:2], [], NOW).request)["webhook-id"].startswith("bat_")
