"""What the picture of the portal shows: a shop's customer with two endpoints, of which one answers 503."""

from __future__ import annotations

from typing import Any

from tidings.testing import Api, Receiver, until

TENANT = "acme"
TYPES = {
    "orders.created": "Somebody ordered something.",
    "orders.paid": "The money has arrived.",
    "invoices.sent": "An invoice was sent by mail.",
}
EVENTS = 12


def visit(api: Api, browser: Any) -> None:
    """Have events sent, and open the page of the endpoint that fails."""
    with Receiver() as receiver:
        receiver.answer(503, path="/erp")
        for name, description in TYPES.items():
            api.post("/v1/event-types", {"name": name, "description": description})
        api.register(receiver.url("/warehouse"), tenant=TENANT, description="Warehouse")
        failing, _ = api.register(receiver.url("/erp"), tenant=TENANT, description="Our ERP", events=["orders.*"])
        for number in range(EVENTS):
            api.publish(list(TYPES)[number % len(TYPES)], {"id": f"o_{number}"}, tenant=TENANT)
        until(lambda: api.get(f"/v1/endpoints/{failing}")["health"]["failing_since"], "it fails")
        theme = {"product": "Example Shop", "accent": "#6d28d9"}
        link = api.post(f"/v1/tenants/{TENANT}/portal-links", {"theme": theme})
        path, _, token = link["url"].partition("#")
        browser.resize(1100, 1240)
        browser.open(f"{api.url}{path}/endpoints/{failing}#{token}")
        browser.until("document.querySelector('main h1') && !document.querySelector('main[aria-busy]')")
