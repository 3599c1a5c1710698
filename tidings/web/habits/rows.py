"""The rows of the menu that many nouns share: list, create, read, put, edit, delete, and other actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tidings.web.habits.paging import PAGING, SortKey
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, IF_NONE_MATCH_OF_PUT
from tidings.web.operation import Handler, Operation, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """What these rows have in common. Anything else, such as `help`, is passed on to the Operation."""

    name: str
    """The singular, as in the names of operations, such as `event_type`; the plural is `event_types`."""
    path: str
    """The path of one thing, such as `/v1/event-types/{name}`."""
    tag: str
    view: type[msgspec.Struct]
    whole_to_write: bool = False
    """Whether only server-wide keys may change things of this kind."""

    @property
    def _all(self) -> str:
        return self.path.rpartition("/")[0]

    def lists(
        self,
        handler: Handler,
        response: type[msgspec.Struct],
        sorts: Mapping[str, SortKey],
        parameters: tuple[Parameter, ...] = (),
        **more: Any,
    ) -> Operation:
        """The row of a list, sorted by the first of `sorts` by default."""
        return self._row(
            f"list_{self.name}s",
            "GET",
            self._all,
            handler,
            response=response,
            sorts=tuple(way for name in sorts for way in (name, f"-{name}")),
            sorts_max=len(sorts),
            parameters=(*parameters, *PAGING),
            **more,
        )

    def creates(self, handler: Handler, **more: Any) -> Operation:
        """The row of a POST that creates one."""
        named = f"create_{self.name}"
        return self._row(named, "POST", self._all, handler, status=201, idempotent_key=True, **more)

    def reads(self, handler: Handler, parameters: tuple[Parameter, ...] = (), **more: Any) -> Operation:
        """The row of a GET of one."""
        return self._row(f"get_{self.name}", "GET", self.path, handler, parameters=(*parameters, IF_NONE_MATCH), **more)

    def puts(self, handler: Handler, parameters: tuple[Parameter, ...] = (), **more: Any) -> Operation:
        """The row of a PUT that creates one, or replaces it."""
        return self._row(
            f"put_{self.name}",
            "PUT",
            self.path,
            handler,
            also=((201, f"The {self.name.replace('_', ' ')} was created."),),
            parameters=(*parameters, IF_MATCH, IF_NONE_MATCH_OF_PUT),
            **more,
        )

    def edits(self, handler: Handler, parameters: tuple[Parameter, ...] = (), **more: Any) -> Operation:
        """The row of a PATCH of one."""
        named, conditions = f"edit_{self.name}", (*parameters, IF_MATCH)
        return self._row(named, "PATCH", self.path, handler, merge_patch=True, parameters=conditions, **more)

    def deletes(self, handler: Handler, parameters: tuple[Parameter, ...] = (), **more: Any) -> Operation:
        """The row of a DELETE of one."""
        named, conditions = f"delete_{self.name}", (*parameters, IF_MATCH)
        return self._row(named, "DELETE", self.path, handler, response=None, status=204, parameters=conditions, **more)

    def does(self, verb: str, handler: Handler, **more: Any) -> Operation:
        """The row of a POST that does something with one, such as `:pause`."""
        return self._row(f"{verb}_{self.name}", "POST", f"{self.path}:{verb}", handler, **more)

    def does_to_all(self, verb: str, handler: Handler, **more: Any) -> Operation:
        """The row of a POST that does something with all of them, such as `:plan`."""
        return self._row(f"{verb}_{self.name}s", "POST", f"{self._all}:{verb}", handler, **more)

    def _row(self, name: str, method: str, path: str, handler: Handler, **more: Any) -> Operation:
        scope = f"{self._all.rpartition('/')[2]}:{'read' if method == 'GET' else 'write'}"
        whole = self.whole_to_write and method != "GET"
        row: dict[str, Any] = {"scope": scope, "tag": self.tag, "response": self.view, "whole": whole, **more}
        return Operation(name=name, method=method, path=path, handler=handler, **row)
