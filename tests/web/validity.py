"""Whether an OpenAPI document is valid, and whether its examples fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema_rs


def validate(document: dict[str, Any]) -> None:
    """Raises OpenAPIValidationError if it is not valid, by the validator of the specification's own community."""
    _validator()(document)


def fitting(document: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """What checks the example of a content of the document. It raises ValidationError if the schema refuses it.

    Each schema is compiled once: to do so for each of a thousand contents takes seconds.
    """
    components = {"components": document["components"]}

    @cache
    def compiled(schema: str) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for(components | json.loads(schema))

    return lambda content: compiled(json.dumps(content["schema"])).validate(content["example"])


@cache
def _validator() -> Callable[[dict[str, Any]], None]:
    # Here, as only few of the processes that run tests need it, and it takes half a second to load.
    from openapi_spec_validator import validate
    from openapi_spec_validator.validation.keywords import SchemaValidator

    plain: Any = SchemaValidator._validate_schema_meta
    right: set[str] = set()

    def once(self: SchemaValidator, schema: Any, schema_value: Any) -> Any:
        """Documents have most schemas in common: one that was found to be a schema is not checked again."""
        key = json.dumps(schema_value)
        if key in right:
            return None
        wrong = plain(self, schema, schema_value)
        if wrong is None:
            right.add(key)
        return wrong

    SchemaValidator._validate_schema_meta = once  # type: ignore[method-assign]
    return validate
