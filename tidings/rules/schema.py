"""JSON Schema (2020-12 and its forerunners): compile what callers bring, and say where values differ from it."""

from __future__ import annotations

from typing import Any

from tidings.model.errors import Invalid, Place
from tidings.rules.refused import escaped

ERRORS_MAX = 20
DETAIL_CHARS_MAX = 500

Step = str | int


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
