"""What a page of the portal is: a function that takes a visit and returns what to show, or where to go next.

Pages read data, and actions change it, only through operations of the menu, with the session's own key.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tidings.model.access import Key
from tidings.model.portal.link import PortalLink
from tidings.web.inside import Menu
from tidings.web.parts import Parts

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class PortalVisit:
    """One request for a page or an action, by somebody with a session."""

    parts: Parts
    menu: Menu
    key: Key
    link: PortalLink
    root: str
    """The path of the portal's first page: `/portal/ptl_...`."""
    path: Mapping[str, str]
    """The values of the `{names}` in the page's path."""
    query: Mapping[str, str]
    posted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The fields of the submitted form; a field may have several values."""
    request_id: str = ""

    @property
    def may_change(self) -> bool:
        """Whether the session may change anything: only then are there buttons for it."""
        return self.link.options.may == "change"

    async def ask(self, name: str, path: Mapping[str, str] | None = None, **query: Any) -> Any:
        """The body of an operation's response. Raises what the API would return as a problem."""
        answer = await self.menu.run(self.key, name, path=path, query=query, request_id=self.request_id)
        return answer.body

    async def do(
        self, name: str, path: Mapping[str, str] | None = None, body: Any = None, revision: int | None = None
    ) -> Any:
        """Change something; returns the body of the response.

        `revision`: the one to overwrite. Raises as `ask` does.
        """
        headers = {} if revision is None else {"if-match": f'"{revision}"'}
        answer = await self.menu.run(self.key, name, path=path, body=body, headers=headers, request_id=self.request_id)
        return answer.body

    def field(self, name: str) -> str:
        """The value of a posted field without the spaces around it; empty if it was not sent."""
        values = self.posted.get(name, ())
        return values[-1].strip() if values else ""

    def to(self, *steps: str) -> str:
        """The path of another page of this portal."""
        return self.root + "".join(f"/{quote(step, safe='')}" for step in steps)


@dataclass(frozen=True, slots=True)
class PortalView:
    """What a page shows. `sentence` answers its question, `state` colours the dot before it."""

    template: str
    title: str
    sentence: str = ""
    state: str = ""
    nav: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Next:
    """After an action: the page to show, by its path below the root, and the notice that it shows first."""

    path: str
    notice: str = ""


Run = Callable[[PortalVisit], Awaitable[PortalView | Next]]


@dataclass(frozen=True, slots=True)
class PortalPage:
    """A row of the portal's table."""

    path: str
    run: Run
    is_action: bool = False


class PortalPages:
    """The table, found by path."""

    def __init__(self, pages: Sequence[PortalPage]) -> None:
        self._rows = [(_pattern(each.path), each) for each in pages]

    def find(self, path: str, *, is_action: bool) -> tuple[PortalPage, dict[str, str]] | None:
        """The page at a path below the root, with the values of its names."""
        for pattern, row in self._rows:
            if row.is_action == is_action and (match := pattern.fullmatch(path)):
                return row, match.groupdict()
        return None


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    pieces = _NAME.split(path)
    return re.compile("".join(f"(?P<{each}>[^/]+)" if at % 2 else re.escape(each) for at, each in enumerate(pieces)))
