"""Whether one key contains another: every scope, tenant and item that the other reaches is its own too."""

from __future__ import annotations

from collections.abc import Mapping

from tidings.model.access import Key
from tidings.model.collection import Collection
from tidings.rules.items.condition import NEVER, Both, Condition
from tidings.rules.items.permit import Grant, grant


def lacking(mine: Key, other: Key, known: Mapping[str, Collection]) -> str | None:
    """What `mine` lacks of what `other` can do, as the end of a sentence; None if nothing."""
    if mine.tenant not in (None, other.tenant):
        return f"reaches beyond the tenant {mine.tenant}"
    scopes = [scope for scope in other.scopes if not mine.has_scope(scope)]
    if scopes:
        return f"has the scopes {', '.join(scopes)}" if len(scopes) > 1 else f"has the scope {scopes[0]}"
    for permit in other.permits:
        collection = known.get(permit.collection)
        theirs = None if collection is None else grant(other, collection)
        if collection is not None and theirs is not None:
            more = _beyond(grant(mine, collection), theirs)
            if more:
                return f"has more {more} in the collection {collection.name}"
    return None


def _beyond(mine: Grant | None, theirs: Grant) -> str | None:
    """What their grant has more of."""
    if mine is None:
        return "verbs"
    sets = {
        "verbs": (theirs.verbs, mine.verbs),
        "readable fields": (theirs.read, mine.read),
        "writable fields": (theirs.write, mine.write),
        "filters": (theirs.filter, mine.filter),
        "sort fields": (theirs.sort, mine.sort),
        "questions": ([each.name for each in theirs.questions], [each.name for each in mine.questions]),
    }
    for name, (more, less) in sets.items():
        if not set(more) <= set(less):
            return name
    if theirs.words and not mine.words:
        return "filters"
    if not (_implies(theirs.reads, mine.reads) and _implies(theirs.writes, mine.writes)):
        return "rows"
    return None


def _implies(narrow: Condition, wide: Condition) -> bool:
    """Whether each item that matches `narrow` surely matches `wide`: a key repeats its maker's rule, part by part."""
    if narrow == NEVER:
        return True
    parts = _parts(narrow)
    return all(part in parts for part in _parts(wide))


def _parts(condition: Condition) -> list[Condition]:
    if not isinstance(condition, Both):
        return [condition]
    return [part for each in condition.parts for part in _parts(each)]
