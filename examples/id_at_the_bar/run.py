"""Scenario 20, ID at the bar: whoever has no right is refused, and told why.

Run `python examples/id_at_the_bar/run.py`. First callers: without a key, with a wrong one, with too few rights, of
another tenant. Then a waiter, whose key may do some things with items and no others. Then webhooks: from an impostor,
with an old timestamp, with a changed body, sent to two receivers. One checks with `tidings.client.verify`, the other
with the library standardwebhooks. Last come webhooks of a card terminal to Tidings itself: one is genuine, and the tab
is paid; others are forged, refused, and kept with the reason. It ends with 1 if anybody gets in.
"""

from __future__ import annotations

import hmac
import http.client
import json
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from tidings.client import ApiError, Client, verify
from tidings.client.calls import create
from tidings.testing import ProcessServer, Received, Receiver, until

sys.path.append(str(Path(__file__).parents[1]))
from independent import CHECKED_BY, Webhook

CONFIG = Path(__file__).parent / "tidings.yaml"
OLD = timedelta(minutes=6)
"""Receivers accept five minutes."""
TERMINAL_SECRET = "the secret that the card terminal signs with"
TRUSTED_CENTS = 10_000
WAITER = {
    "collection": "tabs",
    "verbs": ["list", "get", "create", "edit"],
    "write": ["guest", "cents"],
    "filter": ["guest"],
    "rows": {"paid": False, "cents": {"$lte": TRUSTED_CENTS}},
    "questions": ["by_guest"],
}
"""A waiter sees the tabs that are not paid, up to 100 euros, and writes what was drunk. Who has paid, others say."""

Forged = tuple[Mapping[str, str], bytes]
"""The headers and the body of a webhook."""


def refused(what: str, status: int, word: str, call: Callable[[], object]) -> bool:
    """Whether a call is answered with this status and a sentence that has this word. Prints the answer."""
    try:
        call()
    except ApiError as wrong:
        print(f"  {what:<22} {wrong.status} {wrong.code}: {wrong}")
        return wrong.status == status and word in str(wrong)
    print(f"  {what:<22} was let in")
    return False


def callers(url: str, operator: Client, endpoint: str) -> list[bool]:
    """Everybody who may not publish, or may not see the operator's endpoint."""
    operator.send(create("/v1/tenants", {"id": "acme"}))
    reader = operator.create_key("a reader", ["events:read"])["key"]
    acme = operator.create_key("acme", ["endpoints:read"], tenant="acme")["key"]
    gone = operator.create_key("an old key", ["events:write"])
    operator.revoke_key(gone["id"])

    def publish(key: str | None) -> object:
        with Client(url, key) as client:
            return client.publish("tasks.completed", {"id": "t_17"})

    def look(key: str) -> object:
        with Client(url, key) as client:
            return client.endpoint(endpoint)

    print("Callers:")
    return [
        refused("no key", 401, "Authorization: Bearer", lambda: publish(None)),
        refused("a wrong key", 401, "unknown", lambda: publish("tdk_" + "x" * 43)),
        refused("a revoked key", 401, "revoked", lambda: publish(gone["key"])),
        refused("too few rights", 403, "events:write", lambda: publish(reader)),
        refused("another tenant", 404, "no endpoint", lambda: look(acme)),
    ]


def items(url: str, operator: Client) -> list[bool]:
    """What a waiter's key may not do with tabs, and what others may not."""
    tabs = operator.items("tabs")
    open_tab, paid_tab = tabs.create({"guest": "anna", "cents": 750}), tabs.create({"guest": "bert", "paid": True})
    waiter_key = operator.create_key("a waiter", [], permits=[WAITER])["key"]
    acme_key = operator.create_key("acme's bar", ["items:read", "items:write"], tenant="acme")["key"]
    porter_key = operator.create_key("a porter", ["events:read"])["key"]
    ours = open_tab["id"]

    with Client(url, waiter_key) as waiter, Client(url, acme_key) as acme, Client(url, porter_key) as porter:
        mine = waiter.items("tabs")
        print("\nItems, as a waiter's key and others may have them:")
        well = [
            refused("a verb too many", 403, "may not delete", lambda: mine.delete(ours)),
            refused("a field too many", 403, "not write it", lambda: mine.edit(ours, {"paid": True})),
            refused("too much trust", 403, "row rule", lambda: mine.edit(ours, {"cents": TRUSTED_CENTS + 1})),
            refused("a row out of sight", 404, "no item", lambda: mine.get(paid_tab["id"])),
            refused("a filter too many", 422, "paid", lambda: list(mine.list(paid=True))),
            refused("a question too many", 404, "questions: by_guest", lambda: list(mine.ask("unpaid", paid=False))),
            refused("another tenant reads", 404, "no item", lambda: acme.items("tabs").get(ours)),
            refused("another tenant edits", 404, "no item", lambda: acme.items("tabs").edit(ours, {"cents": 0})),
            refused("no permit at all", 404, "no collection", lambda: list(porter.items("tabs").list())),
        ]
        seen = [tab["guest"] for tab in mine.list()]
        edited = mine.edit(ours, {"cents": 1200})
        print(f"  {'what it may do':<22} sees the tab of {', '.join(seen)}, and writes {edited['cents']} on it")
    return [*well, seen == ["anna"], edited["revision"] == 2, tabs.get(paid_tab["id"]) == paid_tab]


def forged(genuine: Received, secret: str) -> dict[str, Forged]:
    """Webhooks that must be refused, all made from a genuine one."""
    body = genuine.body
    mine = Webhook("whsec_" + b64encode(b"the impostor's own secret, 32 b.").decode())
    now, old = datetime.now(UTC), datetime.now(UTC) - OLD

    def headers(at: datetime, signature: str) -> dict[str, str]:
        stamp = str(int(at.timestamp()))
        return {"webhook-id": genuine.id, "webhook-timestamp": stamp, "webhook-signature": signature}

    genuine_headers = headers(datetime.fromtimestamp(genuine.timestamp, UTC), genuine.headers["webhook-signature"])
    return {
        "an impostor": (headers(now, mine.sign(genuine.id, now, body.decode())), body),
        "an old timestamp": (headers(old, Webhook(secret).sign(genuine.id, old, body.decode())), body),
        "a new timestamp": ({**genuine_headers, "webhook-timestamp": str(genuine.timestamp + 60)}, body),
        "a changed body": (genuine_headers, body.replace(b"t_17", b"t_18")),
        "no signature": ({}, body),
    }


def post(port: int, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Send a webhook as anybody could. The status of the answer, and its text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {**headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def webhooks(name: str, receiver: Receiver, secret: str) -> list[bool]:
    """Send what is forged to a receiver. Whether it took the genuine one, and refused each of the others."""
    [genuine] = receiver.wait_for(1)
    print(f"\nWebhooks, checked by {name}:")
    well = [not receiver.refused]
    print(f"  {'the genuine one':<22} {'is taken' if well[0] else 'WAS REFUSED'}")
    for what, (headers, body) in forged(genuine, secret).items():
        status, text = post(receiver.port, "/hooks", headers, body)
        print(f"  {what:<22} {status} {text}")
        well.append(status == 400 and text != "")
    return well


def signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """The header with which the card terminal signs, as Stripe does."""
    stamp = int(at.timestamp())
    signature = hmac.new(secret.encode(), b"%d.%b" % (stamp, body), "sha256").hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={signature}"}


def hooks(port: int, operator: Client) -> list[bool]:
    """Webhooks to Tidings: what the card terminal says about a tab counts, what others say about it does not."""
    tabs = operator.items("tabs")
    [mine, theirs] = [tabs.create({"guest": guest, "cents": 1_200})["id"] for guest in ("carla", "dora")]

    def paid(tab: str, number: int) -> bytes:
        return json.dumps({"id": f"pay_{number}", "tab": tab}).encode()

    now, genuine = datetime.now(UTC), paid(mine, 1)
    headers = signed(TERMINAL_SECRET, now, genuine)
    forged = {
        "an impostor": (signed("a guess", now, paid(theirs, 2)), paid(theirs, 2), "no_match"),
        "an old timestamp": (signed(TERMINAL_SECRET, now - OLD, paid(theirs, 3)), paid(theirs, 3), "too_old"),
        "a changed body": (headers, paid(theirs, 1), "no_match"),
        "no signature": ({}, paid(theirs, 4), "missing_header"),
    }
    print("\nWebhooks to Tidings itself:")
    well, kept = [], {}
    for what in ("the genuine one", "the same again"):
        status, _ = post(port, "/in/card-terminal", headers, genuine)
        print(f"  {what:<22} {status}")
        well.append(status == 200)
    for what, (lines, body, _) in forged.items():
        status, text = post(port, "/in/card-terminal", lines, body)
        print(f"  {what:<22} {status} {text.strip()}")
        well.append(status == 401)
        kept[what] = text.split()[-1].rstrip(".")
    status, text = post(port, "/in/back-door", headers, genuine)
    print(f"  {'another path':<22} {status} {text.strip()}")

    until(lambda: tabs.get(mine)["paid"], "the tab is paid")
    until(lambda: len(list(operator.pages("/v1/refusals"))) == len(forged), "what was refused is kept")
    print("Kept with the reason:")
    for what, (_, _, reason) in forged.items():
        refusal = operator.receipt(kept[what])
        print(f"  {what:<22} {refusal['reason']}: {refusal['detail']}")
        well.append(refusal["reason"] == reason)
    events = list(operator.events(type="bar.*"))
    return [*well, status == 404, len(events) == 1, not tabs.get(theirs)["paid"]]


def main() -> int:
    """Play it, and compare. The exit status."""
    os.environ["TERMINAL_SECRET"] = TERMINAL_SECRET
    secrets: dict[str, str] = {}

    def by_us(request: Received) -> None:
        verify(request.headers, request.body, secrets["tidings.client.verify"])

    def by_others(request: Received) -> None:
        Webhook(secrets[CHECKED_BY]).verify(request.body, dict(request.headers))

    with (
        ProcessServer(config=CONFIG) as server,
        Client(server.url, server.api.key) as operator,
        Receiver(by_us) as ours,
        Receiver(by_others) as theirs,
    ):
        receivers = {"tidings.client.verify": ours, CHECKED_BY: theirs}
        for name, receiver in receivers.items():
            endpoint = operator.create_endpoint(receiver.url("/hooks"), events=["tasks.*"])["id"]
            secrets[name] = operator.endpoint_secret(endpoint)["secret"]
        well = callers(server.url, operator, endpoint)
        stored = list(operator.events())
        well.append(not stored)
        well += items(server.url, operator)
        operator.publish("tasks.completed", {"id": "t_17"})
        for name, receiver in receivers.items():
            well += webhooks(name, receiver, secrets[name])
        well += hooks(urlsplit(server.url).port or 80, operator)
    print("\nNobody got in who should not." if all(well) else f"\nSomething is not as it should be: {well}")
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
