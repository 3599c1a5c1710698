"""How fast, in which order and how often requests are sent, as links and connections declare it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tidings.model.link import Order, Pacing
from tidings.rules.deliver import judgement, retry
from tidings.rules.guard import ITEM
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import Refused
from tidings.rules.template import SCOPE, JsonTemplate, is_template

RATE_MIN, RATE_MAX = 0.001, 100_000.0
IN_FLIGHT_MAX = 1_000
TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX = 0.1, 120.0
ORDER_AGE_SECONDS_MAX = 7 * 24 * 3600
ORDERS = ("each", "subject", "all", "none")
"""The orders of links. `each` and `subject` have a line per subject; with `subject`, only its newest event matters."""
_ORDER_OF: dict[str, Order] = {"each": "subject", "subject": "subject", "all": "all", "none": "none"}
RATE_PATTERN = "^[0-9]{1,9}(\\.[0-9]{1,9})?/(s|min|h)$"

_RATE = re.compile(RATE_PATTERN.strip("^$"))
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_DEFAULT = Pacing()
_AT_TOP = ("order_max_age_seconds", "rate", "max_in_flight", "retry_delays_seconds")


def read_pacing(given: dict[str, Any], pointer: str, wrong: Places, give_up_on: Any = None) -> Pacing:
    """The pacing of a link. `give_up_on`: the statuses that its call lists."""
    order = given.get("order", ORDERS[0])
    if type(order) is str and is_template(order):
        names = SCOPE if given.get("split") is None else (*SCOPE, ITEM)
        refusing(lambda: JsonTemplate(order, f"{pointer}/order", names), wrong)
        order = ORDERS[0]
    elif order not in ORDERS:
        detail = f"`order` must be {', '.join(ORDERS)}, or a template: events with the same value are kept in order."
        wrong.say(f"{pointer}/order", "not_in_enum", detail)
        order = ORDERS[0]
    found: dict[str, Any] = {"order": _ORDER_OF[order]}
    for name, high in (("max_in_flight", IN_FLIGHT_MAX), ("order_max_age_seconds", ORDER_AGE_SECONDS_MAX)):
        value = given.get(name)
        if value is None:
            continue
        if type(value) is not int or not 1 <= value <= high:
            code = "not_whole" if type(value) is float else "out_of_range"
            wrong.say(f"{pointer}/{name}", code, f"`{name}` must be a whole number from 1 to {high:,}.")
        else:
            found[name] = value
    rate = read_rate(given.get("rate"), f"{pointer}/rate", wrong)
    if rate is not None:
        found["rate"] = rate
    delays = given.get("retry_delays_seconds")
    if delays is not None:
        found["retry_delays_seconds"] = tuple(delays) if type(delays) is list else delays
        refusing(lambda: retry.check_delays(found["retry_delays_seconds"], f"{pointer}/retry_delays_seconds"), wrong)
    if give_up_on is not None:
        refusing(lambda: judgement.check_give_up_on(give_up_on, f"{pointer}/call/give_up_on"), wrong)
        found["give_up_on"] = tuple(give_up_on) if type(give_up_on) is list else ()
    return Pacing(**found)


def read_rate(value: Any, pointer: str, wrong: Places) -> float | None:
    """Requests per second: a number, or text such as `5/s`, `100/min`, `1000/h`."""
    if value is None:
        return None
    if type(value) is str and (match := _RATE.fullmatch(value)):
        value = float(value.partition("/")[0]) / _SECONDS[match[2]]
    if type(value) not in (int, float) or not RATE_MIN <= value <= RATE_MAX:
        limits = f"from {RATE_MIN:,} to {RATE_MAX:,}"
        wrong.say(
            pointer, "out_of_range", f"`rate` must be a number {limits}, or a string such as 5/s, 100/min or 1000/h."
        )
        return None
    return float(value)


def read_timeout(given: dict[str, Any], pointer: str, wrong: Places) -> float | None:
    """`timeout_seconds` of a connection or a call: how long a response may take."""
    value = given.get("timeout_seconds")
    if value is None:
        return None
    if type(value) not in (int, float) or not TIMEOUT_SECONDS_MIN <= value <= TIMEOUT_SECONDS_MAX:
        limits = f"{TIMEOUT_SECONDS_MIN:g} to {TIMEOUT_SECONDS_MAX:g}"
        wrong.say(f"{pointer}/timeout_seconds", "out_of_range", f"`timeout_seconds` must be a number from {limits}.")
        return None
    return float(value)


def plain_pacing(pacing: Pacing, order_by: str | None, *, replaces: bool) -> dict[str, Any]:
    """The parts of a pacing that are not at their defaults, as written at the top level of a link."""
    found: dict[str, Any] = {}
    word = ORDERS[0] if pacing.order == "subject" and not replaces else pacing.order
    order = word if order_by is None else order_by
    if order != ORDERS[0]:
        found["order"] = order
    for name in _AT_TOP:
        value = getattr(pacing, name)
        if value != getattr(_DEFAULT, name):
            found[name] = list(value) if type(value) is tuple else value
    return found


def order_by(given: dict[str, Any]) -> str | None:
    """The template that names the line of an event, if `order` is a template."""
    order = given.get("order")
    return order if type(order) is str and is_template(order) else None


def replaces(given: dict[str, Any]) -> bool:
    """Whether a newer event replaces a waiting one of the same subject."""
    return given.get("order") == "subject"


def refusing(check: Callable[[], object], wrong: Places) -> None:
    """Record what a check refuses."""
    try:
        check()
    except Refused as refused:
        wrong.say(refused.pointer, refused.place.code, refused.detail)
