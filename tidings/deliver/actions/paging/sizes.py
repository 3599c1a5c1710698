"""How large a page and a record may be, and how many records of a page one write job takes in, so that others can
write in between."""

from __future__ import annotations

from collections.abc import Sequence

from tidings.net.http import Reply
from tidings.rules.mirror.difference import Observation
from tidings.rules.mirror.records import BadRecord
from tidings.rules.templates.numbers import encode

ANSWER_BYTES_MAX = 8 * 1024 * 1024
OBSERVED_PER_STEP = 1_000
OBSERVED_BYTES_PER_STEP = 1024 * 1024
RECORD_BYTES_MAX = 1024 * 1024
"""The maximum size of a record. It becomes the data of an event, so it may be as large as a published event."""


def check_whole(reply: Reply) -> None:
    """Raise BadRecord if a response is incomplete: the missing records would count as deleted, or be skipped."""
    if len(reply.body) >= ANSWER_BYTES_MAX:
        raise BadRecord(f"The response has more than {ANSWER_BYTES_MAX:,} bytes. Request smaller pages.")
    if reply.failure is not None:
        raise BadRecord(f"The response is incomplete: {reply.failure.reason}")


def check_size(observed: Observation) -> None:
    """Raise BadRecord if a record is too large for an event."""
    if not observed.is_deleted and (size := len(encode(observed.record))) > RECORD_BYTES_MAX:
        raise BadRecord(
            f"The record {observed.key} has {size:,} bytes of JSON; the maximum is {RECORD_BYTES_MAX:,}. Use `data` in "
            "`emit` to leave out part of the record."
        )


def end_of_part(observed: Sequence[Observation], at: int, *, is_large: bool) -> int:
    """Where the part that begins at a place ends. `is_large`: the page may be too large for one part."""
    end = min(at + OBSERVED_PER_STEP, len(observed))
    if not is_large:
        return end
    left = OBSERVED_BYTES_PER_STEP
    for number in range(at, end):
        each = observed[number]
        left -= 0 if each.is_deleted else len(encode(each.record))
        if left < 0:
            return max(number, at + 1)
    return end
