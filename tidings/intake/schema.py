"""Check event data against the JSON Schema (2020-12 and its forerunners) of its type."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import msgspec

from tidings.model.errors import Place
from tidings.model.event import EventType
from tidings.rules.reading.schema import Validator, compiled, places, too_costly
from tidings.rules.reading.schema_cost import WEIGHT_MAX

COMPILED_MAX = 1_000

log = logging.getLogger("tidings.intake")


class Schemas:
    """Compiled schemas, by event type and revision. Belongs to one thread."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[tuple[str, int], Validator] = OrderedDict()

    def check(self, kind: EventType, data: Any, text: bytes | memoryview, pointer: str) -> list[Place]:
        """The places where `data` violates its type's schema; `text` is its JSON, `pointer` its location in the
        body."""
        assert kind.schema is not None
        name = (kind.name, kind.revision)
        validator = self._compiled.get(name)
        if validator is None:
            validator = self._compiled[name] = compiled(msgspec.json.decode(kind.schema))
            weight = max(validator.cost.top, validator.cost.below)
            if weight > WEIGHT_MAX:
                log.warning("the schema of %s takes %d checks per value: large events are refused", kind.name, weight)
            if len(self._compiled) > COMPILED_MAX:
                self._compiled.popitem(last=False)
        if validator.costly(text, data):
            return [Place(pointer=pointer, code="too_costly", detail=too_costly(validator.cost))]
        return places(validator, data, pointer)
