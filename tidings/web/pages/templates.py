"""Templates: they are ours and trusted, but their data is hostile. Everything is escaped, and no text can hide or
reverse others.

Each folder of templates can also use those of this one: `page.html` is the frame, `parts.html` has the macros.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from minijinja import Environment, safe

from tidings.web.pages import assets

JSON_CHARS_MAX = 64 * 1024
"""A page shows at most this many characters of a text."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Characters that are invisible, or that change the direction of others."""
_NOT_IN_TIME = re.compile("[^0-9TZ:.-]")


class Templates:
    """The templates of a package's folder `templates/`, together with the shared ones."""

    def __init__(self, package: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._package = package
        self._filters: dict[str, Callable[..., Any]] = {**_FILTERS, **(filters or {})}

    def render(self, name: str, **values: Any) -> str:
        """A template as HTML."""
        html: str = self._environment.render_template(name, **values)
        return html

    @functools.cached_property
    def _environment(self) -> Environment:
        """Made for the first page, so that a server that shows none starts faster."""
        environment = Environment(
            undefined_behavior="lenient",
            trim_blocks=True,
            lstrip_blocks=True,
            finalizer=_shown,
            filters=self._filters,
            globals={"asset": lambda name: f"{assets.FOLDER}/{assets.names()[name]}"},
        )
        for folder in (files("tidings.web.pages"), files(self._package)):
            _add(environment, folder / "templates")
        return environment


def _add(environment: Environment, folder: Traversable) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            _add(environment, each)
        elif each.name.endswith(".html"):
            environment.add_template(each.name, each.read_text("utf-8"))


def visible(value: Any) -> Any:
    """A value as shown: None as nothing, and invisible characters as their codes."""
    if value is None or value is msgspec.UNSET:
        return ""
    if type(value) is str:
        return value if value.isascii() and value.isprintable() else _HIDDEN.sub(_code, value)
    return value


def _shown(value: Any) -> Any:
    """The last filter of every `{{ }}`. MiniJinja's own escaping would turn each slash of a URL into six characters."""
    value = visible(value)
    return safe(escape(value)) if type(value) is str else value


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return chr(0x2400 + number) if number < 0x20 else f"[U+{number:04X}]"


def pretty(value: Any) -> str:
    """JSON with one member per line, and numbers exactly as they were sent; other texts unchanged."""
    text = value if isinstance(value, str) else bytes(value).decode() if _is_raw(value) else _encoded(value)
    if len(text) > JSON_CHARS_MAX:
        return text[:JSON_CHARS_MAX]
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text


def _is_raw(value: Any) -> bool:
    return isinstance(value, msgspec.Raw | bytes)


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def time(value: Any) -> str:
    """A time of the API as `<time>`: in UTC, to the second; page.js shows how long ago that is."""
    return _time(value, "")


def exact(value: Any) -> str:
    """A time of the API as `<time>`, to the millisecond, which page.js leaves exact."""
    return _time(value, " data-exact")


def _time(value: Any, more: str) -> str:
    if not isinstance(value, str):
        return ""
    at = _NOT_IN_TIME.sub("", value)
    return safe(f'<time datetime="{at}"{more}>{at[:10]} {at[11:19]} UTC</time>')


def number(value: Any) -> str:
    """`12,043`; nothing for None."""
    return "" if value is None or value is msgspec.UNSET else f"{value:,}"


def milliseconds(value: Any) -> str:
    """`48 ms`, `1.2 s`."""
    if value is None:
        return ""
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.1f} s"


def size(value: Any) -> str:
    """`512 B`, `1.4 MB`."""
    if value is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:,.1f} {unit}"
        value /= 1000
    raise AssertionError


def url(path: str, **query: Any) -> str:
    """A path with a query, without the parameters that have no value."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def step(value: Any) -> str:
    """One step of a path, encoded."""
    return quote(str(value), safe="")


_FILTERS: dict[str, Callable[..., Any]] = {
    "pretty": pretty,
    "time": time,
    "exact": exact,
    "number": number,
    "ms": milliseconds,
    "size": size,
    "step": step,
    "url": url,
}
