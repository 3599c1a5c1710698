"""Bodies of events, kept while several links send the same event."""

from __future__ import annotations

from functools import lru_cache

from tidings.model.event import Event
from tidings.model.link import Body
from tidings.rules.deliver import bodies

KEPT_BYTES_MAX = 4 * 1024 * 1024


class BodyCache:
    """Bodies by event, form and fields. Belongs to the deliver thread."""

    def __init__(self, source: str) -> None:
        """`source`: the `source` attribute of CloudEvents."""
        self._source = source
        self._kept: dict[tuple[int, str, tuple[str, ...] | None], bytes] = {}
        self._bytes = 0

    def of(self, event: Event, form: Body, fields: tuple[str, ...] | None) -> bytes:
        """The body of one event. `fields`: paths of its data; only these are sent."""
        key = (event.seq, form, fields)
        body = self._kept.get(key)
        if body is None:
            chosen = None if fields is None else _chosen(fields)
            body = bodies.body(event, form, self._source, chosen)
            self._bytes += len(body)
            if self._bytes > KEPT_BYTES_MAX:
                self._kept.clear()
                self._bytes = len(body)
            self._kept[key] = body
        return body


_chosen = lru_cache(maxsize=256)(bodies.choose)
