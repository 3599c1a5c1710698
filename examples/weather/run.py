"""Scenario 7, weather: an API that answers exactly two questions, and a partner who may say that an answer is wrong.

Run `python examples/weather/run.py`. It ends with 1 where anybody can ask or do more than is meant, or where what the
partner says does not correct the reading.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidings.client import ApiError, Client
from tidings.client.calls import read
from tidings.testing import ProcessServer, Received, Receiver

sys.path.append(str(Path(__file__).parents[1]))
from independent import Webhook

CONFIG = Path(__file__).parent / "tidings.yaml"
HERE = {"latitude": 52.52, "longitude": 13.4}
DAY = "2026-11-25"

SHOWN = ["latitude", "longitude", "postal_code", "day", "temperature"]
PUBLIC = [{"collection": "readings", "questions": ["by_place", "by_postal_code"], "read": SHOWN}]
PARTNER = [
    # `$key` is the id of the calling key. It is filled in, and nobody can write another's.
    {"collection": "feedback", "verbs": ["create"], "write": ["reading", "temperature"], "rows": {"partner": "$key"}},
    *PUBLIC,
]
STATION = [
    {"collection": "readings", "verbs": ["create", "edit"]},
    {"collection": "feedback", "verbs": ["get"]},
]


def correct_readings(station: Client, cursor: str, stop: threading.Event) -> None:
    """Follow the feed, and do what partners say. This is all that the weather service has to write."""
    for events, _ in station.follow(after=cursor, type="feedback.created", wait_seconds=1):
        for event in events:
            said = event["data"]
            correction = {"temperature": said["temperature"], "corrected_by": said["id"]}
            station.items("readings").edit(said["reading"], correction)
        if stop.is_set():
            return


def refused(what: str, status: int, call: Callable[[], object]) -> bool:
    """Whether a call is refused with this status. Prints the answer."""
    try:
        call()
    except ApiError as wrong:
        print(f"  {what:<42} {wrong.status} {wrong.code}: {wrong}")
        return wrong.status == status
    print(f"  {what:<42} was let in")
    return False


def ask(client: Client) -> list[dict[str, Any]]:
    """The two questions; the answers to both."""
    readings = client.items("readings")
    by_place = list(readings.ask("by_place", **HERE, day=DAY))
    by_code = list(readings.ask("by_postal_code", postal_code="10115", day=DAY))
    print(f"  by place: {[each['temperature'] for each in by_place]}, by postal code: {by_code[0]['temperature']}")
    return by_place + by_code


def documented(client: Client) -> list[str]:
    """What a key's own document says that it may do with items."""
    paths = client.send(read("/v1/openapi.json"))["paths"]
    return [
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method in operations
        if path.startswith("/v1/items")
    ]


def strangers(server: ProcessServer, public: Client, reading: str) -> list[bool]:
    """What the public, and others who are nobody, try in vain."""
    readings = public.items("readings")
    feedback = {"reading": reading, "temperature": 30}
    with Client(server.url) as nobody, Client(server.url, "tdk_" + "x" * 43) as forger:
        return [
            refused("a third question", 404, lambda: list(readings.ask("by_temperature", temperature=4.5))),
            refused("half a question", 422, lambda: list(readings.ask("by_place", **HERE))),
            refused("a question and a half", 422, lambda: list(readings.ask("by_place", **HERE, day=DAY, q="x"))),
            refused("the whole list", 403, lambda: list(readings.list(day=DAY))),
            refused("to set the temperature", 403, lambda: readings.edit(reading, {"temperature": 30})),
            refused("to add a reading", 403, lambda: readings.create({**HERE, "day": DAY, "temperature": 30})),
            refused("feedback with the public's key", 404, lambda: public.items("feedback").create(feedback)),
            refused("feedback without a key", 401, lambda: nobody.items("feedback").create(feedback)),
            refused("feedback with a key that is none", 401, lambda: forger.items("feedback").create(feedback)),
        ]


def say_it_is_wrong(partner: Client, key: str, reading: str) -> list[bool]:
    """The partner sets no temperature either, and is nobody else; it may only say what is right."""
    feedback = partner.items("feedback")
    said = {"reading": reading, "temperature": 6.5}
    well = [
        refused("a partner sets the temperature", 403, lambda: partner.items("readings").edit(reading, said)),
        refused("a partner speaks for another", 403, lambda: feedback.create({**said, "partner": "key_other"})),
    ]
    stored = feedback.create(said)
    print(f"  {'a partner says: it was 6.5':<42} 201 {stored['id']}, said by {stored['partner']}")
    return [*well, stored["partner"] == key]


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
        public_key = operator.create_key("the public", [], permits=PUBLIC)
        partner_key = operator.create_key("a partner", [], permits=PARTNER)
        station_key = operator.create_key("the station", ["events:read"], permits=STATION)
        secret = ""

        def check(request: Received) -> None:
            Webhook(secret).verify(request.body, dict(request.headers))

        with (
            Client(server.url, public_key["key"]) as public,
            Client(server.url, partner_key["key"]) as partner,
            Client(server.url, station_key["key"]) as station,
            Receiver(check) as app,
        ):
            endpoint = operator.create_endpoint(app.url("/weather"), events=["readings.corrected"])
            secret = operator.endpoint_secret(endpoint["id"])["secret"]
            made = station.items("readings").create({**HERE, "postal_code": "10115", "day": DAY, "temperature": 4.5})
            stop = threading.Event()
            follower = threading.Thread(target=correct_readings, args=(station, "start", stop))
            follower.start()
            try:
                menu = documented(public)
                print(f"The public's document has: {', '.join(menu)}\nIt asks:")
                before = ask(public)
                well = strangers(server, public, made["id"])
                well += say_it_is_wrong(partner, partner_key["id"], made["id"])
                [webhook] = app.wait_for(1)
                print("The reading was corrected. The public asks again:")
                after = ask(public)
            finally:
                stop.set()
                follower.join()
            stored = list(operator.items("feedback").list())
            well += [
                menu == ["GET /v1/items/readings:by_place", "GET /v1/items/readings:by_postal_code"],
                [each["temperature"] for each in before] == [4.5, 4.5],
                [each["temperature"] for each in after] == [6.5, 6.5],
                "corrected_by" not in after[0],
                webhook.json["data"]["corrected_by"] == stored[0]["id"] and len(stored) == 1,
                not app.refused and len(app.requests()) == 1,
            ]
    print("Two questions, and one voice that counts." if all(well) else f"That is not right: {well}")
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
