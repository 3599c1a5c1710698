"""The same at two nodes at once: one Idempotency-Key in pairs of requests, and increments of a few items."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.nodes.callers import Caller
from benchmarks.nodes.phases import ITEMS
from benchmarks.nodes.setting import Setting
from tests.postgres_pair import PostgresPair

PAIRS, INCREMENTS = 100, 1_000
"""For each of the setting's times."""
HOT = 4
CALLERS = 4
"""At each node, for increments."""
AT_ONCE = 4
"""Pairs of requests."""


def same(setting: Setting) -> list[str]:
    """Creates with one Idempotency-Key at both nodes, and increments through both by the version that was read."""
    with PostgresPair() as pair, setting.trial(pair, nodes=2, rate=5.0) as made:
        made.wait()
        urls, key = made.callers.urls, made.callers.key
        before = _deadlocks(made.cluster.ask)
        lines = [_pairs(urls, key, PAIRS * setting.times)]
        setting.say(lines[-1])
        lines.append(_increments(urls, key, INCREMENTS * setting.times))
        told = made.verdict().told()
        return [*lines, f"deadlocks meanwhile: {_deadlocks(made.cluster.ask) - before}; {told}"]


def _pairs(urls: list[str], key: str, count: int) -> str:
    """How often each pair was one change, and what else the responses were."""
    local = threading.local()

    def create(at: int, number: int) -> tuple[int, str, bool]:
        callers = local.__dict__.setdefault("callers", [Caller(url, key) for url in urls])
        caller, body = callers[at], b'{"number":%d}' % number
        status = caller.call("POST", f"/v1/items/{ITEMS}", body, {"Idempotency-Key": f"pair:{number}"})
        ident = json.loads(caller.body).get("id", "") if status == 201 else ""
        return status, ident, "idempotency-replayed" in caller.headers

    def both(pool: ThreadPoolExecutor, number: int) -> str:
        one, other = [each.result() for each in [pool.submit(create, at, number) for at in range(2)]]
        if (one[0], other[0]) != (201, 201):
            return f"answered {one[0]} and {other[0]}"
        return "1 each" if one[1] == other[1] and one[2] is not other[2] else "two changes"

    found: dict[str, int] = {}
    with ThreadPoolExecutor(2 * AT_ONCE) as pool, ThreadPoolExecutor(AT_ONCE) as pairs:
        for each in pairs.map(lambda number: both(pool, number), range(count)):
            found[each] = found.get(each, 0) + 1
    return f"one Idempotency-Key at two nodes at once, {count:,} pairs: " + ", ".join(
        f"{said}: {times:,}" for said, times in sorted(found.items())
    )


def _increments(urls: list[str], key: str, count: int) -> str:
    """The sum of items that were incremented at both nodes."""
    names = [f"/v1/items/{ITEMS}/hot{number}" for number in range(HOT)]
    first = Caller(urls[0], key)
    for name in names:
        assert first.succeeds("PUT", name, b'{"number":0}')
    lock, left, again, refused = threading.Lock(), list(range(count)), [0], [0]

    def work(at: int) -> None:
        caller = Caller(urls[at], key)
        while True:
            with lock:
                if not left:
                    return
                name = names[left.pop() % HOT]
            while True:
                status = caller.call("GET", name, b"")
                if status == 200:
                    number, tag = json.loads(caller.body)["number"], caller.headers["etag"]
                    status = caller.call("PATCH", name, b'{"number":%d}' % (number + 1), {"If-Match": tag})
                    if status == 200:
                        break
                with lock:
                    (again if status == 412 else refused)[0] += 1

    threads = [threading.Thread(target=work, args=(number % len(urls),)) for number in range(CALLERS * len(urls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total, last = 0, Caller(urls[1], key)
    for name in names:
        assert last.succeeds("GET", name, b""), "an item is read"
        total += json.loads(last.body)["number"]
    return (
        f"{count:,} increments of {HOT} items through two nodes: sum {total:,}, "
        f"{again[0]:,} times another one came first, {refused[0]} refused otherwise"
    )


def _deadlocks(ask: object) -> int:
    assert callable(ask)
    return int(ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0])
