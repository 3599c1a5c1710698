"""Scenario 9, connect onboarding: a user is done at another site, which posts the account; it is on the user's item.

Run `python examples/connect_onboarding/run.py`. It ends with 1 where the account is not on the item, or comes twice, or
an unfinished process changes anything. The call to that site on the user's behalf is not part of it.
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
from tidings.testing import ProcessServer, until

CONFIG = Path(__file__).parent / "tidings.yaml"
SECRET = "agreed with the payment site"


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


def main() -> int:
    """Play it, and compare. The exit status."""
    os.environ["PAYMENTS_SECRET"] = SECRET
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
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
        changes = [event["type"] for event in operator.events(type="users.connected")]
        well = (
            (begun, impostor, done, repeated) == (200, 401, 200, 200)
            and (ann["account"], ann["payouts"]) == ("acct_1", True)
            and changes == ["users.connected"]
        )
    print("The account is on Ann's item, once." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
