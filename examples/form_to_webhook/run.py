"""Scenario 4, form to webhook: a person fills in a form, and some of its fields go to another service.

Run `python examples/form_to_webhook/run.py`. It ends with 1 if the service gets another field, or a form without a
required field is taken.
"""

from __future__ import annotations

import html
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tidings.client import Client, verify
from tidings.testing import ProcessServer, Receiver

CONFIG = Path(__file__).parent / "tidings.yaml"
ANN = {"name": "Ann", "email": "ann@example.com", "phone": "+43 1 234 5678", "message": "Do you ship to Graz?"}


def fill_in(page: str, values: dict[str, str]) -> tuple[int, str]:
    """What a browser does: read the page, and send its fields with what was typed. The status and the next page."""
    with urllib.request.urlopen(page) as opened:
        token = re.search('name="_token" value="([^"]*)"', opened.read().decode())
    assert token is not None
    sent = urllib.parse.urlencode({**values, "website": "", "_token": html.unescape(token[1])}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(page, sent)) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def main() -> int:
    """Play it, and compare. The exit status."""
    with (
        Receiver() as leads,
        ProcessServer(config=CONFIG) as server,
        Client(server.url, server.api.key) as operator,
    ):
        page = f"{server.url}/f/contact"
        endpoint = operator.create_endpoint(
            leads.url("/new"), events=["form.contact.submitted"], fields=["email", "message"], body="bare"
        )
        secret = operator.endpoint_secret(endpoint["id"])["secret"]
        status, said = fill_in(page, {**ANN, "email": ""})
        which = re.findall('<a href="#f-([a-z]+)">([^<]+)</a>', said)
        print(f"Without an email: {status}, and the page says: check {which}")
        keeps = html.escape(ANN["message"]) in said
        sent, thanks = fill_in(page, ANN)
        print(f"With everything: {sent}, and the page says: {re.findall('<p>(.*)</p>', thanks)[0]}")
        [webhook] = leads.wait_for(1)
        verify(webhook.headers, webhook.body, secret)
        print(f"The service got, signed:\n  {webhook.json}")
        events = [event["data"] for event in operator.events(type="form.contact.submitted")]
        well = (
            (status, which, keeps, sent) == (422, [("email", "Your email")], True, 200)
            and webhook.json == {"email": ANN["email"], "message": ANN["message"]}
            and events == [ANN]
            and len(leads.requests()) == 1
        )
    print("The service has those fields, and only those." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
