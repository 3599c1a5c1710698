"""Merge patches (RFC 7396): a change as a JSON value that looks like what it changes; null removes a member."""

from __future__ import annotations

from typing import Any


def merged(document: Any, patch: Any) -> Any:
    """`document` with the patch applied, both plain JSON values. Neither is modified."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found
