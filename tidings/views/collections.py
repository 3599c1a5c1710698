"""Collections as answers and pages show them."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.collection import Collection
from tidings.rules.declare.declaration import plain


class CollectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A collection: its declaration, and whether its indexes are all built (`ready`) or not yet (`building`)."""

    name: str
    description: str
    fields: dict[str, Any]
    events: dict[str, Any]
    questions: dict[str, Any]
    indexes: str
    revision: int
    created: str
    updated: str


def collection_view(collection: Collection, indexes: str) -> CollectionView:
    """A collection; `indexes` is the state of its indexes."""
    declared = plain(collection)
    return CollectionView(
        name=collection.name,
        description=collection.description,
        fields=declared["fields"],
        events=declared.get("events", {}),
        questions=declared.get("questions", {}),
        indexes=indexes,
        revision=collection.revision,
        created=moment.to_text(collection.created),
        updated=moment.to_text(collection.updated),
    )
