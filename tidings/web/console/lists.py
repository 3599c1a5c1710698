"""The parts of most pages: cells, tables, facts, buttons and fields, as their templates take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.moment import HOUR, Micros
from tidings.web.console.visit import PageVisit, View
from tidings.web.pages.templates import pretty
from tidings.web.pages.turning import PageLinks, page_links

LIMIT = 50
MOODS: Mapping[str, str] = {
    "enabled": "good",
    "delivered": "good",
    "accepted": "good",
    "done": "good",
    "ready": "good",
    "works": "good",
    "sends": "good",
    "takes in": "good",
    "paused": "warn",
    "waiting": "warn",
    "running": "warn",
    "repeated": "",
    "disabled": "bad",
    "failing": "bad",
    "dead": "bad",
    "refused": "bad",
    "gone": "bad",
}
"""How states are coloured."""

RESULTS = {"dns_failed": "DNS failed", "tls_failed": "TLS failed", "connect_failed": "connection failed"}

Cell = dict[str, Any]


def text(value: Any, note: Any = "", to: str = "") -> Cell:
    """A text, with a less prominent one below it."""
    return {"kind": "text", "value": value, "note": note, "to": to}


def code(value: Any, to: str = "") -> Cell:
    """An id, a path or the like."""
    return {"kind": "code", "value": value, "note": "", "to": to}


def when(value: Any) -> Cell:
    """A time of the API."""
    return {"kind": "time", "value": None if value is msgspec.UNSET else value, "note": "", "to": ""}


def number(value: Any, more: bool = False) -> Cell:
    """A count; `more`: it is at least this many."""
    shown = "" if value is None or value is msgspec.UNSET else f"{value:,}{'+' if more else ''}"
    return {"kind": "num", "value": shown, "note": "", "to": ""}


def state(value: str, note: Any = "") -> Cell:
    """A state as a coloured tag."""
    return {"kind": "tag", "value": value, "mood": MOODS.get(value, ""), "note": note, "to": ""}


def spark(hours: Sequence[Any], now: Micros) -> Cell:
    """Bars of delivered and failed attempts, hour by hour."""
    most = max((each.delivered + each.failed for each in hours), default=0)
    bars = []
    for each in hours:
        at = 23 - (now // HOUR - moment.from_text(each.time) // HOUR)
        if at < 0:
            continue
        whole = round(22 * (each.delivered + each.failed) / most) if most else 0
        bad = max(2, round(whole * each.failed / (each.delivered + each.failed))) if each.failed else 0
        bars.append({"x": at * 4, "height": max(whole, bad), "bad": bad})
    delivered, failed = sum(each.delivered for each in hours), sum(each.failed for each in hours)
    said = f"{delivered:,} delivered and {failed:,} failed attempts in 24 hours" if hours else "no attempts in 24 hours"
    return {"kind": "spark", "value": bars, "said": said, "note": "", "to": ""}


def table(headings: Sequence[str], rows: Sequence[Mapping[str, Any]], nothing: str, label: str = "") -> dict[str, Any]:
    """A table. Each row: `to`, the page that it opens, and `cells`, the first of which is its name."""
    return {"headings": headings, "rows": rows, "nothing": nothing, "label": label}


def row(to: str, *cells: Cell) -> dict[str, Any]:
    """A row of a table."""
    return {"to": to, "cells": cells}


def fact(label: str, value: Any, kind: str = "text", to: str = "") -> dict[str, Any]:
    """A line of a description. `kind`: text, code, time or tag."""
    return {"label": label, "value": value, "kind": kind, "to": to, "mood": MOODS.get(str(value), "")}


def button(
    to: str, said: str, kind: str = "", confirm: str = "", fields: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A button that posts to an action. `kind`: main or danger; `confirm`: the question to ask first."""
    return {"to": to, "text": said, "kind": kind, "confirm": confirm, "fields": fields or {}}


def field(name: str, label: str, value: Any = "", *, kind: str = "text", **more: Any) -> dict[str, Any]:
    """A field of a form. `kind`: text, long (`rows`), check or choose (`options`, `any`); `required`, `help`."""
    return {"kind": kind, "name": name, "label": label, "value": value, "required": False, "help": "", **more}


def filled(name: str, label: str, value: str = "", size: str = "") -> dict[str, Any]:
    """A filter by a text."""
    return {"kind": "text", "name": name, "label": label, "value": value, "size": size}


def chosen(name: str, label: str, value: str, options: Sequence[str], nothing: str = "any") -> dict[str, Any]:
    """A filter by one of a few values."""
    return {"kind": "choose", "name": name, "label": label, "value": value, "options": options, "any": nothing}


def listing(title: str, sentence: str, path: str, *tables: Mapping[str, Any], state: str = "", **more: Any) -> View:
    """A page that lists things. `more`: `fields`, the filters; `actions`; `new`, a form; `pages` and `tabs`."""
    values = {"path": path, "fields": [], "pages": PageLinks(), "tables": tables, **more}
    return View("list.html", title, sentence, values, state)


def detail(title: str, sentence: str, up: tuple[str, str], ident: str = "", *, state: str = "", **more: Any) -> View:
    """A page about one thing. `up`: the path and the name of its list. `more`: what templates/detail.html shows."""
    values: dict[str, Any] = {
        "actions": [],
        "secret": None,
        "charts": [],
        "story": [],
        "tables": [],
        "texts": [],
        "list_title": "About it",
        "list": [],
        "forms": [],
    }
    return View(
        "detail.html", title, sentence, {**values, "up": {"to": up[0], "text": up[1]}, "ident": ident, **more}, state
    )


def shown(title: str, content: Any, ident: str = "", note: str = "") -> dict[str, Any]:
    """A long text, such as JSON."""
    return {"title": title, "text": pretty(content), "id": ident, "note": note, "lines": []}


def form(
    title: str, to: str, said: str, fields: Sequence[Mapping[str, Any]], note: str = "", *, is_open: bool = False
) -> dict[str, Any]:
    """A form that can be opened, and the action that it posts to."""
    return {"title": title, "to": to, "text": said, "fields": fields, "note": note, "open": is_open}


def result(outcome: str, status: int | None = None) -> str:
    """The result of an attempt: `bad status 503`, `DNS failed`."""
    return f"{RESULTS.get(outcome) or outcome.replace('_', ' ')} {status or ''}".strip()


def many(count: int, noun: str, *, is_more: bool = False) -> str:
    """`1 key`, `12 keys`, `50+ keys`."""
    return f"{count:,}{'+' if is_more else ''} {noun}{'' if count == 1 and not is_more else 's'}"


def size(count: int) -> str:
    """Bytes as people read them."""
    if count < 1_000:
        return f"{count} bytes"
    unit, name = (1e9, "GB") if count >= 1e9 else (1e6, "MB") if count >= 1e5 else (1e3, "KB")
    return f"{count / unit:,.{0 if name == 'KB' else 1}f} {name}"


def pages(visit: PageVisit, path: str, found: Mapping[str, Any], *names: str, is_by_time: bool = False) -> PageLinks:
    """The links below a list to its other pages, with the same filters."""
    return page_links(path, visit.filters(*names), visit.query, found["next_cursor"], is_by_time=is_by_time)
