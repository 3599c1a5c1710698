"""Scenario 9, connect onboarding: a user is done at another site, which posts the account; later calls act for it.

Run `python examples/connect_onboarding/run.py`. It ends with 1 where the account is not on the item, or comes twice, or
an unfinished process changes anything, or where the payment site is not called for that account, once for each payout.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tidings.client import Client
from tidings.testing import ProcessServer, Received, Receiver, until

CONFIG = Path(__file__).parent / "tidings.yaml"
SECRET = "agreed with the payment site"


class Site:
    """The payment site's API: a payout for a connected account. It fails the first time, after the payout."""

    def __init__(self) -> None:
        self.payouts: dict[str, tuple[str, int]] = {}
        """The account and the cents, by the key that repeated calls share."""
        self.calls = 0

    def answer(self, request: Received) -> int:
        """Make a payout, or say why not."""
        self.calls += 1
        account = request.headers.get("x-account", "")
        if request.headers.get("authorization") != "Bearer our-key":
            return 401
        if account != "acct_1" or set(request.json) != {"cents", "currency"}:
            return 403
        self.payouts[request.headers["idempotency-key"]] = (account, request.json["cents"])
        return 500 if self.calls == 1 else 201


def send(url: str, news: dict[str, Any], secret: str = SECRET) -> int:
    """What the payment site does: POST the news, signed. The status of the answer."""
    body = json.dumps(news).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": signature}
    request = urllib.request.Request(f"{url}/in/payments", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def news(status: str, account: str) -> dict[str, Any]:
    """What it says about the user ann."""
    return {"our_user": "ann", "status": status, "account": {"id": account, "payouts_enabled": status == "complete"}}


def sign_up(server: ProcessServer, operator: Client) -> bool:
    """Ann signs up at the site. Whether her account is on her item, once."""
    users = operator.items("users")
    users.put("ann", {"name": "Ann"})
    begun = send(server.url, news("pending", "acct_1"))
    print(f"Ann begins at the payment site: {begun}. Her account here: {users.get('ann')['account']}")
    impostor = send(server.url, news("complete", "acct_evil"), "a guess")
    done = send(server.url, news("complete", "acct_1"))
    until(lambda: users.get("ann")["account"], "the account is on the item")
    repeated = send(server.url, news("complete", "acct_1"))
    ann = users.get("ann")
    print(f"She is done: {done}, said again: {repeated}. Her account here: {ann['account']}")
    return (
        (begun, impostor, done, repeated) == (200, 401, 200, 200)
        and (ann["account"], ann["payouts"]) == ("acct_1", True)
        and len(list(operator.events(type="users.connected"))) == 1
    )


def pay_out(operator: Client, site: Site) -> list[tuple[str, int]]:
    """Ann earns something, twice, and so does Bob, who has no account there. The payouts that the site made."""
    users = operator.items("users")
    users.put("bob", {"name": "Bob"})
    for user, cents in (("bob", 900), ("ann", 1_250), ("ann", 3_000)):
        users.edit(user, {"earned_cents": cents})
    until(lambda: len(site.payouts) == 2, "both payouts are made", 30)
    found = sorted(site.payouts.values())
    print(f"{site.calls} calls, one of them repeated, made these payouts:\n  {found}")
    return found


def main() -> int:
    """Play it, and compare. The exit status."""
    site = Site()
    with Receiver() as http:
        http.answer_by(site.answer)
        os.environ.update(PAYMENTS_SECRET=SECRET, PAYMENTS_URL=http.url("").rstrip("/"), PAYMENTS_KEY="our-key")
        with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
            well = sign_up(server, operator)
            paid = pay_out(operator, site)
    well = well and site.calls == 3 and paid == [("acct_1", 1_250), ("acct_1", 1_750)]
    said = "The account is on Ann's item, once, and each payout names it."
    print(said if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
