"""What a response says about the message and about the endpoint: two judgements, from one table and nothing else.

A response to one message says nothing about another. A status such as 422 is about the refused message; one such as
503 is about the endpoint. The page docs/reference/answers.md is made from the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from tidings.model import outcome as outcomes
from tidings.model.moment import DAY, SECOND
from tidings.model.outcome import Outcome
from tidings.rules.deliver import health
from tidings.rules.reading.refused import Refused

OfMessage = Literal["delivered", "again", "again, uncounted", "dead"]
"""`again, uncounted`: the message is sent again, without using up an attempt of its schedule."""
OfEndpoint = Literal["well", "silent", "failing", "hold", "hold older", "gone", "not asked"]
"""`silent`: the response says nothing about the endpoint, unless no other message succeeds. `hold`: nothing is sent for
a while; `hold older`: only messages made after every failed one are sent. `gone`: the endpoint is disabled."""

GIVE_UP_MAX = 50
CLASSES = ("3xx", "4xx", "5xx")
STATUS_MIN, STATUS_MAX = 300, 599
ENDPOINT_STATUSES = frozenset((401, 402, 403, 404, 405, 407, 408, 421, 426))
"""The 4xx statuses that are about the endpoint: its URL, its credentials, its time limits. Unknown 4xx statuses are
treated like 400 (RFC 9110)."""


class Judgement(msgspec.Struct, frozen=True):
    """A row of the table: which responses, what they say about the message and the endpoint, and why."""

    outcome: Outcome
    answers: str
    message: OfMessage
    endpoint: OfEndpoint
    because: str
    is_given_up: bool = False
    """Whether the link's owner listed the status in `give_up_on`."""


OK = Judgement(outcomes.OK, "2xx", "delivered", "well", "the endpoint accepted the message")
GONE = Judgement(
    outcomes.GONE,
    "410",
    "again",
    "gone",
    ("the endpoint wants no more events, so it is disabled; its waiting deliveries are kept"),
)
TOO_MANY = Judgement(
    outcomes.BAD_STATUS,
    "429",
    "again, uncounted",
    "hold",
    "busy, but not down: nothing is sent until the time in `Retry-After`; without that header, "
    "nothing is sent for 5 s at first, and for twice as long each time after that",
)
BUSY = Judgement(
    outcomes.BAD_STATUS,
    "503 with `Retry-After`",
    "again, uncounted",
    "hold",
    "`Retry-After` says when to try again: nothing is sent until then",
)
BUSY_AGAIN = Judgement(
    outcomes.BAD_STATUS,
    "429, or 503 with `Retry-After`, repeated for a message although newer ones were accepted",
    "again, uncounted",
    "hold older",
    "the endpoint may be busy, or may object to this message; newer messages will show which",
)
BUSY_FOR_IT = Judgement(
    outcomes.BAD_STATUS,
    "the same for the first message sent after the pause, while others were accepted",
    "again",
    "silent",
    "the endpoint contradicts itself, so it must object to this message",
)
ELSEWHERE = Judgement(
    outcomes.BAD_STATUS,
    ", ".join(str(status) for status in sorted(ENDPOINT_STATUSES)),
    "again",
    "failing",
    "the URL, the credentials or the time limit is wrong, for every message alike",
)
REFUSED = Judgement(
    outcomes.BAD_STATUS,
    "every other 4xx, such as 400, 409, 413, 415, 422",
    "again",
    "silent",
    "the endpoint refuses this message, but may accept others",
)
FAULT = Judgement(
    outcomes.BAD_STATUS, ("5xx, and statuses outside HTTP"), "again", "failing", "the endpoint itself is at fault"
)
REDIRECT = Judgement(outcomes.REDIRECT, "3xx", "again", "failing", "redirects are not followed")

_NO_ANSWER = "no response arrived that says anything about the message"
TABLE: tuple[Judgement, ...] = (
    OK,
    GONE,
    TOO_MANY,
    BUSY,
    BUSY_AGAIN,
    BUSY_FOR_IT,
    ELSEWHERE,
    REFUSED,
    FAULT,
    REDIRECT,
    *(
        Judgement(outcome, "", "again", "failing", _NO_ANSWER)
        for outcome in outcomes.OUTCOMES
        if outcome not in (outcomes.OK, outcomes.GONE, outcomes.BAD_STATUS, outcomes.REDIRECT, *outcomes.OURS)
        and outcome not in (*outcomes.OF_CALLS, *outcomes.OF_EDITS)
    ),
    Judgement(outcomes.UNSENDABLE, "", "dead", "silent", "nothing was sent, and retrying would not help"),
    Judgement(outcomes.CANCELLED, "", "dead", "silent", "nothing was sent, because the delivery was cancelled"),
    Judgement(outcomes.REPLACED, "", "dead", "silent", "nothing was sent, because a newer event took its place"),
)

_LATER, _NEVER = "a later event may fix that", "retrying would not help"
SKIPPED = Judgement(outcomes.SKIPPED, "none: nothing was done", "delivered", "not asked", "there was nothing to do")
_EDITS = (
    SKIPPED,
    Judgement(
        outcomes.SPLIT,
        "none: nothing was sent",
        "delivered",
        "not asked",
        "each element of the list has its own delivery",
    ),
    Judgement(outcomes.TEMPLATE_FAILED, "", "dead", "well", _NEVER),
    Judgement(outcomes.LOOP, "", "dead", "well", _NEVER),
    Judgement(outcomes.ITEM_INVALID, "", "dead", "well", _NEVER),
    Judgement(outcomes.ITEM_CONFLICT, "", "dead", "well", _NEVER),
    Judgement(outcomes.ITEM_MISSING, "", "again", "well", _LATER),
    Judgement(outcomes.ITEM_REFERENCED, "", "again", "well", _LATER),
    Judgement(outcomes.COLLECTION_MISSING, "", "again", "well", "the collection can be declared again"),
    Judgement(outcomes.EDIT_FAILED, "", "again", "well", "the fault may be temporary"),
)
OF_EDITS = {row.outcome: row for row in _EDITS}
"""The verdicts on an edit of an item. A failed edit says nothing about the link, so the link's other edits continue."""

DOUBTFUL = Judgement(
    outcomes.IN_DOUBT,
    "none, or an unusable one, although the request was sent",
    "dead",
    "failing",
    "the call may have taken effect, so a person has to decide. The call is repeated instead if its method is GET, "
    "HEAD, PUT or DELETE, if the link has `in_doubt: retry` or its own `Idempotency-Key`, or if it belongs to a poll",
)
UNREAD = Judgement(outcomes.IN_DOUBT, "one that could not be processed", "dead", "not asked", "a person has to decide")
UNFILLED = Judgement(outcomes.TEMPLATE_FAILED, "none: nothing was sent", "dead", "not asked", _NEVER)
NOT_LET_IN = Judgement(
    outcomes.BAD_STATUS,
    "401 or 403 in response to a poll",
    "again",
    "failing",
    "the credentials are wrong or expired; the next attempt is half an hour later",
)
_OBSERVING = (
    Judgement(outcomes.BAD_ANSWER, "2xx, for a link with `emit`", "again", "silent", "the other system may correct it"),
    Judgement(
        outcomes.INTERRUPTED,
        "for a link with `emit`",
        "again, uncounted",
        "not asked",
        "the read continues with the link's current declaration",
    ),
    Judgement(outcomes.OBSERVE_FAILED, "for a link with `emit`", "again", "not asked", "the fault may be temporary"),
)
OF_OBSERVING = {
    **{row.outcome: row for row in _OBSERVING},
    outcomes.TEMPLATE_FAILED: UNFILLED,
    outcomes.IN_DOUBT: DOUBTFUL,
    outcomes.LOOP: Judgement(outcomes.LOOP, "none: nothing was sent", "dead", "not asked", _NEVER),
}
"""The verdicts on how a link with `emit` processed a response."""
OF_CALLS: tuple[Judgement, ...] = (
    Judgement(outcomes.OK, "what `ok` accepts; 2xx by default", "delivered", "well", "the call succeeded"),
    TOO_MANY,
    BUSY,
    Judgement(
        outcomes.BAD_STATUS, "401", "again", "failing", "the credentials are wrong or expired, for every event alike"
    ),
    Judgement(outcomes.BAD_STATUS, "408, 425", "again", "failing", "the service asks to try again"),
    Judgement(
        outcomes.BAD_STATUS,
        "every other 4xx",
        "dead",
        "silent",
        "the service will not accept this request later either",
    ),
    Judgement(outcomes.BAD_STATUS, "5xx, and statuses outside HTTP", "again", "failing", "the service is at fault"),
    REDIRECT,
    Judgement(
        outcomes.NOT_OK,
        "2xx, but `ok` is false, or it is a SOAP fault",
        "again",
        "silent",
        "the body of the response says that nothing was done",
    ),
    DOUBTFUL,
    Judgement(outcomes.AUTH_FAILED, "none: nothing was sent", "again", "failing", "there is no access token"),
    UNFILLED,
    NOT_LET_IN,
    *_OBSERVING,
)
"""The verdicts on responses to calls, if they differ from those on webhooks. The first row that matches counts."""
_OF_CALL = {row.answers: row for row in OF_CALLS}

MAIL_OF_SERVER = frozenset((421, 454, 530, 534, 535, 538))
"""SMTP's codes that are about the server or the credentials (RFC 5321, RFC 4954)."""
OF_MAIL: tuple[Judgement, ...] = (
    Judgement(
        outcomes.BAD_STATUS,
        ", ".join(map(str, sorted(MAIL_OF_SERVER))),
        "again",
        "failing",
        "the server or the password is wrong, for every email alike",
    ),
    Judgement(
        outcomes.BAD_STATUS, "every other 4xx, such as 451", "again", "silent", "the server may accept this email later"
    ),
    Judgement(
        outcomes.BAD_STATUS,
        "every other 5xx, such as 550",
        "dead",
        "silent",
        "the server will not accept this email later either",
    ),
)
"""The verdicts on the codes of mail servers. Everything else is judged as it is for calls."""

OF_MESSAGE: dict[OfMessage, str] = {
    "delivered": "The message has arrived.",
    "again": "The message is retried on schedule. If the last attempt fails as well, the message becomes `dead`.",
    "again, uncounted": (
        f"The message is retried without using up one of its attempts, for at most {health.HOLD_UNCOUNTED // DAY} days."
    ),
    "dead": "The message is not sent again.",
}
OF_ENDPOINT: dict[OfEndpoint, str] = {
    "well": "Messages are sent as fast as the endpoint responds.",
    "silent": (
        "Nothing happens as long as any newer message succeeds. If none succeeds, the endpoint counts as "
        f"failing; probes then start {health.REFUSED_SECONDS_FIRST:g} s apart and are never more than "
        f"{health.REFUSED_SECONDS_MAX:g} s apart."
    ),
    "failing": (
        f"After {health.FAILS_TO_OPEN} failures in a row, only probes are sent. The interval between them starts at "
        f"{health.PROBE_SECONDS_FIRST:g} s and doubles each time, up to {health.PROBE_SECONDS_MAX:g} s, but is never "
        "longer than a tenth of the time since the last success. After "
        f"{health.DISABLE_AFTER // DAY} days without a success, the endpoint is disabled."
    ),
    "hold": (
        "Nothing is sent until the time in `Retry-After` (seconds or a date, at most "
        f"{health.ASKED_SECONDS_MAX:g} s); without that header, nothing is sent for {health.HOLD_SECONDS_FIRST:g} s. "
        "Without a success in between, each hold is "
        f"at least twice as long as the previous one, up to {health.HOLD_SECONDS_MAX:g} s. "
        "The endpoint's `health.held_until` shows when the hold ends."
    ),
    "hold older": (
        "This is like `hold`, but only older messages wait: messages that are newer than every failed one are still "
        "sent. If the endpoint responds to the first of these newer messages by asking for a pause as well, nothing "
        "at all is sent until the hold ends."
    ),
    "gone": "The endpoint is disabled.",
    "not asked": "Nothing was sent, so nothing is known about the endpoint.",
}
RULES: tuple[str, ...] = (
    f"If only probes were sent, and the endpoint failed for {health.OUTAGE // SECOND} s or longer, the first success "
    "gives every delivery that is waiting for a retry a new schedule, and makes it due at once. This happens to each "
    "delivery only once, and once more if the delivery was retried by hand after that.",
    "Messages that are newer than every failed one go first, whatever the reason for the failures: a slot is "
    "reserved for them, and they get nearly every turn, as far as the endpoint's `order` permits.",
    "Once an endpoint has contradicted itself (see the table above), a request for a pause delays only the message "
    f"that was answered with it, until {health.ASKS_TO_HOLD} messages in a row have been answered with such a request.",
    "A status in the endpoint's `give_up_on` makes the message `dead`. Such a status says nothing about the "
    "endpoint (`silent`), unless it means `hold` or `gone` in the table above.",
    "If an endpoint has an `order`, and a message becomes `dead` because of a response that says nothing about the "
    "endpoint (`silent`), the next message in that order is sent without delay.",
    "A refused batch says nothing about any single event in it. It is sent again in halves, down to single "
    "events, without using up an attempt. The same happens to a batch that fails while the endpoint accepts "
    "others.",
    "As long as the only messages that fail are older than the last one that succeeded, new messages are sent at once.",
    "Editing what is sent (URL, headers, secret, body ...) ends a hold, sends a probe at once, and gives "
    "every delivery that is waiting for a retry a new schedule. So does resuming an endpoint. Retrying a single "
    "delivery does not end a hold.",
)

_BY_OUTCOME = {row.outcome.name: row for row in TABLE if row.outcome is not outcomes.BAD_STATUS}


def judge(outcome: Outcome, status: int | None, *, asked_to_wait: bool = False) -> Judgement:
    """The row for the result of an attempt. `asked_to_wait`: it had a valid `Retry-After`."""
    if outcome is not outcomes.BAD_STATUS or status is None:
        return _BY_OUTCOME.get(outcome.name, FAULT)
    if status == 429:
        return TOO_MANY
    if status == 503 and asked_to_wait:
        return BUSY
    if status in ENDPOINT_STATUSES:
        return ELSEWHERE
    return REFUSED if 400 <= status < 500 else FAULT


def judge_call(outcome: Outcome, status: int | None, *, asked_to_wait: bool = False) -> Judgement:
    """The same for a call of a link."""
    if outcome in OF_EDITS:
        return OF_EDITS[outcome]
    if outcome in (*outcomes.OF_CALLS, outcomes.OK):
        return next(row for row in OF_CALLS if row.outcome is outcome)
    if status is None or not 400 <= status < 500 or status == 429:
        return judge(outcome, status, asked_to_wait=asked_to_wait)
    named = "401" if status == 401 else "408, 425" if status in (408, 425) else "every other 4xx"
    return _OF_CALL[named]


def judge_mail(outcome: Outcome, status: int | None) -> Judgement:
    """The same for a mail, by the server's code."""
    if outcome is not outcomes.BAD_STATUS or status is None:
        return judge_call(outcome, None)
    if status in MAIL_OF_SERVER:
        return OF_MAIL[0]
    return OF_MAIL[1] if status < 500 else OF_MAIL[2]


def weighed(judged: Judgement, whom: health.Whom) -> Judgement:
    """The verdict on a request to wait, once it is known what it applies to."""
    if whom == "all":
        return judged
    row = BUSY_AGAIN if whom == "older" else BUSY_FOR_IT
    message: OfMessage = "dead" if judged.message == "dead" else row.message
    return msgspec.structs.replace(row, message=message)


def given_up(judged: Judgement, status: int | None, give_up_on: Sequence[int | str]) -> Judgement:
    """The judgement, given the statuses after which the endpoint's owner wants to give up on a message.

    Such a status is then about the message; 410 and a request to wait are still about the endpoint too.
    """
    if status is None or not (status in give_up_on or f"{status // 100}xx" in give_up_on):
        return judged
    of_endpoint: OfEndpoint = judged.endpoint if judged.endpoint in ("hold", "gone", "well") else "silent"
    message: OfMessage = "delivered" if judged.message == "delivered" else "dead"
    return msgspec.structs.replace(judged, message=message, endpoint=of_endpoint, is_given_up=True)


def check_give_up_on(given: object, pointer: str = "") -> tuple[int | str, ...]:
    """An endpoint's own list of statuses, checked. Raises Refused."""
    if not isinstance(given, list | tuple) or len(given) > GIVE_UP_MAX:
        raise Refused(pointer, "give_up_on", f"There may be at most {GIVE_UP_MAX} statuses.")
    for index, status in enumerate(given):
        whole = isinstance(status, int) and not isinstance(status, bool) and STATUS_MIN <= status <= STATUS_MAX
        if not whole and not (isinstance(status, str) and status in CLASSES):
            detail = (
                f'A status must be a whole number from {STATUS_MIN} to {STATUS_MAX}, or "3xx", "4xx" or "5xx" for a '
                "whole class."
            )
            raise Refused(f"{pointer}/{index}", "give_up_on", detail)
    return tuple(given)
