"""Views as HTML: the frame around them, the menu, the theme, and the pages for signing in and for errors."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from tidings import __version__
from tidings.model.access import Key
from tidings.model.errors import TidingsError
from tidings.web.console.kept import said
from tidings.web.console.visit import PageRow, View
from tidings.web.pages.templates import Templates

THEME_COOKIE = "tidings_theme"
THEMES = ("auto", "light", "dark")
THEME_SECONDS = 365 * 86_400
FRAME, PART = "page.html", "part.html"

NAV: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...] = (
    ("", (("now", "", "Now", ""),)),
    (
        "Sending",
        (
            ("endpoints", "/endpoints", "Endpoints", "endpoints:read"),
            ("deliveries", "/deliveries", "Deliveries", "deliveries:read"),
            ("events", "/events", "Events", "events:read"),
            ("links", "/links", "Links", "links:read"),
        ),
    ),
    (
        "Receiving",
        (
            ("hooks", "/hooks", "Hooks", "hooks:read"),
            ("forms", "/forms", "Forms", "forms:read"),
        ),
    ),
    (
        "Data",
        (
            ("items", "/items", "Items", ""),
            ("types", "/types", "Types", "event-types:read"),
        ),
    ),
    (
        "Server",
        (
            ("tenants", "/tenants", "Tenants", "tenants:read"),
            ("keys", "/keys", "Keys", "keys:read"),
            ("jobs", "/jobs", "Jobs", "replays:read"),
            ("server", "/server", "Server", "metrics:read"),
            ("acts", "/acts", "Acts", "acts:read"),
        ),
    ),
)
"""The groups of the menu: for each page, its name, path and title, and the scope without which it shows nothing."""


_NOTHING: dict[str, Any] = {"actions": [], "fields": [], "tabs": [], "new": None, "bulk": None, "charts": []}
"""The values that a view of a shared template may omit."""


class Renderer:
    """Renders. `root`: the path of the console from outside."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._templates = Templates("tidings.web.console")

    def view(
        self,
        headers: Mapping[str, str],
        key: Key,
        here: str,
        row: PageRow,
        view: View,
        notice: str,
        *,
        is_partial: bool,
    ) -> str:
        """A whole page, or only what is inside the frame."""
        return self._render(
            view.template,
            headers,
            key,
            here,
            layout=PART if is_partial else FRAME,
            nav=row.nav,
            live=here[len(self._root) :] if row.live else None,
            notice=notice,
            **_said(view),
        )

    def fragment(self, key: Key, row: PageRow, view: View) -> str:
        """A page as it is redrawn for all its viewers."""
        return self._render(view.template, {}, key, "", layout=PART, nav=row.nav, live=None, notice="", **_said(view))

    def problem(
        self, headers: Mapping[str, str], key: Key | None, here: str, wrong: TidingsError, *, is_partial: bool
    ) -> str:
        """The page that says why something was not done, with every wrong value."""
        return self._render(
            "problem.html",
            headers,
            key,
            here,
            layout=PART if is_partial else FRAME if key is not None else "bare.html",
            nav="",
            live=None,
            notice="",
            title=wrong.title,
            sentence=wrong.detail,
            state="attention",
            places=[{"at": at, "text": text} for at, text in map(said, wrong.errors[:20]) if text != wrong.detail],
            without=here.partition("?")[0] if "?" in here else "",
        )

    def sign_in(self, headers: Mapping[str, str], to: str, wrong: str) -> str:
        """The page that asks for a key."""
        return self._render("sign-in.html", headers, None, "", layout="bare.html", title="Sign in", to=to, wrong=wrong)

    def again(self, headers: Mapping[str, str], here: str) -> str:
        """A page that reloads itself, so that the request then comes from one of our own pages."""
        return self._render("again.html", headers, None, here, layout="bare.html", title="One moment")

    def theme_cookie(self, posted: Mapping[str, str], is_secure: bool) -> tuple[str, str]:
        """The header that keeps the chosen theme."""
        theme = posted.get("theme", "")
        chosen = theme if theme in THEMES else THEMES[0]
        secure = "; Secure" if is_secure else ""
        attributes = f"Path={self._root}; Max-Age={THEME_SECONDS}; SameSite=Strict{secure}"
        return ("set-cookie", f"{THEME_COOKIE}={chosen}; {attributes}")

    def _render(self, template: str, headers: Mapping[str, str], key: Key | None, here: str, **values: Any) -> str:
        return self._templates.render(
            template,
            root=self._root,
            here=here,
            theme=_theme(headers.get("cookie", "")),
            themes=THEMES,
            version=__version__,
            who=None if key is None else {"name": key.name or key.id, "tenant": key.tenant, "id": key.id},
            menu=[] if key is None else _menu(key),
            product="Tidings",
            **values,
        )


def _said(view: View) -> dict[str, Any]:
    return {**_NOTHING, "title": view.title, "sentence": view.sentence, "state": view.state, **view.values}


def _menu(key: Key) -> list[dict[str, Any]]:
    """The menu, without pages that would show this key nothing."""
    groups = []
    for title, entries in NAV:
        seen = [
            {"name": name, "path": path, "title": text}
            for name, path, text, scope in entries
            if not scope or key.has_scope(scope)
        ]
        if seen:
            groups.append({"title": title, "entries": seen})
    return groups


def _theme(cookies: str) -> str:
    try:
        found = SimpleCookie(cookies).get(THEME_COOKIE)
    except CookieError:
        return THEMES[0]
    return found.value if found is not None and found.value in THEMES else THEMES[0]
