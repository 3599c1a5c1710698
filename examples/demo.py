"""The main job, played: `make demo`, or `python examples/demo.py [--events N] [--payloads npm|own] [--svg FILE]`.

A real `tidings serve` in a temp folder gets real GitHub webhook payloads as events, and delivers each, signed, to three
receivers: one healthy, one down for a while, one slow. It is scenario 23 of examples/, the restaurant: the menu is the
API's documentation, an order is a request, and the dish arrives at the door.

It ends with 1 where anything was lost or a signature was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from demo.board import Board, Count, Row, span
from demo.doors import Door
from demo.payloads import Order, load
from rich.markup import escape

from tidings.client import Client
from tidings.client.calls import read
from tidings.testing import ProcessServer

EVENTS = 58
"""So many kinds of webhooks GitHub sends."""
EVENTS_MAX = 300
ORDER_SECONDS = 0.2
SLOW_SECONDS = 0.5
SLOW_IN_FLIGHT = 2
CLOSES_AFTER, OPENS_AFTER = 0.15, 0.65
"""When the door `away` is down, as parts of all orders."""
RETRY_DELAYS_SECONDS = [0, 1, 2, 4, 8, 8, 8, 8]
LOOK_SECONDS = 0.25
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
PAGE = 1000


class Evening:
    """One run: the orders that are placed, and what is known of each delivery."""

    def __init__(self, client: Client, guest: Client, doors: list[Door], board: Board, orders: list[Order]) -> None:
        self._client, self._guest, self._doors, self._board = client, guest, doors, board
        self._orders = orders
        self._placed: dict[str, float] = {}
        self._shown: set[tuple[str, str]] = set()
        self._refused = dict.fromkeys(doors, 0)
        self.begun = time.monotonic()
        self.attempts: dict[tuple[str, str], int] = {}
        """Attempts by event and endpoint, of every delivery that has ended."""

    def play(self) -> None:
        """Place every order, close and open the door `away` meanwhile, and wait until everything has arrived."""
        total = len(self._orders)
        closes, opens = int(total * CLOSES_AFTER), int(total * OPENS_AFTER)
        away, looked = self._doors[1], 0.0
        deadline = self.begun + total * ORDER_SECONDS + PATIENCE_SECONDS
        while not (len(self._placed) == total and len(self._shown) == total * len(self._doors)):
            now = time.monotonic()
            if now > deadline:
                return
            if len(self._placed) < total and now >= self.begun + len(self._placed) * ORDER_SECONDS:
                self._turn(len(self._placed), closes, opens, away)
                self._order(self._orders[len(self._placed)])
            if now >= looked + LOOK_SECONDS:
                self._look()
                looked = now
            time.sleep(PAUSE_SECONDS)

    def counts(self) -> list[Count]:
        """How each door stands."""
        rows = []
        for door in self._doors:
            arrived = sum(endpoint == door.endpoint for _, endpoint in self._shown)
            waiting = len(self._placed) - arrived
            rows.append(Count(door.name, door.state, arrived, self.retried(door), waiting))
        return rows

    def retried(self, door: Door) -> int:
        """How many more attempts than deliveries were needed here."""
        return sum(count - 1 for (_, endpoint), count in self.attempts.items() if endpoint == door.endpoint)

    def lost(self) -> int:
        """How many orders did not arrive, over all doors."""
        return sum(len(self._orders) - len(self._placed.keys() & door.arrivals().keys()) for door in self._doors)

    def _turn(self, number: int, closes: int, opens: int, away: Door) -> None:
        since = f"after {time.monotonic() - self.begun:.1f} s"
        if number == closes:
            away.close()
            self._board.say(f"[red]{since}: the door 'away' closes.[/] Nobody answers there; what is for it waits.")
        elif number == opens:
            away.open()
            self._board.say(f"[green]{since}: the door 'away' opens again.[/] What waited is tried again by itself.")

    def _order(self, order: Order) -> None:
        started = time.monotonic()
        event = self._guest.publish(order.type, order.data, subject=order.subject)
        self._placed[event["id"]] = started

    def _look(self) -> None:
        """Show every delivery that has arrived and is settled since the last look."""
        arrivals = {door.endpoint: door.arrivals() for door in self._doors}
        names = {door.endpoint: door.name for door in self._doors}
        news = []
        for delivery in self._client.deliveries(state="delivered", limit=PAGE):
            key = (delivery["event_id"], delivery["endpoint_id"])
            arrival = arrivals[key[1]].get(key[0])
            if key in self._shown or key[0] not in self._placed or arrival is None:
                continue
            self._shown.add(key)
            self.attempts[key] = delivery["attempts"]
            news.append((arrival, names[key[1]], delivery["attempts"]))
        for arrival, name, attempt in sorted(news):
            ms = 1000 * (arrival.at - self._placed[arrival.event])
            self._board.arrived(Row(arrival.type, name, attempt, ms, genuine=True))
        for door in self._doors:
            for request in door.refused()[self._refused[door] :]:
                self._refused[door] += 1
                ms = 1000 * (request.at - self._placed.get(request.id, self.begun))
                self._board.arrived(Row("?", door.name, self._refused[door], ms, genuine=False))
        self._board.show(self.counts())


def say_menu(board: Board, client: Client, guest: Client) -> None:
    """The menu is the API's documentation, and each key is shown its own."""
    every, own = (
        sum(len(path) for path in each.send(read("/v1/openapi.json"))["paths"].values()) for each in (client, guest)
    )
    board.say(
        f"[bold]The menu[/] is the API's documentation. /v1/openapi.json shows the chef's key {every} operations, "
        f"and the guest's key the {own} that it may use."
    )


def say_end(board: Board, evening: Evening, doors: list[Door], events: int) -> bool:
    """What was sent, received, tried again and lost. Answers whether all is well. Two sentences."""
    lost, refused = evening.lost(), sum(len(door.refused()) for door in doors)
    received, retried = sum(len(door.arrivals()) for door in doors), sum(evening.retried(door) for door in doors)
    repeats = sum(door.repeats for door in doors)
    board.say(
        f"[bold]sent[/] {events} events to {len(doors)} receivers: {events * len(doors)} webhooks · "
        f"[bold]received[/] {received} · [bold]retried[/] {retried} attempts · [bold]repeats[/] {repeats} · "
        f"[bold]wrong signatures[/] {refused} · [bold]lost[/] {lost}"
    )
    well = not lost and not refused
    seconds = span(1000 * (time.monotonic() - evening.begun))
    board.say(
        f"[bold green]Every dish arrived, in {seconds}.[/]"
        if well
        else f"[bold red]Not everything is as it should be, after {seconds}.[/]"
    )
    return well


def play(arguments: argparse.Namespace) -> bool:
    """The whole evening. Answers whether everything arrived, each with a right signature."""
    payloads = load(arguments.payloads)
    orders = list(islice(cycle(payloads.orders), arguments.events))
    doors = [Door("healthy"), Door("away"), Door("slow", SLOW_SECONDS)]
    with contextlib.ExitStack() as open_until_the_end:
        server = open_until_the_end.enter_context(ProcessServer())
        for door in doors:
            open_until_the_end.enter_context(door.receiver)
        client = open_until_the_end.enter_context(Client(server.url, server.api.key))
        key = client.create_key("the guest", ["events:write"])["key"]
        guest = open_until_the_end.enter_context(Client(server.url, key))
        for door in doors:
            limit = {"max_in_flight": SLOW_IN_FLIGHT} if door.state == "slow" else {}
            door.register(client, retry_delays_seconds=RETRY_DELAYS_SECONDS, **limit)
        with Board(len(orders)) as board:
            board.say(
                f"[bold]The kitchen[/] is open: a real `tidings serve` at {server.url}, its data in a temp folder."
            )
            say_menu(board, client, guest)
            board.say(
                f"[bold]An order[/] is a request: {len(orders)} times POST /v1/events. {escape(payloads.source)}."
            )
            board.say(
                "[bold]The dish[/] arrives at the door: a signed POST to each of three receivers, "
                "which check it with the library standardwebhooks."
            )
            evening = Evening(client, guest, doors, board, orders)
            evening.play()
            board.show(evening.counts())
            board.close()
            well = say_end(board, evening, doors, len(orders))
        if arguments.svg is not None:
            board.picture(arguments.svg, sentences_below=2)
    return well


def main() -> int:
    """Read the arguments and play. The exit status."""
    parser = argparse.ArgumentParser(description="Real webhooks, three receivers, nothing lost.")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"how many events (1 to {EVENTS_MAX})")
    parser.add_argument("--payloads", choices=("auto", "npm", "own"), default="auto", help="where they come from")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the last screen as a picture")
    arguments = parser.parse_args()
    if not 1 <= arguments.events <= EVENTS_MAX:
        parser.error(f"--events is a number from 1 to {EVENTS_MAX}")
    try:
        return 0 if play(arguments) else 1
    except RuntimeError as wrong:
        # The payloads that were asked for, or the server, could not be had; the text says why.
        sys.exit(f"demo: {wrong}")
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
