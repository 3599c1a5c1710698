"""Svix's SDK for Python in its first major version: `judge.py URL KEY RECEIVER`. It prints each step that worked.

After `sent` it reads what the receiver got, as one line of JSON, and verifies it.
"""

import json
import sys

from svix.api import (
    ApplicationIn,
    AppPortalAccessIn,
    EndpointIn,
    EndpointPatch,
    EventTypeIn,
    MessageIn,
    Svix,
    SvixOptions,
)
from svix.exceptions import HttpError, HTTPValidationError
from svix.webhooks import Webhook

url, key, receiver = sys.argv[1:]
svix = Svix(key, SvixOptions(server_url=url))


def step(text):
    print(text, flush=True)


app = svix.application.create(ApplicationIn(name="App"))
assert svix.application.get(app.id).name == "App"
assert app.id in [each.id for each in svix.application.list().data]
step("application")
for name in ("event.started", "event.ended"):
    try:
        svix.event_type.create(EventTypeIn(name=name, description="Something"))
    except HttpError as wrong:
        assert wrong.status_code == 409
step("event types")
endpoint = svix.endpoint.create(app.id, EndpointIn(url=receiver, channels=["ch0", "ch1"]))
assert set(endpoint.channels) == {"ch0", "ch1"}
patched = svix.endpoint.patch(app.id, endpoint.id, EndpointPatch(filter_types=["event.started", "event.ended"]))
assert set(patched.channels) == {"ch0", "ch1"} and set(patched.filter_types) == {"event.started", "event.ended"}
step("endpoint")
payload = {"amount": 12.5, "name": "é"}
message = svix.message.create(app.id, MessageIn(event_type="event.started", payload=payload, channels=["ch1"]))
assert message.channels == ["ch1"] and message.payload == payload
step("sent")
got = json.loads(sys.stdin.readline())
secret = svix.endpoint.get_secret(app.id, endpoint.id).key
assert Webhook(secret).verify(got["body"], got["headers"]) == payload
step("verified")
attempts = []
while not attempts:
    attempts = svix.message_attempt.list_by_msg(app.id, message.id).data
assert attempts[0].status == 0 and attempts[0].endpoint_id == endpoint.id
svix.message_attempt.resend(app.id, message.id, endpoint.id)
assert svix.message.list(app.id).data[0].payload == payload
step("attempts")
assert "/portal/" in svix.authentication.app_portal_access(app.id, AppPortalAccessIn()).url
assert "/portal/" in svix.authentication.dashboard_access(app.id).url
step("portal")
try:
    svix.endpoint.create(app.id, EndpointIn(url="nonsense"))
except HTTPValidationError as wrong:
    assert wrong.detail[0].loc == ["body", "url"]
svix.endpoint.delete(app.id, endpoint.id)
svix.application.delete(app.id)
step("deleted")
