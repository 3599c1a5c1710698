"""A request as its sender signed it: the raw body and URL, and what can be parsed from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import jiter

from tidings.rules.reading.multipart import parts_of
from tidings.rules.reading.size import TOO_MANY, has_too_many_values

FIELDS_MAX = 2_000
"""Forms and queries with more fields than this are not read; no sender of webhooks sends this many."""


class HookRequest:
    """What the signature schemes read. Nothing in it is normalised: `url` and `body` are as received.

    `url` is the absolute public URL that the sender called, with its query, percent-encoded as it was sent. Schemes
    that sign the URL need the one that the sender was given, not the one that a proxy made of it. `headers` may be a
    mapping or pairs; names are case-insensitive, and the values of a repeated header are joined by a comma.
    """

    __slots__ = ("_form", "_json", "_query", "body", "headers", "method", "url")

    def __init__(
        self,
        method: str = "POST",
        url: str = "",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        self.method, self.url, self.body = method, url, body
        named: dict[str, str] = {}
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            lower = name.lower()
            named[lower] = f"{named[lower]},{value}" if lower in named else value
        self.headers = named
        self._json: Any = _UNREAD
        self._form: list[tuple[str, str]] | None = None
        self._query: list[tuple[str, str]] | None = None

    def but(self, **changed: Any) -> HookRequest:
        """The same request with a different `method`, `url`, `headers` or `body`."""
        now = {"method": self.method, "url": self.url, "headers": self.headers, "body": self.body}
        return HookRequest(**(now | changed))

    def json(self) -> Any:
        """The body as JSON.

        Raises ValueError if it is not JSON, has a member twice (parsers differ on those), or too many values.
        """
        if self._json is _UNREAD:
            if has_too_many_values(self.body):
                raise ValueError(f"{TOO_MANY[0].lower()}{TOO_MANY[1:-1]}")
            self._json = jiter.from_json(self.body, allow_inf_nan=False, catch_duplicate_keys=True)
        return self._json

    def remember(self, value: Any) -> None:
        """Set what `json` returns, for a body that was parsed just as strictly elsewhere."""
        self._json = value

    def form(self) -> list[tuple[str, str]]:
        """The fields of a urlencoded or multipart body, in order; empty if the body is neither."""
        if self._form is None:
            kind = self.headers.get("content-type", "")
            if kind[:10].lower() == "multipart/":
                self._form = [(part.name, part.text()) for part in parts_of(kind, self.body) if part.filename is None]
            else:
                self._form = _pairs(self.body.decode("utf-8", "replace"))
        return self._form

    def query(self) -> list[tuple[str, str]]:
        """The parameters of the URL's query, in order."""
        if self._query is None:
            self._query = _pairs(self.url.partition("#")[0].partition("?")[2])
        return self._query


class _Unread:
    """The body was not parsed yet."""


_UNREAD = _Unread()


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        return []


compact_json = partial(json.dumps, separators=(",", ":"), ensure_ascii=False)
"""JSON as most senders write it: without spaces and without unnecessary escapes."""
