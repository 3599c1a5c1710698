"""JSON Schema (2020-12 and its forerunners): compile callers' schemas, and say where values violate them.

Checking whether a value is valid is cheap, and bounded by the schema's cost and the value's size. Finding out why not
costs a thousand times as much, since all reasons are made at once: large values get only the first reason, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tidings.model.errors import Invalid, Place
from tidings.rules.reading import schema_cost
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.reading.schema_cost import Cost
from tidings.rules.reading.schema_words import PAIR_UNITS, alike, weights

ERRORS_MAX = 20
DETAIL_CHARS_MAX = 500
SCHEMA_BYTES_MAX = 64 * 1024
PATTERN_BYTES = 1 << 20
"""The maximum size of a compiled regular expression, in bytes."""
UNITS_MAX = 8_000_000
"""The maximum number of units (rules/reading/schema_cost.py) for checking a value: some 60 ms."""
VALUE_BYTES = 1024 * 1024
"""The default maximum size of a value, in bytes."""
REASONS_MAX = 20_000
"""The maximum number of units of a value that still gets reasons: some 100 ms. 200 bytes cost as much as a reason."""
REASON_BYTES = 200
LEVELS = 8
"""How many levels of a value the reasons are assumed to repeat."""
NUMBERS_PER_CHAR = 3
"""The most that numbers can weigh per character of text: 1e300 weighs most."""
UNKNOWN = Cost(top=100, below=100, per_char=10, per_number=1_000, whole=False, quoted=10_000, copies=True)
"""The assumed cost of a schema that was stored before costs were counted, and refers to something outside of it."""
TOO_LARGE_TO_SAY = "The value does not match the schema. The value is too large for the exact place to be shown."

_MANY_DIGITS = re.compile(rb"[0-9]{16}")
"""Only an integer with this many digits in a row can change as a double."""
Step = str | int


class Validator:
    """A compiled schema, and what it costs."""

    def __init__(self, inner: Any, cost: Cost) -> None:
        self._inner = inner
        self.cost = cost
        self.is_valid = inner.is_valid
        """Whether a value is valid. Ask `costly` first if the value may be large."""

    def costly(self, text: bytes | memoryview, value: Any) -> bool:
        """Whether a value would take more than UNITS_MAX; `text` is its JSON."""
        size, cost = len(text), self.cost
        if cost.units(size // 2 + 1, size, NUMBERS_PER_CHAR * size) > UNITS_MAX:
            raw = bytes(text)
            units = cost.units(1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{"), size)
            if units > UNITS_MAX or units + _of_numbers(cost, value) > UNITS_MAX:
                return True
        return cost.unique > 0 and _MANY_DIGITS.search(text) is not None and _of_pairs(cost, value) > UNITS_MAX

    def reasons(self, value: Any) -> Iterator[Any]:
        """Why a value is not valid: the library's errors: all, the first, or none, as its size permits."""
        values, chars = measured(value, REASONS_MAX)
        size = (2 * values + chars) // REASON_BYTES
        cost = self.cost
        # Each reason holds the part of the value it is about, and quotes the schema.
        held = size * (values if cost.copies else LEVELS)
        quoted = (1 + values) * (cost.quoted // REASON_BYTES)
        if cost.top * (1 + size) + cost.below * (values + held) + quoted <= REASONS_MAX:
            yield from self._inner.iter_errors(value)
        elif not cost.branches:
            import jsonschema_rs

            try:
                self._inner.validate(value)
            except jsonschema_rs.ValidationError as wrong:
                yield wrong


def checked(schema: Any) -> Validator:
    """The validator of a schema that somebody declares. Raises Invalid, also if it may cost too much."""
    validator = compiled(schema)
    if len(msgspec.json.encode(schema)) > SCHEMA_BYTES_MAX:
        raise _wrong_schema("", f"A schema can be at most {SCHEMA_BYTES_MAX:,} bytes long.")
    try:
        schema_cost.check(schema)
    except Refused as wrong:
        raise _wrong_schema(wrong.pointer, wrong.detail) from None
    return validator


def compiled(schema: Any) -> Validator:
    """The validator of a schema, whatever it costs. Regular expressions are linear ones, nothing is fetched.

    Raises Invalid, with the pointer into the schema if it is known.
    """
    # Imported here: a server without schemas never pays for it.
    import jsonschema_rs

    if not isinstance(schema, dict):
        raise _wrong_schema("", "A schema must be a JSON object.")
    try:
        inner = jsonschema_rs.validator_for(
            schema,
            offline=True,
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=1 << 22),
        )
    except jsonschema_rs.ValidationError as wrong:
        raise _wrong_schema(_pointer(list(wrong.instance_path)), wrong.message) from None
    except (ValueError, jsonschema_rs.ReferencingError) as wrong:
        raise _wrong_schema("", str(wrong)) from None
    try:
        return Validator(inner, schema_cost.cost_of(schema))
    except Refused:
        return Validator(inner, UNKNOWN)


def places(validator: Validator, data: Any, pointer: str) -> list[Place]:
    """The wrong places, each with the schema's reason; at least one if the data is not valid, otherwise none."""
    if validator.is_valid(data):
        return []
    found = []
    for wrong in validator.reasons(data):
        message = sentence(wrong)
        detail = message if len(message) <= DETAIL_CHARS_MAX else message[:DETAIL_CHARS_MAX] + "..."
        found.append(Place(pointer=pointer + _pointer(list(wrong.instance_path)), code="schema", detail=detail))
        if len(found) >= ERRORS_MAX:
            break
    return found or [Place(pointer=pointer, code="schema", detail=TOO_LARGE_TO_SAY)]


def sentence(wrong: Any) -> str:
    """The sentence for one of the library's errors: its message, unless that is in the library's jargon."""
    if type(wrong.kind).__name__ == "OneOfMultipleValid":
        return "The value matches several of the alternatives in the schema's oneOf, but must match exactly one."
    if wrong.kind.name in ("anyOf", "oneOf"):
        return f"The value matches none of the alternatives in the schema's {wrong.kind.name}."
    return str(wrong.message)


def is_free(cost: Cost) -> bool:
    """Whether every value that fits a request can be checked."""
    return not cost.unique and cost.units(VALUE_BYTES // 2, VALUE_BYTES, NUMBERS_PER_CHAR * VALUE_BYTES) <= UNITS_MAX


def is_over(cost: Cost, value: Any) -> bool:
    """Whether a value would take more than UNITS_MAX."""
    if type(value) is str:
        return cost.units(1, len(value)) > UNITS_MAX
    values, chars = measured(value, UNITS_MAX // max(1, cost.below))
    units = cost.units(values, chars)
    if units > UNITS_MAX or units + _of_numbers(cost, value) > UNITS_MAX:
        return True
    return cost.unique > 0 and _of_pairs(cost, value) > UNITS_MAX


def _of_pairs(cost: Cost, value: Any) -> int:
    """What it costs to compare list elements that look the same to the library's hash table."""
    return cost.unique * PAIR_UNITS * alike(value)


def _of_numbers(cost: Cost, value: Any) -> int:
    """What the numbers in a value cost, or more than UNITS_MAX."""
    if not cost.per_number:
        return 0
    return cost.per_number * weights(value, UNITS_MAX // cost.per_number, is_whole=cost.whole)


def measured(value: Any, most: int) -> tuple[int, int]:
    """How many values this one holds, itself included, and how many characters. Counting ends beyond `most` values."""
    values, chars = 1, 0
    waiting = [value]
    while waiting and values <= most:
        here = waiting.pop()
        kind = type(here)
        if kind is str:
            chars += len(here)
        elif kind is dict:
            values += len(here)
            chars += sum(map(len, here))
            waiting.extend(here.values())
        elif kind is list:
            values += len(here)
            waiting.extend(here)
    return values, chars


def too_costly(cost: Cost) -> str:
    """The sentence for a value that would take more than UNITS_MAX."""
    each = max(cost.below, cost.per_char, cost.per_number, 1)
    return (
        f"The value is too large for its schema: checking takes up to {each:,} steps for each value, number or "
        f"character, so only about {UNITS_MAX // each:,} of these can be checked. Send less at a time, or simplify the "
        "schema."
    )


def _pointer(steps: list[Step]) -> str:
    return "".join(f"/{escaped(str(step))}" for step in steps)


def _wrong_schema(pointer: str, detail: str) -> Invalid:
    text = detail.split("\n")[0][:DETAIL_CHARS_MAX]
    return Invalid(
        f"This JSON Schema cannot be used here: {text}",
        errors=[Place(pointer=f"/schema{pointer}", code="schema", detail=text)],
    )
