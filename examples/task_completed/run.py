"""Scenario 1, task completed: an app works with tasks through the API, and a customer hears of one that is done.

Run `python examples/task_completed/run.py`. The app lists, creates, edits and deletes; the customer's URL is registered
for `tasks.completed` alone. It ends with 1 where that URL gets anything else, gets it late, or signed by somebody else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tidings.client import Client
from tidings.client.calls import create
from tidings.testing import ProcessServer, Received, Receiver

sys.path.append(str(Path(__file__).parents[1]))
from independent import Webhook

CONFIG = Path(__file__).parent / "tidings.yaml"
PERMIT = {"collection": "tasks", "verbs": ["list", "get", "create", "edit", "delete"], "filter": ["done"]}
SOON_SECONDS = 1.0


def work(app: Client) -> tuple[str, float]:
    """What the app does on one day. The id of the task that was completed, and when that was."""
    tasks = app.items("tasks")
    plants = tasks.create({"title": "Water the plants", "due": "2026-12-01"})
    dog = tasks.create({"title": "Walk the dog"})
    print(f"The app creates {plants['id']}, {plants['title']!r}, and {dog['id']}, {dog['title']!r}.")
    tasks.edit(plants["id"], {"title": "Water all the plants"})
    tasks.edit(dog["id"], {"due": "2026-12-02"})
    print("It changes a title and a day. Nobody asked to hear of that.")

    completed = time.monotonic()
    tasks.edit(plants["id"], {"done": True})
    print("It edits one task to done.")

    tasks.edit(plants["id"], {"title": "Water all the plants, again"})
    tasks.delete(dog["id"])
    left = [task["title"] for task in tasks.list(done=True)]
    print(f"It edits that task once more, deletes the other, and lists what is done: {left}")
    return str(plants["id"]), completed


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
        operator.send(create("/v1/tenants", {"id": "acme"}))
        app_key = operator.create_key("the app", [], permits=[PERMIT], tenant="acme")["key"]
        customer_key = operator.create_key("a customer", ["endpoints:read", "endpoints:write"], tenant="acme")["key"]
        secret = ""

        def check(request: Received) -> None:
            Webhook(secret).verify(request.body, dict(request.headers))

        with Receiver(check) as receiver, Client(server.url, customer_key) as customer:
            endpoint = customer.create_endpoint(receiver.url("/hooks"), events=["tasks.completed"])
            secret = customer.endpoint_secret(endpoint["id"])["secret"]
            print("A customer registers a URL for tasks.completed.")
            with Client(server.url, app_key) as app:
                task, completed = work(app)
            [webhook] = receiver.wait_for(1)
            late = webhook.at - completed
            print(f"\nThe URL got {webhook.json['type']} after {1000 * late:.0f} ms: {webhook.json['data']}")
            print(f"  previous: {webhook.json['previous']}, changed: {webhook.json['changed']}")

            told = [event["type"] for event in operator.events(collection="tasks", sort="created")]
            sent = [delivery["event_id"] for delivery in operator.deliveries()]
            print(f"Of {len(told)} events in the log, {len(sent)} was sent: {', '.join(told)}")
            well = (
                sent == [webhook.id]
                and len(receiver.requests()) == 1
                and not receiver.refused
                and late < SOON_SECONDS
                and webhook.json["data"]["id"] == task
                and webhook.json["data"]["done"] is True
            )
    print("One webhook, genuine and in time." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
