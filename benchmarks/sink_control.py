"""What the sink answers under `/-/`: counts for the driver, and the two things the driver may set.

`GET /-/count` the number of distinct arrivals at paths that answer 200; `GET /-/stats` everything but the single
numbers, as JSON;
`GET /-/times/PATH` how often each number came to a path (one byte each); `GET /-/first/PATH` when it first came
(eight bytes each, native order, ns); `POST /-/reset/RUN` forgets all and counts only marks of that run from now on;
`POST /-/secret/PATH` with the secret as body lets one of 1,000 requests be verified.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.numbers import percentiles

if TYPE_CHECKING:
    from benchmarks.sink import Sink

ANSWERED = ("ok", "slow")


def control(sink: Sink, path: bytes, body: bytes) -> bytes:
    """The answer to one request of the driver."""
    verb, _, rest = path[3:].partition(b"/")
    target = b"/" + rest
    if verb == b"count":
        return _answer(str(sum(t.distinct for t in sink.tallies.values() if t.mode in ANSWERED)).encode())
    if verb == b"stats":
        return _answer(json.dumps(_stats(sink)).encode())
    if verb == b"times" and target in sink.tallies:
        return _answer(bytes(sink.tallies[target].times))
    if verb == b"first" and target in sink.tallies:
        return _answer(sink.tallies[target].first.tobytes())
    if verb == b"reset":
        _reset(sink, int(rest))
        return _answer(b"")
    if verb == b"secret":
        sink.secrets[target] = body.decode()
        return _answer(b"")
    return _answer(b"")


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _reset(sink: Sink, run: int) -> None:
    sink.run_number = run
    sink.requests = sink.strays = sink.verified = sink.unverified = 0
    for tally in sink.tallies.values():
        tally.clear()


def _stats(sink: Sink) -> dict[str, object]:
    paths = {}
    for path, tally in sink.tallies.items():
        paths[path.decode("latin-1")] = {
            "requests": tally.requests,
            "arrived": tally.arrived,
            "distinct": tally.distinct,
            "latency_ms": percentiles(tally.latencies, 1e-6),
            "seconds": dict(tally.seconds),
        }
    return {
        "requests": sink.requests,
        "strays": sink.strays,
        "verified": sink.verified,
        "unverified": sink.unverified,
        "connections": len(sink.connections),
        "cpu_seconds": sink.cpu_seconds(),
        "all_latency_ms": percentiles([n for t in sink.tallies.values() for n in t.latencies], 1e-6),
        "paths": paths,
    }
