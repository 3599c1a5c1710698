"""tests/data/links.yaml, link by link: each does what it says, with local peers in place of the services it names."""

from __future__ import annotations

import base64
import hmac
import html
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

from tests.calls.test_mail import MailServer
from tests.repository import ROOT
from tidings.config import Config, read_config
from tidings.model.moment import from_text
from tidings.testing import FakeClock, Reaction, Received, Receiver, TestServer, until
from tidings.testing.ports import free_port

pytestmark = pytest.mark.slow

FILE = ROOT / "tests" / "data" / "links.yaml"
SERVICES = {
    "sf": "https://acme.my.salesforce.com",
    "ns": "https://123.suitetalk.api.netsuite.com",
    "sms": "https://api.twilio.com",
    "crm": "https://crm.example.com",
    "shop": "https://shop.example.com",
}
SECRETS = {
    "SF_ID": "sf-id",
    "SF_SECRET": "sf-secret",
    "NS_ID": "ns-id",
    "NS_KID": "kid-1",
    "NS_CK": "ck",
    "NS_CS": "cs",
    "NS_T": "tk",
    "NS_TS": "ts",
    "TW_SID": "AC1",
    "TW_TOKEN": "tw",
    "STRIPE_KEY": "sk_test",
    "SHOP_KEY": "shop-key",
    "STRIPE_WH": "whsec_example",
    "SHOP_WH": "agreed with the shop",
}
Answer = Callable[[Received], Any]


class World:
    """A server with some of the file's links, and its services. What an answer returns is JSON, XML, or a reaction."""

    def __init__(self, server: TestServer, config: Config, peers: dict[str, Receiver], mailbox: MailServer) -> None:
        self.server, self.config, self.peers, self.mailbox = server, config, peers, mailbox
        self.api = server.api

    def declare(self, *names: str) -> None:
        """Declare these links of the file, with all connections."""
        links, hooks, forms = (section or {} for section in (self.config.links, self.config.hooks, self.config.forms))
        for name in names:
            if name in hooks:
                self.api.post("/v1/hooks", hooks[name])
            if name in forms:
                self.api.post("/v1/forms", forms[name])
        acting = {name: links[name] for name in names if name in links}
        self.api.post("/v1/links:apply", {"links": acting, "connections": self.config.connections})

    def answers(self, service: str, answer: Answer) -> None:
        """Let a service answer."""
        self.peers[service].answer_by(lambda request: _reaction(answer(request)))

    def got(self, service: str, *method: str) -> list[Received]:
        """The requests of a service but for those for tokens."""
        found = [each for each in self.peers[service].requests() if not each.path.endswith("/token")]
        return [each for each in found if not method or each.method in method]

    def events(self, type: str) -> list[Any]:
        """The events of a type, oldest first."""
        return list(reversed(self.api.pages("/v1/events", type=type)))

    def settled(self) -> None:
        """Everything that follows from what has happened is done."""
        until(lambda: not self.api.pages("/v1/deliveries", state="waiting"), "nothing waits", 20)


def _reaction(found: Any) -> Reaction | int | None:
    if found is None or isinstance(found, (Reaction, int)):
        return found
    if isinstance(found, str):
        return Reaction(status=200, body=found.encode(), headers={"Content-Type": "text/xml"})
    return Reaction(status=200, body=json.dumps(found).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(from_text("2026-11-30T12:00:00Z"), ticking=True)


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, value in {**SECRETS, "NS_KEY": pem.decode()}.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        mailbox = MailServer()
        controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
        controller.start()
        stack.callback(controller.stop)
        peers = {name: stack.enter_context(Receiver()) for name in SERVICES}
        text = FILE.read_text().replace("smtp://127.0.0.1:1025", f"smtp://127.0.0.1:{controller.port}")
        for name, base in SERVICES.items():
            assert base in text
            text = text.replace(base, peers[name].url("").rstrip("/"))
        (tmp_path / "links.yaml").write_text(text)
        config = read_config(tmp_path / "links.yaml")
        server = stack.enter_context(TestServer(tmp_path / "tidings", clock=clock))
        yield World(server, config, peers, mailbox)


def token(request: Received) -> dict[str, Any] | None:
    """The answer of a token endpoint; None for other requests."""
    if not request.path.endswith("/token"):
        return None
    return {"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 3600}


def contact(ident: str, **more: Any) -> dict[str, Any]:
    fields = {"FirstName": "Ann", "LastName": f"O'Hara <{ident}>", "Email": f"{ident}@example.com", "IsDeleted": False}
    return {"attributes": {"type": "Contact"}, "Id": ident, **fields, "SystemModstamp": "2026-11-30T11:00:00Z", **more}


def test_1a_contacts_go_from_one_system_to_the_other(world: World) -> None:
    pages: list[dict[str, Any]] = [
        {"records": [contact("003A"), contact("003B", Phone=None)], "nextRecordsUrl": "/services/data/v65.0/query/n-2"},
        {"records": [contact("003C", LastName=None, Phone="+1"), contact("003D", Email=None)], "done": True},
    ]
    world.answers("sf", lambda request: token(request) or pages["n-2" in request.path])
    world.answers("ns", lambda request: token(request) or 204)
    world.declare("sf-contacts", "ns-customer", "ns-customer-off")
    until(lambda: len(world.got("ns")) >= 4, "the customers are written")
    first = parse_qs(urlsplit(world.got("sf")[0].path).query)["q"][0]
    assert first.endswith("WHERE SystemModstamp >= 2026-01-01T00:00:00Z ORDER BY SystemModstamp, Id")
    assert world.got("sf")[0].headers["authorization"] == "Bearer t0k3n"
    (asked,) = [each for each in world.peers["ns"].requests() if each.path.endswith("/token")]
    form = dict(parse_qsl(asked.body.decode()))
    assert form["grant_type"] == "client_credentials" and form["client_assertion_type"].endswith("jwt-bearer")
    head = json.loads(base64.urlsafe_b64decode(form["client_assertion"].split(".")[0] + "=="))
    assert head["kid"] == "kid-1"
    written = {each.path.rpartition("SF-")[2]: each.json for each in world.got("ns", "PUT")}
    assert written["003A"] == {
        "isPerson": True,
        "firstName": "Ann",
        "lastName": "O'Hara <003A>",
        "email": "003A@example.com",
    }
    assert written["003B"]["phone"] is None and written["003C"]["phone"] == "+1"
    assert written["003C"]["lastName"] == "unknown"
    # A contact is deleted: only the pair's other link acts, after whatever waited for it.
    pages[0]["records"] = [contact("003A", IsDeleted=True)]
    world.api.post("/v1/links/sf-contacts:run")
    until(lambda: world.got("ns", "PATCH"), "it is switched off")
    (off,) = world.got("ns", "PATCH")
    assert (off.path, off.json) == ("/services/rest/record/v1/customer/eid:SF-003A", {"isInactive": True})
    world.settled()
    assert len(world.events("sf.contact.*")) == 5
    assert parse_qs(urlsplit(world.got("sf")[-2].path).query)["q"][0].find("2026-11-30T10:55:00") > 0, "5 m overlap"


SOAP = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body></e:Envelope>'
QUERIED = "<q:{0}Response xmlns:q='urn:x'><q:result>{1}</q:result></q:{0}Response>"


def test_1b_the_same_over_soap(world: World) -> None:
    names = "<q:Id>{}</q:Id><q:LastName>A &amp; {}</q:LastName>"
    record = f"<q:records>{names}<q:SystemModstamp>{{}}</q:SystemModstamp></q:records>"
    modified = {"003A": "2026-11-30T11:00:00Z", "003B": "2026-11-30T11:00:00Z"}

    def salesforce(request: Received) -> Any:
        if (found := token(request)) is not None:
            return found
        assert b"<u:sessionId>t0k3n</u:sessionId>" in request.body
        rows = [record.format(key, key, at) for key, at in modified.items()]
        if b"queryMore" in request.body:
            assert b"<u:queryLocator>loc-1</u:queryLocator>" in request.body
            return SOAP.format(QUERIED.format("queryMore", "<q:done>true</q:done>" + rows[1]))
        first = "<q:done>false</q:done><q:queryLocator>loc-1</q:queryLocator>" + rows[0]
        return SOAP.format(QUERIED.format("queryAll", first))

    status = "<u:writeResponse><u:status isSuccess='{}'/></u:writeResponse>"
    upserted = f"<u:upsertResponse xmlns:u='urn:y'>{status}</u:upsertResponse>"
    fails = ["false"]
    world.answers("sf", salesforce)
    world.answers("ns", lambda request: SOAP.format(upserted.format(fails.pop() if fails else "true")))
    world.declare("sf-contacts-soap", "ns-customer-soap")
    until(lambda: world.api.pages("/v1/deliveries", link="sf-contacts-soap", state="delivered"), "the mirror is filled")
    assert world.got("ns") == [], "`from: now` emits nothing the first time"
    modified["003B"] = "2026-11-30T11:30:00Z"
    modified["003C"] = modified.pop("003A")
    until(lambda: world.api.call("POST", "/v1/links/sf-contacts-soap:run").status == 202, "it runs")
    until(lambda: world.got("ns"), "the difference is written")
    server, clock = world.server, world.server.clock
    assert isinstance(clock, FakeClock) and server is not None
    until(lambda: _advanced(clock, lambda: len(world.got("ns")) >= 3), "a failure in a 200 is tried again")
    (first, *_, last) = world.got("ns")
    assert first.headers["soapaction"] == "upsert"
    envelope = ElementTree.fromstring(last.body)
    assert [each.tag.rpartition("}")[2] for each in envelope] == ["Header", "Body"]
    assert b'externalId="SF-003' in last.body and b"A &amp; 003" in last.body
    assert len({re.findall(rb"nonce>([^<]+)<", each.body)[0] for each in world.got("ns")}) == len(world.got("ns"))


def _advanced(clock: FakeClock, found: Callable[[], bool]) -> bool:
    clock.advance(1)
    return found()


def test_2_a_form_goes_to_a_webhook(world: World) -> None:
    world.declare("contact-form", "contact-form-out")
    page = f"{world.server.url}/f/contact"
    with urllib.request.urlopen(page) as opened:
        found = re.search('name="_token" value="([^"]*)"', opened.read().decode())
    assert found is not None
    clock = world.server.clock
    assert isinstance(clock, FakeClock)
    clock.advance(30)
    sent = {"email": "ann@example.com", "message": 'Hi "there"', "website": "", "_token": html.unescape(found[1])}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    sent_on = world.api.with_key(None).call("POST", "/f/contact", urlencode(sent).encode(), headers)
    assert (sent_on.status, sent_on.headers["location"]) == (303, "/thanks")
    (lead,) = world.peers["crm"].wait_for(1)
    assert (lead.path, lead.json) == ("/hooks/leads", {"email": "ann@example.com", "note": 'Hi "there"'})
    secret = world.api.get("/v1/links/contact-form-out/secret")["secret"]
    signed = Webhook(secret).sign(lead.id, datetime.fromtimestamp(lead.timestamp, UTC), lead.body.decode())
    assert lead.headers["webhook-signature"] == signed


def test_3_a_time_of_day_makes_a_call(world: World, clock: FakeClock) -> None:
    world.declare("nightly-close")
    assert world.api.get("/v1/links/nightly-close", counts="true")["next_due"] == "2026-11-30T22:30:00.000Z"
    clock.advance(10 * 3600 + 1800 + 1)
    (closed,) = world.peers["shop"].wait_for(1)
    assert (closed.path, closed.json) == ("/api/close-day", {"day": "2026-11-30"})
    assert closed.headers["x-api-key"] == "shop-key"


def test_4_a_new_user_gets_one_mail(world: World) -> None:
    world.declare("welcome")
    for _ in range(2):
        world.api.publish("user.created", {"id": "u-1", "email": "ann@example.com"})
    until(lambda: world.mailbox.got, "the mail arrives")
    until(lambda: world.api.pages("/v1/deliveries", outcome="skipped"), "the second event is skipped")
    ((_, mail),) = world.mailbox.got
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        "ann@example.com",
        "Acme <hello@acme.example>",
        "Welcome, friend",
    )


def test_5_a_failed_payment_becomes_a_mail(world: World, clock: FakeClock) -> None:
    world.declare("stripe-in", "dunning")
    invoice = {"id": "in_1", "amount_due": 1990, "currency": "eur", "attempt_count": 1, "customer_email": "a@x.example"}
    for number, more in enumerate(({}, {}, {"attempt_count": 4}, {"amount_due": 0})):
        event = {"id": f"evt_{number}", "type": "invoice.payment_failed", "data": {"object": {**invoice, **more}}}
        body, stamp = json.dumps(event).encode(), clock.now() // 1_000_000
        signature = hmac.new(b"whsec_example", f"{stamp}.".encode() + body, "sha256").hexdigest()
        headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={stamp},v1={signature}"}
        assert world.api.with_key(None).call("POST", "/in/stripe", body, headers).status == 200
    until(lambda: len(world.api.pages("/v1/deliveries", link="dunning", state="delivered")) == 2, "two are acted on")
    ((_, mail),) = world.mailbox.got
    assert (mail["To"], mail["Subject"]) == ("a@x.example", "Your payment of 19.90 EUR failed")


def test_6_a_delay_is_an_sms_to_each_phone(world: World) -> None:
    flights = [
        {
            "no": f"LH {number}",
            "date": "2026-11-30",
            "status": "on time",
            "eta": "18:10",
            "phones": ["+49301", "+49302"],
        }
        for number in range(101)
    ]

    def shop(request: Received) -> Any:
        query = dict(parse_qsl(urlsplit(request.path).query))
        assert query["date"] == "2026-11-30"
        first = (int(query["page"]) - 1) * 100
        return {"flights": flights[first : first + 100]}

    world.answers("shop", shop)
    world.answers("sms", lambda request: 201)
    world.declare("flights", "flight-sms")
    until(lambda: world.api.pages("/v1/deliveries", link="flights", state="delivered"), "the mirror is filled")
    flights[100] |= {"status": "delayed", "eta": "19:05"}
    flights[1] |= {"gate": "B7"}
    until(lambda: world.api.call("POST", "/v1/links/flights:run").status == 202, "it runs")
    sent = [each.body.decode() for each in world.peers["sms"].wait_for(2)]
    assert {dict(parse_qsl(each))["To"] for each in sent} == {"+49301", "+49302"}
    assert {dict(parse_qsl(each))["Body"] for each in sent} == {"Flight LH 100 is late: new time 19:05"}
    assert {each.path for each in world.got("sms")} == {"/2010-04-01/Accounts/AC1/Messages.json"}
    assert world.got("sms")[0].headers["authorization"] == "Basic " + base64.b64encode(b"AC1:tw").decode()


def test_7_a_thin_event_is_fetched_and_an_item_follows(world: World) -> None:
    orders = {"/api/orders/o-1": {"id": "o-1", "title": "Two chairs"}}
    world.api.put("/v1/collections/orders", {"fields": {"title": "string"}})
    world.answers("shop", lambda request: orders.get(request.path, 404))
    world.declare("shop-in", "shop-fetch", "shop-update")

    def ping(ident: str, secret: str = SECRETS["SHOP_WH"]) -> int:
        body = b'{"order_id": "o-1"}'
        signature = hmac.new(secret.encode(), body, "sha256").hexdigest()
        headers = {"Content-Type": "application/json", "X-Sig": signature, "X-Event-Id": ident}
        return world.api.with_key(None).call("POST", "/in/shop", body, headers).status

    assert [ping("1"), ping("1"), ping("2"), ping("3", "a guess")] == [200, 200, 200, 401]
    until(lambda: world.api.pages("/v1/items/orders"), "the order is copied")
    world.settled()
    (order,) = world.api.pages("/v1/items/orders")
    assert order["title"] == "Two chairs"
    assert len(world.events("shop.pinged")) == 2, "a repeated notice counts once"
    assert len(world.events("shop.order.*")) == 1, "an unchanged order is no event"
    orders.clear()
    ping("4")
    until(lambda: world.events("shop.order.deleted"), "it is gone")


def test_no_link_of_the_file_is_left_out() -> None:
    names = set(re.findall(r"^  ([a-z0-9-]+):", FILE.read_text().partition("\nlinks:")[2], re.MULTILINE))
    played = set(
        re.findall(r'"([a-z0-9-]+)"', "".join(re.findall(r"world\.declare\((.*)\)", Path(__file__).read_text())))
    )
    assert names == played
