"""`tidings acts`: who changed what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling
from tidings.cli.terminal.times import Since, Until, between
from tidings.client.calls import given
from tidings.model.moment import SystemClock

COLUMNS = {"time": "created", "key": "key_id", "operation": "operation", "about": "about", "changed": "changed"}
CHANGED_CHARS_MAX = 100


@calling
def acts(
    out: Session,
    about: Annotated[str | None, typer.Option(help="Show only changes to the object with this id or name.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Show only changes made with this key (its id).")] = None,
    operation: Annotated[
        str | None, typer.Option(help="Show only changes made by this operation, such as edit_endpoint.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List who changed what, newest first."""
    times = dict(zip(("time__gte", "time__lt"), between(since, until, SystemClock().now()), strict=True))
    query = given(about=about, key=by, operation=operation, **times)
    found: Iterator[Any] = iter(out.client.pages("/v1/acts", **query, limit=min(limit, PAGE_MAX)))
    out.list(found if out.as_json else map(_short, found), limit, COLUMNS, "There are no such acts.")


def _short(act: Mapping[str, Any]) -> dict[str, Any]:
    """An act as a row of the table, with what it is about and which members changed."""
    changes = act["changes"]
    names = [change["name"] for change in changes] or [act["path"]]
    more = f" and {act['changes_total'] - 1:,} more" if act["changes_total"] > 1 else ""
    members = [name for change in changes[:1] if change["before"] and change["after"] for name in change["after"]]
    return {**act, "about": names[0] + more, "changed": ", ".join(members)[:CHANGED_CHARS_MAX]}
