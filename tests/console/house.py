"""A server with something of everything, for tests that open every page; and the paths of its pages."""

from __future__ import annotations

from collections.abc import Mapping

from tidings.testing import Api, Receiver, until

FIELDS = {
    "guest": {"type": "string", "required": True, "filterable": True},
    "status": {"type": "enum", "values": ["open", "served"], "filterable": True},
    "number": {"type": "integer"},
    "vip": {"type": "boolean"},
    "extras": {"type": "object"},
}


def furnish(api: Api, receiver: Receiver, text: str = "Ann", *, tenant: str = "acme") -> dict[str, str]:
    """Put something of everything on a server, with a text wherever one may be; the ids by kind.

    The endpoint `bad` gets 503 until the receiver is told otherwise.
    """
    api.post("/v1/tenants", {"id": tenant, "name": text})
    receiver.answer(503, path="/bad")
    short = {"retry_delays_seconds": [0], "description": text[:200], "tenant": tenant}
    good = api.post("/v1/endpoints", {"url": receiver.url("/good"), **short})
    bad = api.post("/v1/endpoints", {"url": receiver.url("/bad"), "events": ["dishes.*"], **short})
    api.post("/v1/collections", {"name": "orders", "description": text[:200], "fields": FIELDS})
    item = api.post("/v1/items/orders", {"guest": text, "status": "open", "number": 7, "extras": {"wine": text}})
    hook = api.post("/v1/hooks", {"path": "shop", "scheme": "github", "secrets": ["a-secret-of-16-chars"]})
    api.call("POST", "/in/shop", {"said": text}, {"X-Said": text.encode("ascii", "replace").decode()[:200]})
    form = api.post("/v1/forms", {"path": "contact", "title": text[:100], "fields": {"name": {"type": "text"}}})
    link = {
        "when": {"event": "orders.created"},
        "item": {"collection": "orders", "patch": "{{ subject }}", "data": {"vip": True}},
    }
    api.call("PUT", "/v1/links/served", {**link, "description": text[:200]})
    api.call("PUT", "/v1/event-types/dishes.ready", {"description": text[:200], "example": {"dish": text}})
    event = {"type": "dishes.ready", "tenant": tenant, "subject": text[:200].strip() or "a"}
    event_id = api.post("/v1/events", {**event, "data": {"dish": text, text[:50] or "a": [text]}})["id"]
    key = api.post("/v1/keys", {"name": text[:100], "scopes": ["events:write"], "tenant": tenant})
    made = {"endpoint_id": good["id"], "since": "2026-01-01T00:00:00Z", "which": "all"}
    replay = api.post("/v1/replays", made)
    failed: Mapping[str, list[dict[str, str]]] = {}

    def has_failed() -> bool:
        nonlocal failed
        failed = api.get("/v1/deliveries", endpoint=bad["id"], outcome="bad_status")
        return bool(failed["data"]) and bool(api.get("/v1/refusals")["data"])

    until(has_failed, "something has failed")
    return {
        "tenant": tenant,
        "endpoint": good["id"],
        "bad": bad["id"],
        "delivery": failed["data"][0]["id"],
        "event": event_id,
        "item": item["id"],
        "hook": hook["id"],
        "receipt": api.get("/v1/refusals")["data"][0]["id"],
        "form": form["id"],
        "key": key["id"],
        "job": replay["id"],
    }


PATHS = (
    "",
    "/endpoints",
    "/endpoints?state=failing",
    "/endpoints/{bad}",
    "/endpoints/{endpoint}?step=hour",
    "/deliveries",
    "/deliveries?outcome=bad_status&endpoint={bad}",
    "/deliveries/{delivery}",
    "/events",
    "/events/{event}",
    "/find?q=e",
    "/links",
    "/links/served",
    "/hooks",
    "/hooks/{hook}",
    "/receipts",
    "/receipts?state=refused",
    "/receipts/{receipt}",
    "/forms",
    "/forms/{form}",
    "/items",
    "/items/orders",
    "/items/orders?status=open",
    "/items/orders/{item}",
    "/types",
    "/types/dishes.ready",
    "/collections/orders",
    "/tenants",
    "/tenants/{tenant}",
    "/keys",
    "/keys/{key}",
    "/jobs",
    "/jobs/{job}",
    "/server",
    "/server/store",
    "/acts",
)
"""Every page of the console."""
