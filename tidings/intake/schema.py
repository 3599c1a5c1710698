"""Check event data against the JSON Schema (2020-12 and its forerunners) of its type."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from tidings.model.errors import Place
from tidings.model.event import EventType
from tidings.rules.schema import compiled, places

COMPILED_MAX = 1_000


class Schemas:
    """Compiled schemas, by event type and revision. Belongs to one thread."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def check(self, kind: EventType, data: Any, pointer: str) -> list[Place]:
        """The places where `data` differs from the type's schema; `pointer` is where the data stands."""
        assert kind.schema is not None
        name = (kind.name, kind.revision)
        validator = self._compiled.get(name)
        if validator is None:
            validator = self._compiled[name] = compiled(msgspec.json.decode(kind.schema))
            if len(self._compiled) > COMPILED_MAX:
                self._compiled.popitem(last=False)
        if validator.is_valid(data):
            return []
        return places(validator, data, pointer)
