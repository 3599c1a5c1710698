"""Figure `idle-links`: what a thousand links that have nothing to do cost webhooks."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.paired import paired_speeds
from benchmarks.server import Server, running
from benchmarks.table import Row

LINKS = 1_000
BATCH = 100


def idle_links(context: Context) -> list[Row]:
    """Two servers side by side, one with a thousand links: half wait for a time of day, half for an event; in turns."""
    without_folder, with_folder = context.new_folder(), context.new_folder()
    with running(without_folder) as without, running(with_folder) as having:
        _declare(having, 50 if context.quick else LINKS)
        without.register(context.sink, "/ok/idle-links/without")
        having.register(context.sink, "/ok/idle-links/with")
        pairs = paired_speeds(context, without, having)
    for folder in (without_folder, with_folder):
        context.throw_away(folder)
    note = f"{pairs.second:,.0f}/s with them, {pairs.first:,.0f}/s without; the reference is without"
    fair = not pairs.missing
    return [Row("idle-links", pairs.percent, 100.0, fair=fair, note=note, details=pairs.details())]


def _declare(server: Server, count: int) -> None:
    server.call("PUT", "/v1/connections/far", {"base": "http://127.0.0.1:9"})
    for number in range(count):
        when = {"cron": "0 3 * * *", "tz": "Europe/Berlin"} if number % 2 else {"event": f"idle.type{number}"}
        call = {"via": "far", "post": "/x", "json": {"id": "{{ id }}"}}
        server.call("PUT", f"/v1/links/idle-{number}", {"when": when, "call": call})
