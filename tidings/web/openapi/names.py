"""Names of components that stay apart in every language: `event.batch` and `EventBatch` are one word to a generator."""

from __future__ import annotations

import re
from typing import Any

from tidings.web.openapi.schemas import of_document, rename


def make_unique(document: dict[str, Any]) -> None:
    """Number components that a generator would take for one another. The server's own keep their names."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    taken: set[str] = set()
    new: dict[str, str] = {}
    for name in sorted(schemas, key=lambda name: ("." in name, name)):
        found, number = name, 1
        while _word(found) in taken:
            number += 1
            found = f"{name}.{number}"
        taken.add(_word(found))
        if found != name:
            new[name] = found
    if new:
        document["components"]["schemas"] = {new.get(name, name): schema for name, schema in schemas.items()}
        for schema in of_document(document):
            rename(schema, new)


def _word(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
