"""What a page is: one function that takes a visit and returns a view, one template, and one sentence at the top.

Pages read data, and actions change it, only through operations of the menu, with the visitor's own key.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tidings.model.access import Key
from tidings.model.errors import Forbidden, TidingsError
from tidings.web.inside import Menu
from tidings.web.parts import Parts

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class PageVisit:
    """One request for a page or an action, by somebody who is signed in."""

    parts: Parts
    menu: Menu
    key: Key
    path: Mapping[str, str]
    """The values of the `{names}` in the page's path."""
    query: Mapping[str, str]
    posted: Mapping[str, str] = field(default_factory=dict)
    """The fields of the submitted form."""
    request_id: str = ""

    async def get(self, name: str, path: Mapping[str, str] | None = None, /, **query: Any) -> Any:
        """The body of an operation's response. Raises what the API would return as a problem."""
        answer = await self.menu.run(self.key, name, path=path, query=query, request_id=self.request_id)
        return answer.body

    async def maybe(self, name: str, path: Mapping[str, str] | None = None, /, **query: Any) -> Any:
        """The body of an operation's response, as from `get`; None if the key may not run the operation."""
        if not self.menu.may(self.key, name):
            return None
        try:
            return await self.get(name, path, **query)
        except Forbidden:
            return None

    async def is_there(self, name: str, path: Mapping[str, str]) -> bool:
        """Whether an operation that reads one thing finds it for this key."""
        try:
            return await self.maybe(name, path) is not None
        except TidingsError:
            return False

    async def do(
        self,
        name: str,
        path: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        /,
        **query: Any,
    ) -> Any:
        """Change something; returns the body of the response."""
        answer = await self.menu.run(
            self.key, name, path=path, query=query, body=body, headers=headers, request_id=self.request_id
        )
        return answer.body

    def may(self, name: str) -> bool:
        """Whether the key may try an operation: only then is its button shown."""
        return self.menu.may(self.key, name)

    def filters(self, *names: str) -> dict[str, str]:
        """The parameters of these names that the URL has."""
        return {name: self.query[name] for name in names if self.query.get(name)}


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows. `sentence` answers its question; `title` names it in the browser's tab."""

    template: str
    title: str
    sentence: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    """The colour of the dot before the sentence: `ok`, `attention` or `trouble`; empty for no dot."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an action: the page to show next (below `/console`), and the notice that it shows first."""

    to: str
    notice: str = ""


Show = Callable[[PageVisit], Awaitable[View | Done]]
"""Shows a page; a page that only redirects to another one returns Done with its path."""
Act = Callable[[PageVisit], Awaitable[Done | View]]
"""Carries out an action; one that makes a secret returns a view of it, because the secret must not be kept anywhere."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row of the console's table. `nav`: the menu entry to mark; `live`: the page updates itself."""

    path: str
    run: Any
    nav: str = ""
    live: bool = False
    is_action: bool = False


def page(path: str, run: Show, nav: str = "", *, live: bool = False) -> PageRow:
    """A page at a path below `/console`, such as `/endpoints/{id}`."""
    return PageRow(path, run, nav, live)


def action(path: str, run: Act, nav: str = "") -> PageRow:
    """An action that a form posts to."""
    return PageRow(path, run, nav, is_action=True)


class PageTable:
    """The console's table of pages and actions, found by path."""

    def __init__(self, pages: Sequence[PageRow]) -> None:
        self._rows = [(_pattern(each.path), each) for each in pages]

    def find(self, path: str, *, is_action: bool) -> tuple[PageRow, dict[str, str]] | None:
        """The page at a path below `/console`, with the values of its names."""
        for pattern, row in self._rows:
            if row.is_action == is_action and (match := pattern.fullmatch(path)):
                return row, match.groupdict()
        return None


def to(*steps: str) -> str:
    """A path below `/console`, with its steps encoded."""
    return "".join(f"/{quote(each, safe='')}" for each in steps)


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    pieces = _NAME.split(path)
    return re.compile("".join(f"(?P<{p}>[^/]+)" if at % 2 else re.escape(p) for at, p in enumerate(pieces)))
