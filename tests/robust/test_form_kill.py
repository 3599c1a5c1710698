"""kill -9 at random moments while a form is submitted: whoever was thanked is an event, exactly once."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.callers import Callers
from tests.forms.world import DeclaredForm, ask, token_in
from tidings.testing import ProcessServer

KILLS = 5
PEOPLE = 6


@pytest.mark.slow
def test_forms_through_kills_at_random_moments(tmp_path: Path, database: str | None) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    numbers = itertools.count(1)
    thanked: list[int] = []
    pages: dict[int, str] = {}
    with ProcessServer(tmp_path, database=database) as server:
        view = {"path": "guest", "fields": {"n": {"type": "integer"}}, "max_per_minute": 0}
        form = DeclaredForm(server, server.api.post("/v1/forms", view))  # type: ignore[arg-type]

        def submit(number: int) -> None:
            if number not in pages:
                pages[number] = token_in(ask(server.url, "GET", form.path, b"", {}).body.decode())
            answer = form.post({"n": str(number), "_token": pages[number]})
            assert answer.status in (200, 503), answer
            if answer.status == 200:
                thanked.append(number)

        def person(_: int) -> None:
            while True:
                number = next(numbers)
                unsure.append(number)
                submit(number)
                unsure.remove(number)

        unsure: list[int] = []
        for _ in range(KILLS):
            people = Callers(PEOPLE, person)
            time.sleep(0.2 + chance.random())
            server.kill()
            people.join()
            server.start()
            # Whoever saw no thanks presses the button again; so does, now and then, one who did.
            again = [*unsure, *chance.sample(thanked, min(20, len(thanked)))]
            unsure.clear()
            for number in again:
                submit(number)
        events = Counter(event["data"]["n"] for event in server.api.pages("/v1/events", limit=1000))
        receipts = server.api.pages("/v1/receipts", limit=1000)
        print(f"{len(set(thanked))} thanked, {KILLS} kills")
    assert thanked and set(thanked) <= set(events), "a person who was thanked is no event"
    assert set(events.values()) == {1}, "a submission is two events"
    assert len(receipts) == len(events), "receipt and event are one transaction"
