"""The links of examples/flight_delayed call the API that Twilio's own document describes, played by Prism."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.prism import TWILIO, playing
from tests.programs import all_needed
from tests.repository import ROOT
from tidings.config import read_config
from tidings.testing import TestServer, until

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SID = "AC" + "0123456789abcdef" * 2
MESSAGES = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
PHONES = ["+4930123456", "+15551234567"]


def test_an_sms_is_what_twilios_document_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_needed(["npm", "node"])
    with playing(tmp_path, TWILIO, MESSAGES) as url, TestServer(tmp_path / "tidings") as server:
        for name, value in {"TWILIO_URL": url, "TWILIO_SID": SID, "TWILIO_TOKEN": "t", "AIRPORT_URL": url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRPORT_KEY", "none")
        config = read_config(ROOT / "examples" / "flight_delayed" / "tidings.yaml")
        assert config.links is not None and config.connections is not None
        links = {name: config.links[name] for name in ("flight-sms", "payment-sms")}
        # What is published has no earlier state to compare with.
        del links["flight-sms"]["if"]
        wrong = {**links["payment-sms"], "when": {"event": "wrong"}}
        links["no-number"] = {**wrong, "call": {**wrong["call"], "form": {"Body": "x"}}}
        connections = {"sms": config.connections["sms"]}
        anonymous = {**connections["sms"], "auth": None}
        links["no-password"] = {**wrong, "call": {**wrong["call"], "via": "anonymous"}}
        server.api.post("/v1/links:apply", {"links": links, "connections": {**connections, "anonymous": anonymous}})
        late = {"no": "LH 7", "status": "delayed", "eta": "18:40", "phones": PHONES}
        server.api.publish("flight.updated", late)
        server.api.publish("payment", {"id": "p1", "phone": PHONES[0], "cents": 25_000})
        server.api.publish("wrong", {"id": "p2", "phone": PHONES[0], "cents": 1})

        def attempts(link: str, count: int) -> list[tuple[str, int | None]]:
            def look() -> list[tuple[str, int | None]]:
                deliveries = server.api.pages("/v1/deliveries", link=link)
                shown = [server.api.get(f"/v1/deliveries/{each['id']}") for each in deliveries]
                last = [(each["state"], each["attempts"][-1]["status"]) for each in shown if each["attempts"]]
                return last if len(last) == count else []

            return sorted(until(look, f"{link} calls {count} times", 30), key=str)

        assert attempts("payment-sms", 1) == [("delivered", 201)]
        # The event's own delivery, and one for each phone.
        assert attempts("flight-sms", 3) == [("delivered", 201), ("delivered", 201), ("delivered", None)]
        assert attempts("no-password", 1) == [("waiting", 401)]
        ((state, status),) = attempts("no-number", 1)
        assert (state, status) in (("dead", 400), ("dead", 422))
