"""The server itself: its store and stages, what tenants share, the backup and the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tidings.rules.nodes.helping import PARTS
from tidings.web.console.lists import (
    code,
    detail,
    fact,
    many,
    number,
    row,
    size,
    state,
    table,
    text,
)
from tidings.web.console.visit import PageVisit, View, page

IN_BYTES = ("work", "bodies")
"""The shared resources that are measured in bytes."""


async def server(visit: PageVisit) -> View:
    """The server's store, stages and shares, and the servers that it shares its database with."""
    report, shares, inventory = await asyncio.gather(
        visit.get("get_health"), visit.maybe("list_shares"), visit.maybe("get_server")
    )
    stages, store = report.stages, report.store
    rows = [] if shares is None else [
        row("", text(each.of), _amount(each.of, each.used), _amount(each.of, each.total), text(_held(each)))
        for each in shares.data
    ]  # fmt: skip
    headings = ("Shared resource", "In use", "Limit", "Held back")
    return detail(
        "Server",
        "It accepts writes and sends." if store.accepts_writes else f"It refuses writes: {store.refusal}",
        ("", "Now"),
        state="ok" if store.accepts_writes and stages is not None and stages.deliver_alive else "trouble",
        tables=[
            *([] if inventory is None or not inventory.nodes else [_nodes(inventory.nodes)]),
            table(headings, rows, "Nothing is shared.", "What tenants share"),
        ],
        tabs=[{"text": "Sizes, backup and settings", "to": "/server/store"}] if inventory is not None else [],
        list_title="Store and stages",
        list=[
            fact("Accepts writes", "yes" if store.accepts_writes else "no"),
            fact("Free on its disk", "" if store.free_bytes is None else f"{store.free_bytes / 1e9:,.1f} GB"),
            fact("Delivers", "" if stages is None else "yes" if stages.deliver_alive else "no"),
            fact("Events not routed yet", "" if stages is None else f"{stages.unrouted_events:,}"),
            fact("Deliveries not reached yet", "" if stages is None else f"{stages.unseen_deliveries:,}"),
            fact("Endpoints", _modes(report.endpoints)),
            fact("Links", _modes(report.links)),
            fact("As of", report.time, "time"),
        ],
    )


def _nodes(found: Sequence[Any]) -> dict[str, Any]:
    """The servers on this database. One works alone, or one sends while others take in."""
    rows = [
        row(
            "",
            text(each.name),
            state(each.role, "is being drained" if each.draining else ""),
            text(each.version),
            code(each.address or ""),
            text(f"{each.seconds_ago:.0f} s ago"),
            text("" if each.parts is None else f"{each.parts} of {PARTS} parts"),
        )
        for each in found
    ]
    return table(
        ("Server", "Does", "Version", "Address", "Last heard", "Sends for"), rows, "", "Servers on this database"
    )


async def store(visit: PageVisit) -> View:
    """How large the store is, table by table; the last backup; and the settings in effect."""
    found = await visit.get("get_server")
    tables = [
        table(
            ("Table", "Rows", "With its indexes"),
            [
                row("", text(each.name), text(_rows(each)), text(_bytes(each)))
                for each in found.store.tables
                if each.rows
            ],
            "Nothing is stored.",
            "Tables",
        ),
        table(
            ("Setting", "Value", "From"),
            [row("", text(each.name), text(each.value), text(each.origin or "default")) for each in found.settings],
            "",
            "Settings in effect",
        ),
    ]
    backup = found.backup
    said = "The last backup was checked when it was made."
    said = said if backup.made else "There is no record of a backup made with `tidings backup`."
    return detail(
        "Store and settings",
        f"The store takes up {size(found.store.bytes)}. {said}",
        ("/server", "Server"),
        state="ok" if backup.made else "attention",
        tables=tables,
        list_first=True,
        list_title="Store and backup",
        list=[
            fact("Version", found.version),
            fact("Size", size(found.store.bytes)),
            fact("Free space inside", size(found.store.unused) if found.store.unused else ""),
            fact("Last backup", backup.made, "time"),
            fact("Its file", backup.file, "code"),
            fact("Key copied elsewhere", backup.key_copied, "time"),
            fact("Last trial restore", backup.tried, "time"),
            fact("File of that restore", backup.tried_file, "code"),
        ],
    )


def _rows(each: Any) -> str:
    about = "about " if each.is_estimate else ""
    return f"{about}{each.rows:,}{'+' if each.is_more else ''} row{'' if each.rows == 1 else 's'}"


def _bytes(each: Any) -> str:
    if each.bytes is None:
        return "unknown"
    return f"{'about ' if each.is_estimate else ''}{size(each.bytes)}"


def _amount(of: str, value: int) -> dict[str, Any]:
    if of not in IN_BYTES:
        return number(value)
    return {**number(0), "value": f"{value / 1e6:,.1f} MB"}


def _held(share: Any) -> str:
    """Tenants that were held back.

    The operator's own work is named only while it waits, since this page itself adds to it.
    """
    shown = [each for each in share.held_back if each.held or each.tenant][:5]
    return ", ".join(
        (each.tenant or "the operator") + ("" if each.held else f" ({many(each.refused, 'time')})") for each in shown
    )


def _modes(counts: Any) -> str:
    return f"{counts.enabled:,} enabled, {counts.paused:,} paused, {counts.disabled:,} disabled"


PAGES = (
    page("/server", server, "server", live=True),
    page("/server/store", store, "server"),
)
