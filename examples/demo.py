"""The main job, played: `make demo`, or `python examples/demo.py [--act evening|morning] [--orders N] [--svg FILE]`.

The first act is an evening in a restaurant, scenario 23 of examples/: the menu is the API's documentation, an order is
a request, and when the dish is ready it arrives at the door. A real `tidings serve` in a temp folder, with the
tidings.yaml of examples/restaurant. Guests order through the API, the kitchen follows the feed and edits each order to
ready, and each `orders.ready` is a webhook to three doors: the waiter's, that of the terrace, which is closed for a
while, and the till's, which is slow. The second act is the morning after (demo/morning.py): links pull, push, mail, and
act at nine.

It ends with 1 where anything was lost or a signature was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from demo import morning
from demo.board import Board, Count, Row, span
from demo.doors import Arrival, Door
from demo.house import CONFIG, GUEST, KITCHEN, Guests, Kitchen, Order, document, put_menu_out
from independent import CHECKED_BY
from rich.markup import escape

from tidings.client import Client
from tidings.client.exchange import ClientRequest
from tidings.testing import ProcessServer

ORDERS = 48
ORDERS_MAX = 300
ORDER_SECONDS = 0.25
SLOW_SECONDS = 0.5
SLOW_IN_FLIGHT = 2
CLOSES_AFTER, OPENS_AFTER = 0.35, 0.85
"""When the door of the terrace is closed, as parts of all orders."""
RETRY_DELAYS_SECONDS = [0, 1, 2, 4, 8, 8, 8, 8]
LOOK_SECONDS = 0.25
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
PAGE = 1000


class Evening:
    """One run: what was ordered, what is ready, and what is known of each delivery."""

    def __init__(self, chef: Client, guests: Guests, kitchen: Kitchen, doors: list[Door], board: Board) -> None:
        self._chef, self._guests, self._kitchen, self._doors, self._board = chef, guests, kitchen, doors, board
        self._shown: set[tuple[str, str]] = set()
        self._refused = dict.fromkeys(doors, 0)
        self.begun = time.monotonic()
        self.attempts: dict[tuple[str, str], int] = {}
        """Attempts by event and endpoint, of every delivery that has ended."""

    def play(self, total: int) -> None:
        """This many orders, with the terrace closed for a while, until every dish has arrived everywhere."""
        closes, opens = int(total * CLOSES_AFTER), int(total * OPENS_AFTER)
        looked = 0.0
        deadline = self.begun + total * ORDER_SECONDS + PATIENCE_SECONDS
        while len(self._shown) < total * len(self._doors):
            now, ordered = time.monotonic(), len(self._guests.orders)
            if now > deadline:
                return
            if ordered < total and now >= self.begun + ordered * ORDER_SECONDS:
                self._turn(ordered, closes, opens)
                self._tell(self._guests.order(), "guest", "POST /v1/items/orders")
            for order in self._kitchen.look():
                self._tell(order, "kitchen", "PATCH status: ready")
            if now >= looked + LOOK_SECONDS:
                self._look()
                looked = now
            time.sleep(PAUSE_SECONDS)

    def show(self) -> None:
        """Draw how everything stands."""
        ordered, cooking, ready = len(self._guests.orders), self._kitchen.cooking, len(self._kitchen.ready)
        self._board.show(f"Dishes: {ordered} ordered, {cooking} on the fire, {ready} ready.", self._counts())

    def retried(self, door: Door) -> int:
        """How many more attempts than deliveries were needed here."""
        return sum(count - 1 for (_, endpoint), count in self.attempts.items() if endpoint == door.endpoint)

    def lost(self) -> int:
        """How many ordered dishes did not arrive, over all doors."""
        ordered = {order.id for order in self._guests.orders}
        return sum(len(ordered - {each.order for each in door.arrivals().values()}) for door in self._doors)

    def _counts(self) -> list[Count]:
        rows = []
        for door in self._doors:
            arrived = sum(endpoint == door.endpoint for _, endpoint in self._shown)
            waiting = len(self._kitchen.ready) - arrived
            rows.append(Count(door.name, door.state, arrived, self.retried(door), waiting))
        return rows

    def _turn(self, number: int, closes: int, opens: int) -> None:
        at, door = time.monotonic() - self.begun, self._doors[1]
        since = f"after {at:.1f} s"
        if number == closes:
            door.close()
            self._board.say(
                f"[red]{since}: the door of the terrace closes.[/] Nobody answers there; what is for it waits.", at
            )
        elif number == opens:
            door.open()
            self._board.say(
                f"[green]{since}: the door of the terrace opens again.[/] What waited is tried again by itself.", at
            )

    def _tell(self, order: Order, who: str, what: str) -> None:
        self._board.happened(Row(order.since - self.begun, who, what, f"{order.dish}, table {order.table}"))

    def _look(self) -> None:
        """Show every delivery that has arrived and is settled since the last look."""
        arrivals = {door.endpoint: door.arrivals() for door in self._doors}
        names = {door.endpoint: door.name for door in self._doors}
        news: list[tuple[Arrival, str, int]] = []
        for delivery in self._chef.deliveries(state="delivered", limit=PAGE):
            key = (delivery["event_id"], delivery["endpoint_id"])
            arrival = arrivals[key[1]].get(key[0])
            if key not in self._shown and arrival is not None:
                self._shown.add(key)
                self.attempts[key] = delivery["attempts"]
                news.append((arrival, names[key[1]], delivery["attempts"]))
        for arrival, name, attempt in sorted(news, key=lambda each: each[0].at):
            order = self._kitchen.ready[arrival.order]
            dish, ms = f"{order.dish}, table {order.table}", 1000 * (arrival.at - order.since)
            self._board.happened(Row(arrival.at - self.begun, name, "orders.ready arrives", dish, attempt, ms, True))
        for door in self._doors:
            for request in door.refused()[self._refused[door] :]:
                self._refused[door] += 1
                at = request.at - self.begun
                self._board.happened(Row(at, door.name, "something arrives", "?", self._refused[door], 0, False))
        self.show()


def say_menu(board: Board, chef: Client, guest: Client, guests: Guests) -> None:
    """The menu is the API's documentation, and each key is shown its own."""
    full, own = document(chef), [line for line in document(guest) if "/items/" in line[0]]
    board.say(
        f"[bold]The menu[/] is the API's documentation. /v1/openapi.json shows the chef's key {len(full)} operations, "
        "and a guest's these:"
    )
    for operation, summary in own:
        board.say(f"    [cyan]{escape(operation):<34}[/] {escape(summary)}")
    course, names = next(iter(guests.menu.items()))
    board.say(f"A guest asks: GET /v1/items/dishes:by_course?course={course} answers {', '.join(names)}.")


def say_end(board: Board, evening: Evening, doors: list[Door], orders: int) -> bool:
    """What was sent, received, tried again and lost. Answers whether all is well. Two sentences."""
    lost, refused = evening.lost(), sum(len(door.refused()) for door in doors)
    received, retried = sum(len(door.arrivals()) for door in doors), sum(evening.retried(door) for door in doors)
    repeats = sum(door.repeats for door in doors)
    board.say(
        f"{orders} dishes at {len(doors)} doors: [bold]sent[/] {orders * len(doors)} · "
        f"[bold]received[/] {received} · [bold]retried[/] {retried} · [bold]repeats[/] {repeats} · "
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
    doors = [Door("waiter"), Door("terrace"), Door("till", SLOW_SECONDS)]
    with contextlib.ExitStack() as open_until_the_end:
        server = open_until_the_end.enter_context(ProcessServer(config=CONFIG))
        for door in doors:
            open_until_the_end.enter_context(door.receiver)
        chef = open_until_the_end.enter_context(Client(server.url, server.api.key))
        dishes = put_menu_out(chef)
        guest_key = chef.create_key("the guests", [], permits=GUEST)["key"]
        kitchen_key = chef.create_key("the kitchen", ["events:read"], permits=KITCHEN)["key"]
        guest = open_until_the_end.enter_context(Client(server.url, guest_key))
        kitchen = open_until_the_end.enter_context(Client(server.url, kitchen_key))
        for door in doors:
            limit = {"max_in_flight": SLOW_IN_FLIGHT} if door.state == "slow" else {}
            door.register(chef, retry_delays_seconds=RETRY_DELAYS_SECONDS, **limit)
        guests = Guests(guest)
        with Board(arguments.orders) as board:
            board.say(
                f"[bold]The restaurant[/] is open: a real `tidings serve` at {server.url}, "
                "with examples/restaurant/tidings.yaml."
            )
            link = chef.exchange(ClientRequest("POST", "/console/link")).value()["url"]
            board.say(f"[bold]Watch it[/] in a browser: {escape(server.url + link)}")
            say_menu(board, chef, guest, guests)
            board.say(
                f"[bold]An order[/] is a request, {arguments.orders} times POST /v1/items/orders. "
                "[bold]The kitchen[/] follows the feed, and edits each to ready."
            )
            board.say(
                f"[bold]The dish[/] arrives at the door: orders.ready, signed, at three doors, checked by {CHECKED_BY}."
            )
            evening = Evening(chef, guests, Kitchen(kitchen, dishes), doors, board)
            evening.play(arguments.orders)
            evening.show()
            board.close()
            well = say_end(board, evening, doors, arguments.orders)
        if arguments.stay:
            print("The restaurant stays open for the console. Press Ctrl-C to close it.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(LOOK_SECONDS)
        if arguments.svg is not None:
            board.picture(arguments.svg, sentences_below=2)
    return well


def main() -> int:
    """Read the arguments and play. The exit status."""
    parser = argparse.ArgumentParser(description="A restaurant: orders and three doors; the morning after, four links.")
    parser.add_argument("--act", choices=("evening", "morning"), help="play one act instead of both")
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"how many orders (1 to {ORDERS_MAX})")
    parser.add_argument("--stay", action="store_true", help="after the evening, stay open for the console until Ctrl-C")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the last screen as a picture")
    arguments = parser.parse_args()
    if not 1 <= arguments.orders <= ORDERS_MAX:
        parser.error(f"--orders is a number from 1 to {ORDERS_MAX}")
    try:
        well = arguments.act == "morning" or play(arguments)
        if arguments.act != "evening":
            well = morning.play() and well
        return 0 if well else 1
    except RuntimeError as wrong:
        # The server did not start; the text says why.
        sys.exit(f"demo: {wrong}")
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
