"""For our tests and those of users: a receiver of webhooks, a server in a temporary folder, a clock to move by hand.

from tidings.testing import Receiver, TestServer

with TestServer() as server, Receiver() as receiver:
    server.api.post("/v1/endpoints", {"url": receiver.url("/hook")})
    server.api.post("/v1/events", {"type": "tasks.completed", "data": {"task": 7}})
    [webhook] = receiver.wait_for(1)
    assert webhook.json["data"] == {"task": 7}
"""

from __future__ import annotations

from tidings.testing.api import Api, ApiError, ApiReply
from tidings.testing.clock import FakeClock
from tidings.testing.process import ProcessServer
from tidings.testing.receiver import Received, Receiver
from tidings.testing.script import Reaction
from tidings.testing.server import TestServer
from tidings.testing.waiting import NotInTime, until

__all__ = [
    "Api",
    "ApiError",
    "ApiReply",
    "FakeClock",
    "NotInTime",
    "ProcessServer",
    "Reaction",
    "Received",
    "Receiver",
    "TestServer",
    "until",
]
