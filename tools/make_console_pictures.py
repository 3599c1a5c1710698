"""Makes the pictures of the console from a real run: an hour of a small shop, with a warehouse that fails.

`python tools/make_console_pictures.py` writes docs/pictures/console-*.png. It needs Chromium on the path.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from chromium import MISSING, Browser, program
from make_pictures import PICTURES
from tidings.testing import Api, FakeClock, Receiver, TestServer

MINUTES = 60
FAILS_FROM = 34
"""The minute from which the warehouse answers 503."""
SETTLE_SECONDS = 0.06
"""How long the server gets for what a minute brings, before the clock moves on."""
ENDPOINTS = (
    ("http://hooks.acme.example/orders", "acme", ["orders.*"], "Orders for Acme's till"),
    ("http://warehouse.acme.example/in", "acme", ["orders.paid", "orders.shipped"], "What the warehouse packs"),
    ("http://api.globex.example/tidings", "globex", ["*"], "Everything for Globex"),
    ("http://ledger.initech.example/v2/events", "initech", ["payments.*"], "Payments for the ledger"),
)
FAILING = ENDPOINTS[1][0]
TYPES = ("orders.created", "orders.paid", "payments.captured", "orders.shipped")


def play(api: Api, receiver: Receiver, clock: FakeClock) -> dict[str, str]:
    """An hour of the shop; the ids of what the pictures show."""
    for tenant, name in (("acme", "Acme GmbH"), ("globex", "Globex Corporation"), ("initech", "Initech")):
        api.post("/v1/tenants", {"id": tenant, "name": name})
    ids = {}
    for url, tenant, events, description in ENDPOINTS:
        body = {"url": url, "tenant": tenant, "events": events, "description": description}
        ids[url] = api.post("/v1/endpoints", body)["id"]
    number = 4711
    for minute in range(MINUTES):
        if minute == FAILS_FROM:
            receiver.answer(503, path=FAILING)
        for at in range(round(9 + 5 * math.sin(minute / 7) + 3 * math.sin(minute / 2.3))):
            number += 1
            order = {"order": number, "total": 24.90 + number % 17, "currency": "EUR", "items": 1 + number % 3}
            tenant = ("acme", "globex", "acme", "initech")[(minute + at) % 4]
            event = {"type": TYPES[at % len(TYPES)], "subject": f"order-{number}", "tenant": tenant, "data": order}
            api.post("/v1/events", event)
        time.sleep(SETTLE_SECONDS)
        clock.advance(60 - SETTLE_SECONDS)
    # Tallies are written every five seconds.
    time.sleep(0.3)
    clock.advance(6)
    time.sleep(0.3)
    failing = ids[FAILING]
    failed = api.get("/v1/deliveries", endpoint=failing, outcome="bad_status", limit=100)["data"]
    return {"failing": failing, "delivery": max(failed, key=lambda each: each["attempts"])["id"]}


@contextmanager
def shop() -> Iterator[tuple[Browser, TestServer, dict[str, str]]]:
    """A browser that is signed in to the console of the shop."""
    with Receiver() as receiver, Browser() as browser:
        clock = FakeClock(time.time_ns() // 1000 - (MINUTES * 60 + 10) * 1_000_000, ticking=True)
        with TestServer(clock=clock, outbound_proxy=receiver.url("")) as server:
            ids = play(server.api, receiver, clock)
            browser.open(f"{server.url}/console/sign-in")
            browser.do(f"document.querySelector('[name=key]').value = {json.dumps(server.api.key)}")
            browser.leave("document.querySelector('form').requestSubmit()")
            yield browser, server, ids


def take(browser: Browser, url: str, name: str, width: int, height: int, *, is_dark: bool = False) -> None:
    """Open a page, and keep what is in view."""
    browser.darken(is_dark)
    browser.resize(width, height)
    browser.open(url)
    browser.until(
        "document.readyState === 'complete' && !document.querySelector('main time')?.innerText.includes('UTC')"
    )
    time.sleep(1.2)
    (PICTURES / name).write_bytes(browser.picture())


def main() -> None:
    """Make them all."""
    if program() is None:
        sys.exit(MISSING)
    with shop() as (browser, server, ids):
        root = f"{server.url}/console"
        take(browser, root, "console-now.png", 1280, 1010)
        take(browser, f"{root}/endpoints", "console-endpoints.png", 1280, 560)
        take(browser, f"{root}/endpoints/{ids['failing']}", "console-endpoint.png", 1280, 900, is_dark=True)
        take(browser, f"{root}/deliveries/{ids['delivery']}", "console-delivery.png", 1280, 1000)
        take(browser, root, "console-phone.png", 390, 844, is_dark=True)


if __name__ == "__main__":
    main()
