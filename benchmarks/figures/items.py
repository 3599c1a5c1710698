"""Figures `item-*`: items created, each with its event; read by id; listed by an indexed filter; the last page."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode

from benchmarks.context import Context
from benchmarks.generator import Load
from benchmarks.numbers import median
from benchmarks.processes import Others, run_load, thread_uses
from benchmarks.server import KEY, Server, ServerFailed, running
from benchmarks.table import Row

ORDERS: dict[str, Any] = {
    "fields": {
        "number": {"type": "integer", "required": True, "filterable": True, "sortable": True},
        "status": {"type": "enum", "values": ["new", "paid", "sent"], "default": "new", "filterable": True},
        "customer": {"type": "string", "max": 100, "filterable": True},
        "total": "number",
        "note": "string",
        "lines": "array",
    }
}
BODY = (
    '{"number":1%09d,"customer":"c%020d","status":"paid","total":74.9,'
    '"note":"Leave it with the neighbours at number 12, please.",'
    '"lines":[{"sku":"BK-0417","title":"Field notes, plain","count":2,"price":1295},'
    '{"sku":"PN-1120","title":"Fountain pen, medium nib","count":1,"price":4900}]}'
)
"""An item of about 300 bytes; its two open places are the number and the time of sending."""
STORED, QUICK_STORED = 100_000, 5_000
MANY, QUICK_MANY = 1_000_000, 20_000
PER_CUSTOMER = 50
BATCH = 1_000
LISTED = 20
ROUNDS = 200


def create(context: Context) -> list[Row]:
    """64 connections, each creating an item as soon as the last was answered; SQLite with full sync."""
    folder = context.new_folder()
    before = context.reference()
    with running(folder) as server:
        _declare(server)
        report, details = _loaded(context, server, _request("POST", "/v1/items/orders", BODY), 0)
    context.throw_away(folder)
    return [_row("item-create", report, details, [before, context.reference()])]


def read(context: Context) -> list[Row]:
    """By id, and 20 of those of one customer, newest first; 100,000 items stored."""
    folder, stored = context.new_folder(), QUICK_STORED if context.quick else STORED
    rows = []
    with running(folder) as server:
        _declare(server)
        _fill(server, stored)
        asked = {
            "item-get": ("/v1/items/orders/b%d", stored),
            "item-list": (f"/v1/items/orders?customer=c%d&limit={LISTED}", stored // PER_CUSTOMER),
        }
        for name, (path, among) in asked.items():
            before = context.reference()
            report, details = _loaded(context, server, _request("GET", path), among)
            rows.append(_row(name, report, details, [before, context.reference()]))
    context.throw_away(folder)
    return rows


def last_page(context: Context) -> list[Row]:
    """The time of the last page by cursor in percent of the first one's, turn by turn, for two orders."""
    folder, stored = context.new_folder(), QUICK_MANY if context.quick else MANY
    with running(folder) as server:
        _declare(server)
        _fill(server, stored)
        shares, details = [], {}
        for sort in ("-created", "number"):
            firsts, lasts = _page_times(server, sort)
            shares.append(100 * median(lasts) / median(firsts))
            details[sort] = {"first_ms": median(firsts) * 1000, "last_ms": median(lasts) * 1000}
    context.throw_away(folder)
    note = ", ".join(
        f"{sort}: {each['last_ms']:.2f} against {each['first_ms']:.2f} ms" for sort, each in details.items()
    )
    return [Row("item-last-page", max(shares), 100.0, note=f"{stored:,} stored; {note}", details=details)]


def _declare(server: Server) -> None:
    server.call("PUT", "/v1/collections/orders", ORDERS)


def _fill(server: Server, count: int) -> None:
    """Store items b0, b1 ... with PER_CUSTOMER of each customer."""
    customers = max(1, count // PER_CUSTOMER)
    for start in range(0, count, BATCH):
        operations = [
            {"op": "create", "id": f"b{n}", "data": {"number": n, "customer": f"c{n % customers}", "total": n / 7}}
            for n in range(start, min(start + BATCH, count))
        ]
        server.call("POST", "/v1/items/orders:batch", {"operations": operations})


def _request(method: str, path: str, body: str = "") -> str:
    """A whole request with two open places, one for the number and one for the time."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAUTHORIZATION\r\n"
    if not body:
        return head + "X-Sent: %020d\r\n\r\n"
    return head + f"Content-Type: application/json\r\nContent-Length: {len(body % (0, 0))}\r\n\r\n" + body


def _loaded(context: Context, server: Server, request: str, among: int) -> tuple[dict[str, Any], dict[str, Any]]:
    before, others = thread_uses(server.pid), Others(context.postgres.pid)
    load = Load(
        port=server.port, path="", run=1, seconds=context.seconds, authorization=KEY, request=request, among=among
    )
    report = run_load(load)
    used = sum(use.since(before.get(name)).seconds for name, use in thread_uses(server.pid).items())
    details = {
        "answer_ms": report["answer_ms"],
        "refused": report["refused"],
        "server_us": used / max(1, report["accepted"]) * 1e6,
        "other_programs_percent": round(others.percent(report["cpu_seconds"])),
    }
    return report, details


def _row(name: str, report: dict[str, Any], details: dict[str, Any], references: list[float]) -> Row:
    speed = int(report["accepted"]) / (int(report["ended_ns"]) - int(report["started_ns"])) * 1e9
    note = f"p99 {details['answer_ms'].get('p99', 0):,.0f} ms, others {details['other_programs_percent']} %"
    return Row(name, speed, median(references), fair=not report["refused"], note=note, details=details)


def _page_times(server: Server, sort: str) -> tuple[list[float], list[float]]:
    """Seconds of the first and of the last page, turn by turn."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    cursor, last = None, None
    while True:
        page = _asked(connection, {"sort": sort, "limit": BATCH, **({"cursor": cursor} if cursor else {})})[0]
        if page["next_cursor"] is None:
            break
        last, cursor = cursor, page["next_cursor"]
    firsts, lasts = [], []
    for _ in range(ROUNDS):
        firsts.append(_asked(connection, {"sort": sort, "limit": LISTED})[1])
        lasts.append(_asked(connection, {"sort": sort, "limit": LISTED, "cursor": last or cursor})[1])
    connection.close()
    return firsts, lasts


def _asked(connection: http.client.HTTPConnection, query: dict[str, Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    connection.request("GET", f"/v1/items/orders?{urlencode(query)}", headers={"Authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - begun
    if answer.status != 200:
        raise ServerFailed(f"a page was answered {answer.status}: {body[:300]!r}")
    return json.loads(body), seconds
