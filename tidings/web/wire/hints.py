"""What a caller that requested an unknown path probably meant: a guess at the typo, never a hint at what exists.

Only the static table is consulted, so a hint says nothing about collections, items or keys.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator

PATH_CHARS_MAX = 200
"""There is no guess for longer paths, so that a wrong path costs little."""
LIKENESS = 0.7
ITEMS = "/v1/items/"
EVERYTHING = "The page /docs shows what a key may call; so does /v1/openapi.json."

SYNONYMS = {"webhooks": "endpoints", "webhook": "endpoints", "hooks": "endpoints", "subscriptions": "endpoints"}
"""Other systems' words for ours."""

_SLASHES = re.compile("/{2,}")
_VERSION = re.compile("v[0-9]+", re.IGNORECASE)
_COLLECTION = re.compile("[a-z][a-z0-9_]{0,39}")


class Hints:
    """Guesses for the paths of one table. `is_path`: whether a path exists there; `prefix`: that of the public URL."""

    def __init__(self, paths: Iterable[str], is_path: Callable[[str], bool], prefix: str = "") -> None:
        self._is_path, self._prefix = is_path, prefix
        whole = sorted(set(paths))
        self._heads = sorted({path.split("/")[2].partition(":")[0] for path in whole if path.startswith("/v1/")})
        self._others = [path for path in whole if not path.startswith("/v1/") and "{" not in path]

    def of(self, path: str) -> str:
        """A sentence or two for an unknown path."""
        if len(path) > PATH_CHARS_MAX:
            return EVERYTHING
        if self._prefix and path.startswith(f"{self._prefix}/"):
            return (
                f"{self._prefix} is the path of this server's `public_url`: the proxy in front of the server must "
                f"strip it."
            )
        for guess in self._guesses(path):
            if guess != path and self._is_path(guess):
                return f"Did you mean {guess}?"
        steps = _tidy(path).removeprefix("/v1").strip("/").split("/")
        if steps in (["items"], [""]):
            return f"Items are at {ITEMS}COLLECTION. {EVERYTHING}"
        if _COLLECTION.fullmatch(steps[0].lower()) and not _VERSION.fullmatch(steps[0]) and len(steps) <= 2:
            return f"Items of a collection are at {ITEMS}{'/'.join([steps[0].lower(), *steps[1:]])}. {EVERYTHING}"
        return EVERYTHING

    def _guesses(self, path: str) -> Iterator[str]:
        """The likeliest typos first: slashes, case, the version, the first step's spelling, a slash for a verb's
        colon."""
        tidy = _tidy(path)
        for whole in (path, tidy):
            yield whole
            yield whole.lower()
        yield from difflib.get_close_matches(tidy.lower().removeprefix("/v1"), self._others, n=1, cutoff=LIKENESS)
        whole = tidy if tidy.lower().startswith("/v1/") else f"/v1{tidy}"
        head, *rest = whole[4:].split("/")
        head, colon, verb = head.lower().partition(":")
        head = SYNONYMS.get(head, head.replace("_", "-"))
        for found in difflib.get_close_matches(head, self._heads, n=2, cutoff=LIKENESS):
            corrected = "/".join([f"/v1/{found}{colon}{verb}", *rest])
            yield corrected
            if rest:
                before, _, last = corrected.rpartition("/")
                yield f"{before}:{last}"


def _tidy(path: str) -> str:
    return _SLASHES.sub("/", path).rstrip("/") or "/"
