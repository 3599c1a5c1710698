"""Figures `console-*` and `portal-*`: every page over a month of traffic, its bytes, and what ten watchers cost."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlencode

from benchmarks.context import Context
from benchmarks.filling import fill
from benchmarks.hold import Shape, one_run, whole_rate
from benchmarks.numbers import median
from benchmarks.processes import ask
from benchmarks.server import KEY, Server, running
from benchmarks.table import Row
from tidings.web.console.pages.table import PAGES

EVENTS, QUICK_EVENTS = 10_000_000, 200_000
LINKS = 1_000
ROUNDS = 20
SLOWEST_SHOWN = 8
TENANT = "tenant0"
"""Its first endpoint fails, and it has 50."""
WATCHERS = 10
TURN_SECONDS, TURNS = 8, 5


def sqlite(context: Context) -> list[Row]:
    """The pages over 10 million events and 30 million attempts, on SQLite."""
    return _pages(context, "")


def postgres(context: Context) -> list[Row]:
    """The same on PostgreSQL."""
    return _pages(context, context.postgres.database())


def _pages(context: Context, database: str) -> list[Row]:
    events = QUICK_EVENTS if context.quick else EVENTS
    folder = context.new_folder()
    server = Server(folder, database)
    server.start()
    for number in range(LINKS):
        url = context.sink.url(f"/ok/console/{number}")
        server.call("POST", "/v1/endpoints", {"url": url, "tenant": f"tenant{number % 20}"})
    server.stop()
    fill(folder, database, events, LINKS, context.say)
    server.start()
    try:
        visitor = Visitor(server.port)
        paths = _paths(visitor)
        p95 = _p95(context, "/console", visitor.get, paths)
        first_visit = visitor.first_visit()
        customer = Customer(server)
        portal = _p95(context, "/portal", customer.get, customer.paths())
    finally:
        server.stop()
    context.throw_away(folder)
    engine = "-postgres" if database else ""
    stored = f"{events:,} events, {3 * events:,} attempts, {LINKS:,} endpoints"
    rows = []
    for of, each in (("console", p95), ("portal", portal)):
        slowest = max(each, key=lambda path: each[path])
        note = f"{len(each)} pages, {stored}; the slowest is {slowest or 'the first'}"
        rows.append(Row(f"{of}-page{engine}", each[slowest], None, note=note, details={"p95_ms": each}))
    if not database:
        rows.append(Row("console-bytes", first_visit / 1000, None, note="the first page with all its files, as sent"))
    return rows


def _p95(context: Context, root: str, get: Callable[[str], object], paths: Sequence[str]) -> dict[str, float]:
    """Of each page the p95, in ms, of ROUNDS visits; the pages in turn."""
    took: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(ROUNDS):
        for path in paths:
            begun = time.perf_counter()
            get(path)
            took[path].append((time.perf_counter() - begun) * 1000)
    p95 = {path: sorted(each)[int(len(each) * 0.95) - 1] for path, each in took.items()}
    for path in sorted(p95, key=lambda path: -p95[path])[:SLOWEST_SHOWN]:
        context.say(f"{root}{path}: p50 {median(took[path]):,.0f} ms, p95 {p95[path]:,.0f} ms")
    return p95


def _paths(visitor: Visitor) -> list[str]:
    """Every page that can be reached by clicks, with the filters that people use."""
    fixed = [each.path for each in PAGES if not each.is_action and "{" not in each.path]
    found = [
        *fixed,
        "/endpoints?state=failing",
        "/deliveries?state=dead",
        "/deliveries?state=waiting",
        "/events?type=bench.type7",
        "/events?tenant=tenant7",
    ]
    for path in (
        "/endpoints",
        "/endpoints?state=failing",
        "/deliveries",
        "/deliveries?state=dead",
        "/events",
        "/tenants",
        "/keys",
        "/types",
    ):
        link = re.search(rf'href="/console({path.partition("?")[0]}/[A-Za-z0-9_.:-]+)"', visitor.get(path))
        if link:
            found.append(link[1])
    return list(dict.fromkeys(found))


class Visitor:
    """A browser without its window: one connection, signed in."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        origin = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
        headers = {**origin, "Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", "/console/sign-in", urlencode({"key": KEY}), headers)
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("set-cookie") or "").partition(";")[0]

    def get(self, path: str) -> str:
        """A page below /console. Raises RuntimeError unless it is answered 200."""
        status, body, _ = self._get(f"/console{path}")
        if status != 200:
            raise RuntimeError(f"{path} was answered {status}: {body[:300]!r}")
        return body.decode()

    def first_visit(self) -> int:
        """Bytes of the first page and all the files that it names, as they are sent."""
        _, page, size = self._get("/console")
        for url in set(re.findall(r'(?:src|href)="(/console/[^"]+\.(?:js|css|svg|woff2|png))"', page.decode())):
            size += self._get(url)[2]
        return size

    def follow(self, stop: threading.Event) -> None:
        """Watch the page Now until `stop`."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        connection.request("GET", "/console/live?page=", headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        while not stop.is_set() and answer.readline():
            pass
        connection.close()

    def _get(self, url: str) -> tuple[int, bytes, int]:
        self._connection.request("GET", url, headers={"Cookie": self._cookie, "Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        body = answer.read()
        is_packed = answer.getheader("content-encoding") == "gzip"
        return answer.status, gzip.decompress(body) if is_packed else body, len(body)


class Customer:
    """A tenant's person with a portal link, opened."""

    def __init__(self, server: Server) -> None:
        made = server.call("POST", f"/v1/tenants/{TENANT}/portal-links", {"may": "change"})
        self._port, self._root = server.port, f"/portal/{made['id']}"
        token = made["url"].partition("#")[2]
        self._headers = {"HX-Request": "true"}
        status, body = ask(self._port, "POST", f"{self._root}/@/session", {"token": token}, headers=self._headers)
        if status != 201:
            raise RuntimeError(f"the portal link was answered {status}: {body[:300]!r}")
        self._headers |= {"Authorization": f"Bearer {json.loads(body)['session']}"}

    def get(self, path: str) -> str:
        """What goes inside the frame. Raises RuntimeError unless it is answered 200."""
        status, body = ask(self._port, "GET", self._root + path, headers=self._headers)
        if status != 200:
            raise RuntimeError(f"{path} was answered {status}: {body[:300]!r}")
        return body.decode()

    def paths(self) -> list[str]:
        """Every page, with the filters that people use; the first endpoint and the last, of which one fails."""
        found = ["", "/log", "/log?state=dead", "/log?state=waiting", "/log?status=503", "/types", "/verify", "/add"]
        pages = self.get(""), self.get("/log")
        for pattern, page in ((r"/endpoints/ep_\w+", pages[0]), (r"/log/dlv_\w+", pages[1])):
            every = list(dict.fromkeys(re.findall(pattern, page)))
            found += list(dict.fromkeys([*every[:1], *every[-1:]]))
        return found


def watchers(context: Context) -> list[Row]:
    """One server at full speed, in turns with nobody and with ten people who look at the page Now."""
    folder = context.new_folder()
    seconds = 3 if context.quick else TURN_SECONDS
    alone: list[float] = []
    watched: list[float] = []
    with running(folder) as server:
        server.register(context.sink, "/ok/console/watched")
        one_run(context, server, Shape(), seconds)
        for _ in range(2 if context.quick else TURNS):
            alone.append(whole_rate(one_run(context, server, Shape(), seconds)))
            with _watched(server.port):
                watched.append(whole_rate(one_run(context, server, Shape(), seconds)))
            context.say(f"watchers: {alone[-1]:,.0f}/s without, {watched[-1]:,.0f}/s with")
    context.throw_away(folder)
    percent = median([100 * with_them / without for with_them, without in zip(watched, alone, strict=True)])
    note = f"{median(watched):,.0f}/s with them, {median(alone):,.0f}/s without; the reference is without"
    return [Row("console-watchers", percent, 100.0, note=note, details={"with": watched, "without": alone})]


@contextmanager
def _watched(port: int) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=Visitor(port).follow, args=(stop,), daemon=True) for _ in range(WATCHERS)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()
