"""The second act: the morning after. Prices are pulled from a market; what changed goes to the till and to the chef.

At nine on a working day, the shopping list is sent. The clock of a real server is moved on, hour by hour.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from mail_server import Mailbox
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tidings.client import Client
from tidings.config import read_config
from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

CONFIG = Path(__file__).parent / "morning.yaml"
BERLIN = ZoneInfo("Europe/Berlin")
BEGINS = (6, 30)
PAGE, ROWS = 8, 10
VEGETABLES = ("leeks", "onions", "potatoes", "beets", "sorrel", "dill")
OTHERS = ("cream", "butter", "flour", "eggs", "trout", "perch", "veal", "lamb", "duck")
FRUIT = ("plums", "pears", "apples", "walnuts", "honey")
NAMES = (*VEGETABLES, *OTHERS, *FRUIT)
HOURS: tuple[dict[str, int], ...] = ({"leeks": 195, "trout": 840}, {"eggs": 790}, {"dill": 420, "veal": 1250})
"""The new prices of each hour, in cents."""
DEAR = ("leeks", "veal")
"""What rose by more than a tenth."""
DOES = {
    "prices": "every hour: read the market's prices",
    "till": "a price changed: PUT it to the till",
    "chef": "it rose by a tenth: mail the chef",
    "shopping": "09:00, working days: POST the list",
}


class Happened(NamedTuple):
    """One thing that a link did. `at`: the time of day in Berlin."""

    at: str
    link: str
    what: str


class Market:
    """The market's API: prices in pages, and orders."""

    def __init__(self) -> None:
        self.prices = {name: {"id": name, "name": name.title(), "cents": 150 + 70 * n} for n, name in enumerate(NAMES)}
        self.orders: list[Any] = []

    def answer(self, request: Received) -> Reaction | int:
        """A page, or a receipt for an order."""
        if request.headers.get("authorization") != "Bearer market-key":
            return 401
        if request.method == "POST":
            self.orders.append(request.json)
            return 201
        after = int(dict(parse_qsl(urlsplit(request.path).query))["after"])
        found = list(self.prices.values())
        more = {"Link": f'</prices?after={after + PAGE}>; rel="next"'} if after + PAGE < len(found) else {}
        body = json.dumps(found[after : after + PAGE]).encode()
        return Reaction(status=200, body=body, headers={"Content-Type": "application/json", **more})


class Till:
    """The till's API: it takes prices, and is too busy for the second call."""

    def __init__(self) -> None:
        self.prices: dict[str, int] = {}
        self.calls: list[str] = []

    def answer(self, request: Received) -> Reaction | int:
        """Take a price, or ask to wait."""
        name = request.path.rpartition("/")[2]
        busy = len(self.calls) == 1
        said = "429, in a second" if busy else "200"
        self.calls.append(f"PUT /prices/{name} {request.body.decode()}  {said}")
        if busy:
            return Reaction(status=429, headers={"Retry-After": "1"})
        self.prices[name] = request.json["cents"]
        return 200


class Ledger:
    """What the links did: a live table on a terminal, plain lines anywhere else. Use it in a `with`."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._rows: list[Happened] = []
        self.counts = {name: {"runs": 0, "read": 0, "changed": 0, "sent": 0} for name in DOES}
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> Ledger:
        if self._live is not None:
            self._live.start()
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence, in rich's markup."""
        self._console.print(sentence, soft_wrap=not self._console.is_terminal)

    def add(self, row: Happened, **counted: int) -> None:
        """Show one thing that a link did."""
        for name, count in counted.items():
            self.counts[row.link][name] += count
        self._rows.append(row)
        if self._live is None:
            self._console.print(f"  {row.at}  {row.link:<8}  {row.what}", markup=False, soft_wrap=True)
        self._show()

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(Group(self._links(), self._happenings()), refresh=True)

    def _links(self) -> Table:
        table = Table(title="The links", title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("link", style="cyan", width=8)
        table.add_column("does", width=36, no_wrap=True)
        for name in ("runs", "read", "changed", "sent"):
            table.add_column(name, justify="right", width=7)
        for link, counts in self.counts.items():
            table.add_row(link, DOES[link], *(str(count or "") for count in counts.values()))
        return table

    def _happenings(self) -> Table:
        table = Table(title="What happened last", title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("at", width=5)
        table.add_column("link", style="cyan", width=8)
        table.add_column("what", width=63, no_wrap=True)
        for row in self._rows[-ROWS:]:
            table.add_row(row.at, row.link, escape(row.what))
        for _ in range(ROWS - len(self._rows)):
            table.add_row()
        return table


class Morning:
    """One run of the act: it moves the clock, and shows what follows."""

    def __init__(self, server: ProcessServer, operator: Client, ledger: Ledger) -> None:
        self._server, self._operator, self._ledger = server, operator, ledger
        self.market, self.till, self.mailbox = Market(), Till(), Mailbox()
        self._calls = self._mails = self._orders = 0
        self._seen: set[str] = set()
        self.now = datetime.now(UTC)

    def pass_until(self, at: datetime) -> None:
        """Move the server's clock on to a moment."""
        self.now = datetime.fromisoformat(self._server.advance(0))
        self.now = datetime.fromisoformat(self._server.advance(max(0.0, (at - self.now).total_seconds())))

    def show_runs(self, count: int) -> None:
        """Show a run of the link that reads, before what follows from it."""
        until(lambda: self._look_at_runs() == count, "the prices are read", 30)

    def show(self, link: str, done: Callable[[], bool]) -> None:
        """Show what happens until a link has done what it should."""

        def look() -> bool:
            self._look()
            return done()

        until(look, f"{link} has acted", 30)

    @property
    def _at(self) -> str:
        return f"{self.now.astimezone(BERLIN):%H:%M}"

    def _look_at_runs(self) -> int:
        for delivery in self._operator.deliveries(link="prices", state="delivered"):
            if delivery["id"] not in self._seen:
                self._seen.add(delivery["id"])
                said = self._operator.delivery(delivery["id"])["attempts"][-1]["reason"]
                changed = sum(int(word) for word, kind in _pairs(said) if kind == "updated")
                read = next(int(word) for word, kind in _pairs(said) if kind == "records")
                shown = said.partition(", without")[0].rstrip(".")
                self._ledger.add(Happened(self._at, "prices", shown), runs=1, read=read, changed=changed)
        return self._ledger.counts["prices"]["runs"]

    def _look(self) -> None:
        at = self._at
        for call in self.till.calls[self._calls :]:
            self._ledger.add(Happened(at, "till", call), runs=1, sent="429" not in call)
        self._calls = len(self.till.calls)
        for mail in self.mailbox.mails[self._mails :]:
            self._ledger.add(Happened(at, "chef", f"a mail: {mail['Subject']}"), runs=1, sent=1)
        self._mails = len(self.mailbox.mails)
        for order in self.market.orders[self._orders :]:
            self._ledger.add(Happened(at, "shopping", f"POST /orders {json.dumps(order)}"), runs=1, sent=1)
        self._orders = len(self.market.orders)


def _pairs(sentence: str) -> Iterator[tuple[str, str]]:
    """The numbers of a sentence, each with the word after it."""
    words = sentence.replace(",", " ").replace(".", " ").split()
    return ((word, after) for word, after in pairwise(words) if word.isdecimal())


def play() -> bool:
    """The whole act. Returns whether each link did what it should."""
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ProcessServer(movable_clock=True))
        operator = stack.enter_context(Client(server.url, server.api.key))
        ledger = Ledger()
        morning = Morning(server, operator, ledger)
        stack.enter_context(morning.mailbox)
        market, till = stack.enter_context(Receiver()), stack.enter_context(Receiver())
        market.answer_by(morning.market.answer)
        till.answer_by(morning.till.answer)
        os.environ.update(MARKET_URL=market.url("").rstrip("/"), MARKET_KEY="market-key", MAIL_URL=morning.mailbox.url)
        os.environ.update(TILL_URL=till.url("").rstrip("/"), TILL_KEY="till-key")
        ledger.say("\n[bold]The morning after.[/] Four links of examples/demo/morning.yaml; hours pass in seconds.")
        morning.pass_until(_next_working_day())
        config = read_config(CONFIG)
        server.api.post("/v1/links:apply", {"links": config.links, "connections": config.connections})
        with stack.enter_context(ledger):
            well = _hours(morning)
        ledger.say(_end(ledger, well, time.monotonic() - begun))
    return well


def _hours(morning: Morning) -> bool:
    begin = morning.now
    morning.show_runs(1)
    for number, changes in enumerate(HOURS, 1):
        for name, cents in changes.items():
            morning.market.prices[name]["cents"] = cents
        if number == len(HOURS):
            morning.pass_until(begin.astimezone(BERLIN).replace(hour=9, minute=0, second=0))
            morning.show("shopping", lambda: bool(morning.market.orders))
        morning.pass_until(begin + timedelta(hours=number))
        wanted = {name: cents for done in HOURS[:number] for name, cents in done.items()}
        morning.show_runs(number + 1)
        morning.show("till", partial(_is_done, morning, wanted))
    return len(morning.mailbox.mails) == len(DEAR) and len(morning.market.orders) == 1


def _is_done(morning: Morning, wanted: dict[str, int]) -> bool:
    return morning.till.prices == wanted and len(morning.mailbox.mails) == sum(name in DEAR for name in wanted)


def _end(ledger: Ledger, well: bool, seconds: float) -> str:
    total = {name: sum(counts[name] for counts in ledger.counts.values()) for name in ("read", "changed", "sent")}
    said = " · ".join(f"[bold]{name}[/] {count}" for name, count in total.items())
    last = (
        f"[bold green]Each change arrived once, in {seconds:.1f} s.[/]"
        if well
        else "[bold red]Something is missing.[/]"
    )
    return f"Four links: {said}\n{last}"


def _next_working_day() -> datetime:
    at = datetime.now(BERLIN).replace(hour=BEGINS[0], minute=BEGINS[1], second=0, microsecond=0) + timedelta(days=1)
    while at.weekday() > 4:
        at += timedelta(days=1)
    return at
