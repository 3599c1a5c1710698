"""Check event data against the JSON Schema (2020-12 and its forerunners) of its type."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from tidings.model.errors import Invalid, Place
from tidings.model.event import EventType
from tidings.rules.refused import escaped

COMPILED_MAX = 1_000
ERRORS_MAX = 20
DETAIL_CHARS_MAX = 500

Step = str | int


class Schemas:
    """Compiled schemas, by event type and revision. Belongs to one thread."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def check(self, kind: EventType, data: Any, pointer: str) -> list[Place]:
        """The places where `data` differs from the type's schema; `pointer` is where the data stands."""
        assert kind.schema is not None
        name = (kind.name, kind.revision)
        validator = self._compiled.get(name)
        if validator is None:
            validator = self._compiled[name] = compiled(msgspec.json.decode(kind.schema))
            if len(self._compiled) > COMPILED_MAX:
                self._compiled.popitem(last=False)
        if validator.is_valid(data):
            return []
        return places(validator, data, pointer)


def compiled(schema: Any) -> Any:
    """The validator of a schema. Regular expressions are linear ones, nothing is fetched.

    Raises Invalid, with the pointer into the schema where that is known.
    """
    # Imported here: a server without schemas never pays for it.
    import jsonschema_rs

    if not isinstance(schema, dict):
        raise _wrong_schema("", "A schema is a JSON object.")
    try:
        return jsonschema_rs.validator_for(
            schema,
            offline=True,
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 22),
        )
    except jsonschema_rs.ValidationError as wrong:
        raise _wrong_schema(_pointer(list(wrong.instance_path)), wrong.message) from None
    except (ValueError, jsonschema_rs.ReferencingError) as wrong:
        raise _wrong_schema("", str(wrong)) from None


def places(validator: Any, data: Any, pointer: str) -> list[Place]:
    """Every wrong place, each with the schema's reason."""
    found = []
    for wrong in validator.iter_errors(data):
        detail = wrong.message if len(wrong.message) <= DETAIL_CHARS_MAX else wrong.message[:DETAIL_CHARS_MAX] + "..."
        found.append(Place(pointer=pointer + _pointer(list(wrong.instance_path)), code="schema", detail=detail))
        if len(found) >= ERRORS_MAX:
            break
    return found


def _pointer(steps: list[Step]) -> str:
    return "".join(f"/{escaped(str(step))}" for step in steps)


def _wrong_schema(pointer: str, detail: str) -> Invalid:
    text = detail.split("\n")[0][:DETAIL_CHARS_MAX]
    return Invalid(
        f"This is no JSON Schema that can be used here: {text}",
        errors=[Place(pointer=f"/schema{pointer}", code="schema", detail=text)],
    )
