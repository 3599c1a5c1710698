"""Figure `tallies`: what counting attempts costs, against a server whose tallies count nothing."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from benchmarks.context import Context
from benchmarks.paired import paired_speeds
from benchmarks.server import Server, running
from benchmarks.table import Row

UNCOUNTED = (
    "from tidings.deliver.tallies import Tallies;"
    "Tallies.arrived = Tallies.into = lambda *given, **named: None;"
    "from tidings.cli.main import app; app()"
)
"""The server, but for the two methods through which everything is counted."""


def tallies(context: Context) -> list[Row]:
    """Two servers side by side, one of which counts nothing; turn by turn."""
    without_folder, with_folder = context.new_folder(), context.new_folder()
    without = Server(without_folder)
    without.command = [sys.executable, "-c", UNCOUNTED]
    with running(with_folder) as having, ExitStack() as stack:
        stack.callback(without.stop)
        without.start()
        without.register(context.sink, "/ok/tallies/without")
        having.register(context.sink, "/ok/tallies/with")
        pairs = paired_speeds(context, without, having)
        for server, counts in ((without, False), (having, True)):
            delivered = server.call("GET", "/v1/tallies")["total"]["delivered"]
            if bool(delivered) is not counts:
                raise RuntimeError(f"the server that should {'' if counts else 'not '}count has {delivered:,} tallied")
    for folder in (without_folder, with_folder):
        context.throw_away(folder)
    note = f"{pairs.second:,.0f}/s with them, {pairs.first:,.0f}/s without; the reference is without"
    return [Row("tallies", pairs.percent, 100.0, fair=not pairs.missing, note=note, details=pairs.details())]
