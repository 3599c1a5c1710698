"""The one table of the console's pages. A new list of them joins with one line."""

from __future__ import annotations

from tidings.web.console.pages import now
from tidings.web.console.visit import PageRow

PAGES: tuple[PageRow, ...] = (*now.PAGES,)
