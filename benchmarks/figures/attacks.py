"""Figure `attacks`: how long a quiet tenant's event takes to arrive beside one that overdoes it, in fifteen ways."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.attacks import FILTER_VALUES, REQUESTS, TOKEN, Attack
from benchmarks.context import Context
from benchmarks.processes import ROOT, ask, end, memory_mb, start_load
from benchmarks.server import Server, ServerFailed, running
from benchmarks.table import Row

RATE = 50
SECONDS, QUICK_SECONDS = 12.0, 4.0
BEFORE_SECONDS = 1.0
"""The attack has begun for so long before the quiet tenant's events are counted."""
AFTER_SECONDS = 2.5
"""For so long after it memory has time to go back to the system."""
ENDPOINTS = 300
LATE_MS = 29_000
NAMES = 60
LEVELS = 27
PAPERS, QUICK_PAPERS = 100_000, 5_000
CHUNK = 5_000
BAD, QUIET = "bad", "quiet"


def attacks(context: Context) -> list[Row]:
    """Each attack beside a quiet tenant at 50 events/s; the worst p99 from planned publish to arrival, and the worst
    wait of any of its writes for its answer."""
    seconds = QUICK_SECONDS if context.quick else SECONDS
    measured = {name: one(context, name, seconds) for name in ("none", *REQUESTS)}
    arrivals = {name: each["arrival_ms"].get("p99", 1e9) for name, each in measured.items() if name != "none"}
    stops = {name: each["answer_ms"].get("max", 1e9) for name, each in measured.items() if name != "none"}
    worst, slowest = max(arrivals, key=arrivals.__getitem__), max(stops, key=stops.__getitem__)
    alone = measured["none"]
    return [
        Row("attacks", arrivals[worst], alone["arrival_ms"]["p99"], note=f"the worst: {worst}", details=measured),
        Row("attacks-stop", stops[slowest], alone["answer_ms"]["max"], note=f"the worst: {slowest}"),
    ]


def one(context: Context, name: str, seconds: float) -> dict[str, Any]:
    """One attack on its own server, so that none leaves the next anything to do."""
    folder = context.new_folder()
    with running(folder) as server:
        quiet = _key(server, QUIET)
        path = f"/ok/attacks/{name}"
        _register(context, server, path)
        keys = [_key(server, BAD) for _ in range(10)]
        if name in _PREPARE:
            _PREPARE[name](context, server)
        memory_before = memory_mb(server.pid)
        process = _start(Attack(name, server.port, keys, seconds + BEFORE_SECONDS)) if name != "none" else None
        time.sleep(BEFORE_SECONDS)
        load = server.load(context.sink.new_run(), seconds, rate=RATE, connections=16)
        load = type(load)(**{**load.__dict__, "authorization": quiet})
        report = start_load(load).result()
        said = json.loads(process.communicate()[0]) if process else {}
        context.sink.wait_for(report["accepted"], quiet_seconds=5)
        tally = context.sink.stats()["paths"].get(path, {})
        time.sleep(AFTER_SECONDS)
        result = {
            "arrival_ms": tally.get("latency_ms") or {},
            "answer_ms": report["answer_ms"],
            "refused": report["refused"],
            "unanswered": report["unanswered"],
            "attack": said,
            "memory_mb": {
                "before": round(memory_before),
                "most": round(memory_mb(server.pid, "VmHWM")),
                "after": round(memory_mb(server.pid)),
            },
        }
        if process:
            end(process)
    context.throw_away(folder)
    context.say(f"{name}: {json.dumps(result)}")
    return result


def _start(attack: Attack) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.attacks", attack.argument()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def _key(server: Server, tenant: str) -> str:
    key: str = server.call("POST", "/v1/keys", {"name": tenant, "tenant": tenant, "scopes": ["*"]})["key"]
    return key


def _register(context: Context, server: Server, path: str) -> None:
    server.call("POST", "/v1/endpoints", {"url": context.sink.url(path), "tenant": QUIET, "events": ["bench.*"]})


# --- what is declared before ------------------------------------------------------------------------------------------


def _endpoint(server: Server, **form: Any) -> None:
    server.call("POST", "/v1/endpoints", {"tenant": BAD, "events": ["attack.*"], **form})


def _filter(context: Context, server: Server) -> None:
    wanted = {"data": {"a": list(range(1_000, 1_000 + FILTER_VALUES))}}
    _tried(lambda: _endpoint(server, url=context.sink.url("/ok/bad"), filter=wanted))


def _silent(context: Context, server: Server) -> None:
    for number in range(ENDPOINTS):
        _endpoint(server, url=context.sink.url(f"/never/bad/{number}"))


def _late(context: Context, server: Server) -> None:
    for number in range(ENDPOINTS):
        _endpoint(server, url=context.sink.url(f"/slow/{LATE_MS}/bad/{number}"))


def _names(context: Context, server: Server) -> None:
    # Where the machine's name server answers, these fail at once; the attack is one where it does not.
    for number in range(NAMES):
        _tried(lambda: _endpoint(server, url=f"http://name{number}.benchmark.invalid/"))


def _schema(context: Context, server: Server) -> None:
    levels = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(LEVELS)}
    schema = {"$ref": "#/$defs/l0", "$defs": {**levels, f"l{LEVELS}": {"type": "object"}}}
    _tried(lambda: server.call("PUT", "/v1/event-types/attack.schema", {"schema": schema}))


def _papers(context: Context, server: Server) -> None:
    fields = {"title": {"type": "string", "searchable": True}}
    server.call("PUT", "/v1/collections/papers", {"fields": fields})
    total = QUICK_PAPERS if context.quick else PAPERS
    key = _key(server, BAD)
    for start in range(0, total, CHUNK):
        rows = "".join(f'{{"title":"word {number}"}}\n' for number in range(start, min(total, start + CHUNK)))
        headers = {"Content-Type": "application/x-ndjson"}
        status, said = ask(server.port, "POST", "/v1/items/papers:import?partial=true", rows.encode(), key, headers)
        if status != 200:
            raise ServerFailed(f"the import was answered {status}: {said[:300]!r}")


def _hook(context: Context, server: Server) -> None:
    form = {"path": f"{BAD}/hook", "tenant": BAD, "scheme": "bearer", "secrets": [TOKEN], "repeats": "accept"}
    server.call("POST", "/v1/hooks", form)


def _tried(declare: Callable[[], None]) -> None:
    """A server that refuses to take the declaration has withstood the attack."""
    try:
        declare()
    except ServerFailed as refused:
        if " 422" not in str(refused):
            raise


_PREPARE: dict[str, Callable[[Context, Server], None]] = {
    "filter": _filter,
    "silent": _silent,
    "late": _late,
    "names": _names,
    "schema": _schema,
    "counts": _papers,
    "packed-hooks": _hook,
    "xml-hooks": _hook,
    "forged-hooks": _hook,
}
