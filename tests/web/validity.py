"""Whether an OpenAPI document is valid, by the validator of the specification's own community."""

from __future__ import annotations

from typing import Any


def validate(document: dict[str, Any]) -> None:
    """Raises OpenAPIValidationError if it is not. The package takes half a second to load, so only users load it."""
    import openapi_spec_validator

    openapi_spec_validator.validate(document)
