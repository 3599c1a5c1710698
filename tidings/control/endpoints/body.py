"""An endpoint as its owner writes it, and the checks between that and the stored options.

Every wrong place is reported, not only the first. The sentences say what would be valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tidings.control import tenants
from tidings.control.endpoints import tls
from tidings.model.errors import Invalid, Place
from tidings.model.link import (
    ALL_TENANTS,
    Batch,
    Body,
    ClientCertificate,
    Endpoint,
    Order,
    Pacing,
    Sealed,
    Secret,
    Webhook,
    chosen,
)
from tidings.model.moment import Micros
from tidings.rules import event_types, filter
from tidings.rules.deliver import bodies, judgement, retry
from tidings.rules.network import address
from tidings.rules.reading.refused import Refused, escaped

KEPT = tls.KEPT
"""The mask that responses show instead of a header's value. A request that contains it keeps the stored value."""

HEADERS_MAX = 20
HEADER_VALUE_BYTES_MAX = 4 * 1024
DESCRIPTION_CHARS_MAX = 1_000
IN_FLIGHT_MAX = 1_000
RATE_MAX = 100_000.0
ORDER_AGE_SECONDS_MAX = 7 * 24 * 3600
BATCH_EVENTS_MAX = 100
BATCH_MS_MAX = 60_000
BATCH_BYTES_MIN, BATCH_BYTES_MAX = 1_024, 16 * 1024 * 1024
TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX = 0.1, 30.0

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset(
    (
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "user-agent",
        "accept-encoding",
    )
)
_OUR_PREFIXES = ("webhook-", "ce-", "proxy-")


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of an endpoint. Only `url` is required."""

    url: str
    description: str = ""
    events: tuple[str, ...] = ("*",)
    filter: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    rate: float | None = None
    max_in_flight: int = 64
    order: Order = "none"
    order_max_age_seconds: int = 3600
    batch: Batch | None = None
    body: Body = "standard"
    fields: tuple[str, ...] | None = None
    svix_headers: bool = False
    timeout_seconds: float = 15.0
    retry_delays_seconds: tuple[float, ...] | None = None
    give_up_on: tuple[int | str, ...] = ()
    ca: str | None = None
    client_certificate: ClientCertificate | None = None


class NewEndpoint(EndpointBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a creation: also what cannot be changed later."""

    tenant: str | None = None
    """The tenant whose events are sent to the endpoint; `"*"` (operators only) means all tenants."""
    secret: str | None = None
    """The caller's own signing secret, `whsec_...` or `whsk_...`; by default one is generated."""


def form_of(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as its owner would write it, header values hidden: what a merge patch is applied to."""
    fields = chosen(endpoint)
    fields["headers"] = dict.fromkeys(endpoint.what.sealed.headers, KEPT)
    fields |= tls.hidden(endpoint.what.sealed)
    built: dict[str, Any] = msgspec.to_builtins(fields)
    return built


def sealed_of(form: EndpointBody, secrets: tuple[Secret, ...], present: Sealed | None = None) -> Sealed:
    """The encrypted parts of a checked body: `***` keeps what is already stored."""
    kept = {} if present is None else {name.lower(): value for name, value in present.headers.items()}
    ca, client = tls.chosen(form.ca, form.client_certificate, present)
    headers = {name: kept[name.lower()] if value == KEPT else value for name, value in form.headers.items()}
    return Sealed(secrets=secrets, headers=headers, ca=ca, client_certificate=client)


def parts_of(form: EndpointBody, secrets: tuple[Secret, ...], present: Endpoint | None = None) -> dict[str, Any]:
    """The parts of a link, from a checked body. `present`: the present endpoint."""
    sealed = sealed_of(form, secrets, None if present is None else present.what.sealed)
    return {
        "description": form.description,
        "events": form.events,
        "filter": form.filter,
        "pacing": Pacing(**{name: getattr(form, name) for name in Pacing.__struct_fields__}),
        "what": Webhook(
            url=form.url,
            body=form.body,
            fields=form.fields,
            svix_headers=form.svix_headers,
            sealed=sealed,
        ),
    }


def check(
    form: EndpointBody, allow_http: bool, networks: address.Networks, now: Micros, present: Endpoint | None = None
) -> None:
    """Raise Invalid with every wrong place of a body.

    `present`: the present endpoint, whose unchanged filter, fields and certificates may break today's rules.
    """
    sealed = None if present is None else present.what.sealed
    pattern = None if present is not None and present.filter == form.filter else form.filter
    paths = None if present is not None and present.what.fields == form.fields else form.fields
    ca, client = tls.chosen(form.ca, form.client_certificate, sealed)
    places = [
        *_url(form.url, allow_http, networks),
        *_text("/description", form.description, DESCRIPTION_CHARS_MAX),
        *_refusals(lambda: event_types.check_patterns(form.events, "/events")),
        *([] if pattern is None else _refusals(lambda: filter.check(pattern, "/filter"))),
        *_headers(form, {} if sealed is None else sealed.headers, is_elsewhere=_is_elsewhere(form, present)),
        *([] if form.rate is None else _between("/rate", form.rate, 0.001, RATE_MAX, "events per second")),
        *_between("/max_in_flight", form.max_in_flight, 1, IN_FLIGHT_MAX, "concurrent requests"),
        *_between("/order_max_age_seconds", form.order_max_age_seconds, 1, ORDER_AGE_SECONDS_MAX, "seconds"),
        *_batch(form),
        *([] if paths is None else _refusals(lambda: bodies.check_fields(paths, "/fields"))),
        *tls.places(form.url, ca, client, sealed, now),
        *_between("/timeout_seconds", form.timeout_seconds, TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX, "seconds"),
    ]
    delays = form.retry_delays_seconds
    if delays is not None:
        places += _refusals(lambda: retry.check_delays(delays, "/retry_delays_seconds"))
    places += _refusals(lambda: judgement.check_give_up_on(form.give_up_on, "/give_up_on"))
    if places:
        raise Invalid(places[0].detail, errors=places)


def check_tenant(tenant: str | None, *, operator: bool) -> None:
    """Raise Invalid if the tenant of a new endpoint is malformed, or is "*" and the caller is not an operator."""
    if tenant != ALL_TENANTS:
        tenants.check_tenant(tenant)
    elif not operator:
        detail = 'Only an operator\'s key may create an endpoint for all tenants ("*").'
        raise Refused("/tenant", "not_permitted", detail)


def address_refused(why: str) -> Place:
    """The error for a URL that we refuse to call."""
    return Place(pointer="/url", code="refused_address", detail=why)


def _url(url: str, allow_http: bool, networks: address.Networks) -> list[Place]:
    wrong = _refusals(lambda: address.check_url(url, allow_http, address.EVERYWHERE, "/url"))
    if wrong:
        return wrong
    # The form is valid, so any refusal now is about the address.
    return [address_refused(place.detail) for place in _refusals(lambda: address.check_url(url, allow_http, networks))]


def _refusals(check_it: Callable[[], object], prefix: str = "") -> list[Place]:
    try:
        check_it()
    except Refused as wrong:
        return [wrong.under(prefix).place]
    return []


def _text(pointer: str, text: str, chars_max: int) -> Iterable[Place]:
    if len(text) > chars_max:
        detail = f"{_said(pointer)} may have at most {chars_max:,} characters, but has {len(text):,}."
        yield Place(pointer=pointer, code="too_long", detail=detail)
    if _BAD_VALUE.search(text.replace("\n", "")):
        yield Place(pointer=pointer, code="control_character", detail=f"{_said(pointer)} contains a control character.")


def _between(pointer: str, value: float, low: float, high: float, unit: str) -> Iterable[Place]:
    if not low <= value <= high:
        detail = f"{_said(pointer)} must be {_digits(low)} to {_digits(high)} {unit}, not {_digits(value)}."
        yield Place(pointer=pointer, code="out_of_range", detail=detail)


def _said(pointer: str) -> str:
    """The value's name for use in a message, because the first message is also shown without its pointer."""
    return pointer[1:].replace("/", ".")


def _digits(number: float) -> str:
    """A number with all its digits, for people."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < 1e15):
        return f"{int(number):,}"
    return repr(number)


def _is_elsewhere(form: EndpointBody, present: Endpoint | None) -> bool:
    """Whether the URL names a different host: someone who may only edit it must not be sent the stored headers."""
    return present is not None and not address.same_host(form.url, present.what.url)


def _headers(form: EndpointBody, present: dict[str, str], *, is_elsewhere: bool) -> Iterable[Place]:
    headers, ours = form.headers, (*_OUR_PREFIXES, "svix-") if form.svix_headers else _OUR_PREFIXES
    if len(headers) > HEADERS_MAX:
        yield Place(
            pointer="/headers",
            code="too_long",
            detail=(f"There may be at most {HEADERS_MAX} headers, not {len(headers)}."),
        )
    stored = {name.lower() for name in present}
    seen: set[str] = set()
    for name, value in headers.items():
        if value == KEPT and is_elsewhere and name.lower() in stored:
            detail = (
                f"`url` has a new host, and the stored value of {name} must not be sent there. Send the value again."
            )
            yield Place(pointer=f"/headers/{escaped(name)}", code="unknown_value", detail=detail)
        for code, detail in _header(name, value, stored, seen, ours):
            yield Place(pointer=f"/headers/{escaped(name)}", code=code, detail=detail)
        seen.add(name.lower())


def _header(
    name: str, value: str, stored: set[str], seen: set[str], ours: tuple[str, ...]
) -> Iterable[tuple[str, str]]:
    low = name.lower()
    if not _TOKEN.fullmatch(name):
        yield "bad_name", "A header name may contain only letters, digits and !#$%&'*+-.^_`|~ (at most 128 characters)."
    elif low in _OURS or low.startswith(ours):
        yield "reserved_name", f"The header {name} is set by Tidings itself."
    elif low in seen:
        yield "duplicate_key", f"The header {name} appears twice; names are case-insensitive."
    if value == KEPT:
        if low not in stored:
            yield (
                "unknown_value",
                f'"{KEPT}" keeps the stored value of {name}, but no value is stored. Send the value itself.',
            )
    elif _BAD_VALUE.search(value):
        yield "control_character", "A header value may not contain line breaks, NUL or other control characters."
    elif not value.isascii():
        yield "not_ascii", "A header value may contain only ASCII characters."
    elif len(value) > HEADER_VALUE_BYTES_MAX:
        yield "too_long", f"A header value may have at most {HEADER_VALUE_BYTES_MAX} bytes."
    elif value != value.strip():
        yield "surrounding_space", "A header value may not begin or end with a space."


def _batch(form: EndpointBody) -> Iterable[Place]:
    if form.batch is None:
        return
    yield from _between("/batch/max_events", form.batch.max_events, 1, BATCH_EVENTS_MAX, "events")
    yield from _between("/batch/max_ms", form.batch.max_ms, 1, BATCH_MS_MAX, "milliseconds")
    yield from _between("/batch/max_bytes", form.batch.max_bytes, BATCH_BYTES_MIN, BATCH_BYTES_MAX, "bytes")
    if form.order == "subject":
        detail = (
            "A batch contains events with many different subjects, so one bad event would hold up all these subjects. "
            'Set `order` to "all" or "none", or leave `batch` out.'
        )
        yield Place(pointer="/batch", code="not_with_order", detail=detail)
