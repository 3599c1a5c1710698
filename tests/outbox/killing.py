"""kill -9 of applications and relays at random moments; then every committed row must be an event, exactly once.

python -m tests.outbox.killing 100        # so many kills for each kind of application
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.kills import chance_of_this_run
from tests.outbox.shops import ON_POSTGRES, SHOPS, file_of
from tests.repository import ROOT
from tidings.client import Client
from tidings.outbox import Relay
from tidings.testing import TestServer, until

AHEAD = 1_000_000
"""How far apart the numbers of an application and its successor are."""


def _shop(kind: str, url: str, first: int) -> subprocess.Popen[bytes]:
    code = "import sys; from tests.outbox.shops import *; sell_forever(sys.argv[1], sys.argv[2], int(sys.argv[3]))"
    return subprocess.Popen([sys.executable, "-c", code, kind, url, str(first)], cwd=ROOT)


def _relay(url: str, server: TestServer) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tidings", "outbox", "relay", "--database", url]
    environment = {**os.environ, "TIDINGS_URL": server.url, "TIDINGS_KEY": server.api.key or ""}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(running: subprocess.Popen[bytes]) -> None:
    running.kill()
    running.wait()


def exactly_once_through_kills(kind: str, url: str, kills: int) -> int:
    """So many kills of an application and of its relay, in turn by chance; returns how many orders were made."""
    chance = chance_of_this_run()
    shop = SHOPS[kind](url)
    shop.create()
    with TestServer() as server, ExitStack() as at_the_end:
        starts = 1
        selling, relaying = _shop(kind, url, AHEAD), _relay(url, server)
        at_the_end.callback(lambda: _kill(selling))
        at_the_end.callback(lambda: _kill(relaying))
        for _ in range(kills):
            before = len(shop.orders())
            until(lambda: len(shop.orders()) > before + 3, "orders", seconds=30)
            time.sleep(chance.random() * 0.2)
            if chance.random() < 0.5:
                _kill(selling)
                starts += 1
                selling = _shop(kind, url, AHEAD * starts)
            else:
                _kill(relaying)
                relaying = _relay(url, server)
        _kill(selling)
        _kill(relaying)
        with Client(server.url, key=server.api.key) as client:
            Relay(shop.url, client).drain()
        orders, rows = shop.orders(), shop.rows()
        shop.close()
        events = [int(each["data"]["id"]) for each in server.api.pages("/v1/events", limit=1000, type="orders.created")]
    twice = [number for number, count in Counter(events).items() if count > 1]
    assert orders and not rows
    assert not twice, f"events that are there twice: {twice[:5]}"
    assert sorted(events) == orders, "an order without an event, or an event without an order"
    assert events[::-1] == orders, "one application's events are in the order of its commits"
    return len(orders)


def main(kills: int) -> None:
    from tests.postgres_server import PostgresServer

    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as folder:
        for kind in SHOPS:
            with ExitStack() as stack:
                on_postgres = kind in ON_POSTGRES
                url = stack.enter_context(postgres.database()) if on_postgres else f"{file_of(Path(folder))}-{kind}"
                print(
                    f"{kind}: {kills} kills, {exactly_once_through_kills(kind, url, kills):,} orders, 0 lost, 0 twice"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]))
