"""Scenario 22, chat message: events are posted into a chat tool's incoming webhook, in that tool's own format.

Run `python examples/chat_message/run.py`. The chat is played by a server that accepts only what such a tool accepts, is
too busy at first, and shows each message as its readers would see it. It ends with 1 where a message is missing, comes
twice, or where a text in an event has become more than text.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tidings.config import read_config
from tidings.testing import Reaction, Received, Receiver, TestServer, until

FILE = Path(__file__).parent / "tidings.yaml"
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("shop.order.created", {"id": "o-1", "title": "Two chairs"}),
    ("shop.order.updated", {"id": "o-1", "title": 'Four "chairs"}, {"text": "x'}),
    ("shop.order.created", {"id": "o-2", "title": "<!channel> <https://evil.example|Click> & {{ data.id }}"}),
    ("alarm", {"level": "low", "from": "cellar", "message": "A bit damp"}),
    ("alarm", {"level": "high", "from": "cellar", "message": 'Water!\r\n"}], "channel": "#all'}),
)
WANTED = [
    "*New order* o-1: Two chairs",
    '*Order changed* o-1: Four "chairs"}, {"text": "x',
    "*New order* o-2: &lt;!channel&gt; &lt;https://evil.example|Click&gt; &amp; {{ data.id }}",
    "Alarm from cellar",
]


def accepts(received: Received) -> Reaction:
    """As the tool answers: 200 and `ok`, or 400 and what is wrong."""
    message = json.loads(received.body)
    right = received.path == "/services/T024/B17/k3y" and set(message) <= {"text", "blocks"} and message.get("text")
    return Reaction(status=200, body=b"ok") if right else Reaction(status=400, body=b"invalid_payload")


def main() -> int:
    """Play it. The exit status."""
    with Receiver() as chat, TestServer(allow_addresses="") as server:
        os.environ["CHAT_URL"] = chat.url("").rstrip("/")
        config = read_config(FILE)
        server.api.post("/v1/links:apply", {"connections": config.connections, "links": config.links})
        busy = [Reaction(status=429, headers={"Retry-After": "1"})]
        chat.answer_by(lambda received: busy.pop() if busy else accepts(received))
        events = [server.api.publish(kind, data, subject=str(data.get("id"))) for kind, data in EVENTS]
        for event in events:
            ended = lambda event=event: server.api.pages("/v1/deliveries", event=event, state="delivered")  # noqa: E731
            until(ended, f"{event} is posted", 30)
        posted = [json.loads(each.body) for each in chat.requests()]
        skipped = server.api.pages("/v1/deliveries", outcome="skipped")
    shown = {message["text"] for message in posted}
    for text in WANTED:
        print(text if text in shown else f"missing: {text}")
    alarms = [message["blocks"][0]["text"] for message in posted if "blocks" in message]
    print(f"{len(posted)} requests, one while the chat was too busy; {len(skipped)} event was not sent.")
    plain = alarms == [{"type": "plain_text", "text": EVENTS[-1][1]["message"]}]
    well = shown == set(WANTED) and len(posted) == len(WANTED) + 1 and len(skipped) == 1 and plain
    print("Each message is what its template says, and no text became more than text." if well else "That is wrong.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
