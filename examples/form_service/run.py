"""Scenario 5, form service: a form service posts what people filled in, with its handshake key, and we store it.

Run `python examples/form_service/run.py`. It ends with 1 where a right key is not acted on, or a wrong one is.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tidings.client import Client
from tidings.testing import ProcessServer, until

CONFIG = Path(__file__).parent / "tidings.yaml"
KEY = "the key that was typed into the form service"


def send(url: str, name: str, email: str, entry: int, key: str | None) -> int:
    """What the form service does: POST the fields as a browser would, and the key among them. The answer's status."""
    fields = {"Field1": name, "Field2": email, "EntryId": str(entry)} | ({"HandshakeKey": key} if key else {})
    request = urllib.request.Request(f"{url}/in/invitation", urllib.parse.urlencode(fields).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def main() -> int:
    """Play it, and compare. The exit status."""
    os.environ["FORM_KEY"] = KEY
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
        right = send(server.url, "Ann", "ann@example.com", 1, KEY)
        until(lambda: list(operator.items("guests").list()), "the guest is stored")
        wrong = send(server.url, "Eve", "eve@example.com", 2, "a guess")
        none = send(server.url, "Eve", "eve@example.com", 3, None)
        print(f"Ann fills in the form: {right}. With a wrong key: {wrong}, with none: {none}")
        guests = [(guest["name"], guest["email"]) for guest in operator.items("guests").list()]
        refusals = until(lambda: len(kept := list(operator.pages("/v1/refusals"))) == 2 and kept, "both are kept")
        for refusal in refusals:
            print(f"Refused and kept: {refusal['reason']}")
        events = [event["type"] for event in operator.events(type="form.*")]
        print(f"The guests: {guests}")
        well = (
            (right, wrong, none) == (200, 401, 401)
            and guests == [("Ann", "ann@example.com")]
            and len(refusals) == 2
            and events == ["form.invitation"]
        )
    print("Only what the form service sent was acted on." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
