"""Trials: of a link that observes, whose one page is read and compared; of a connection; and of an endpoint."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.outcome import Outcome

RECORDS_SHOWN = 5
KEY_OF_TRIAL = "call_0123456789abcdef0123456789abcdef"
"""A placeholder for the Idempotency-Key, which is different for each delivery."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a page, and how it differs from the mirror. `shown`: the request as in an attempt, as JSON."""

    outcome: Outcome
    reason: str
    shown: str | None = None
    records: int = 0
    first: tuple[Any, ...] = ()
    """The first few records."""
    created: int = 0
    updated: int = 0
    deleted: int = 0
    changes: tuple[tuple[str, str], ...] = ()
    """The first few differences: the kind of each, and the record's key."""
    has_more: bool = False
    """There are further pages."""


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection reaches. `says`: a sentence for people, without credentials."""

    is_reached: bool
    """Whether the other system answered."""
    is_accepted: bool | None
    """Whether the server accepted the credentials; None if unknown."""
    outcome: Outcome
    status: int | None
    duration_ms: int
    says: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint answered to a test event. `says`: a sentence for people; `answer`: the response's beginning."""

    outcome: Outcome
    status: int | None
    duration_ms: int
    says: str
    answer: str
    headers: str
    """The headers of the request, as JSON; the values of the endpoint's own headers are masked."""
