"""Scenario 13, welcome mail: a new user gets one mail; an edit sends none, and neither does a replay of the whole log.

Run `python examples/welcome_mail/run.py`. The mail server is played by examples/mail_server.py, which asks to try again
later at first, and refuses one user for good. It ends with 1 where a mail is missing, or one too many is sent.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tidings.config import read_config
from tidings.testing import Api, TestServer, until

sys.path.append(str(Path(__file__).parents[1]))
from mail_server import Mailbox

FILE = Path(__file__).parent / "tidings.yaml"
USERS = {
    "ada": {"name": "Ada <b>King</b>", "email": "ada@example.com"},
    "bob": {"email": "bob@example.com"},
    "eve": {"name": "Eve\r\nBcc: everybody@example.com", "email": "eve@example.com"},
    "gone": {"name": "Gone", "email": "gone@example.com"},
}


def states(api: Api) -> list[str]:
    """The states of the link's deliveries."""
    return [each["state"] for each in api.pages("/v1/deliveries", link="welcome")]


def play(api: Api, mailbox: Mailbox) -> tuple[int, int]:
    """Users sign up, are edited, and everything is replayed: how many mails there are before and after the replay."""
    mailbox.refusals.append(b"451 greylisted, try later")
    for ident, user in list(USERS.items())[:-1]:
        api.put(f"/v1/items/users/{ident}", user)
    until(lambda: len(mailbox.mails) == 3, "three mails arrive", 20)
    mailbox.refusals.append(b"550 no such mailbox")
    api.put("/v1/items/users/gone", USERS["gone"])
    until(lambda: sorted(states(api)) == ["dead", *["delivered"] * 3], "every delivery has ended", 20)
    api.patch("/v1/items/users/ada", {"name": "Ada Lovelace"})
    before = len(mailbox.mails)
    for delivery in api.pages("/v1/deliveries", link="welcome", state="delivered"):
        api.post(f"/v1/deliveries/{delivery['id']}:retry")
    until(lambda: len(api.pages("/v1/deliveries", link="welcome", outcome="skipped")) == 3, "all are skipped", 20)
    return before, len(mailbox.mails)


def main() -> int:
    """Play it. The exit status."""
    with Mailbox() as mailbox, TestServer(allow_addresses="") as server:
        os.environ["MAIL_SERVER"] = mailbox.url
        config = read_config(FILE)
        declared = {"links": config.links, "connections": config.connections}
        server.api.post("/v1/collections:apply", {"collections": config.collections, **declared})
        before, after = play(server.api, mailbox)
        (dead,) = server.api.pages("/v1/deliveries", link="welcome", state="dead")
        reason = server.api.get(f"/v1/deliveries/{dead['id']}")["attempts"][-1]["reason"]
    for mail in sorted(mailbox.mails, key=lambda mail: str(mail["To"])):
        print(f"{mail['To']}: {mail['Subject']}")
    print(f"gone@example.com: {reason}")
    print(f"{before} mails before everything was replayed, {after} afterwards.")
    injected = [mail for mail in mailbox.mails if mail["Bcc"] is not None]
    well = before == after == 3 and not injected and "550 no such mailbox" in reason
    print("One welcome for each user, none for edits and replays." if well else "That is wrong.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
