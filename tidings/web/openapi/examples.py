"""An example of everything that is returned, by the name of its struct; the document shows these examples."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.errors import Invalid, Place, TidingsError
from tidings.web.openapi.service import examples as service
from tidings.web.openapi.service import portal
from tidings.web.wire.problem import Problem, problem

THEN, LATER = "2026-11-21T01:02:03.456Z", "2026-11-21T01:02:08.012Z"
EVENT = "evt_01m7xv663afar931yg06gzrrhs"
ENDPOINT = "ep_01m7xv5zj8f6nbxq0w1v2yd3ek"
DELIVERY, REPLAY = "dlv_01m7xv663afar800000000001s", "rpl_01m7xw0hbje2cs5m4tp8q9r7ga"
KEY = "key_01m7xtz8e2fyvr6k3n5h0d4c1b"
HOOK = "hook_01m7xv5zj8f6nbxq0w1v2yd3ek"
FORM = "form_01m7xv5zj8f6nbxq0w1v2yd3ep"
RECEIPT = "rcp_01m7xv663afar931yg06gzrrhs"
REQUEST = "req_01m7xv6638f4g9wz2t6s1x0qeb"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # noqa: S105 - it signs nothing

_ACCEPTED = {"id": EVENT, "type": "tasks.completed", "subject": "t_17", "time": THEN, "tenant": None}
_EVENT = {
    **_ACCEPTED,
    "data": {"id": "t_17", "title": "Water the plants"},
    "previous": None,
    "changed": None,
    "collection": None,
    "actor": KEY,
    "request_id": REQUEST,
    "cause": None,
    "hops": 0,
    "created": THEN,
}
_LAST = {"outcome": "ok", "status": 200, "at": LATER}
_DELIVERY = {
    "id": DELIVERY,
    "event_id": EVENT,
    "event_type": "tasks.completed",
    "endpoint_id": ENDPOINT,
    **dict.fromkeys(("link", "item")),
    "state": "delivered",
    "attempts": 1,
    "created": THEN,
    "due": None,
    "held": False,
    "waiting_because": None,
    "last": _LAST,
}
_ATTEMPT = {
    "n": 1,
    "at": LATER,
    "outcome": "ok",
    "state": "delivered",
    "status": 200,
    "duration_ms": 38,
    "request_headers": {"webhook-id": EVENT},
    "edit": None,
    "call": None,
    "answer": "thanks",
    "reason": None,
}
_ENDPOINT = {
    "id": ENDPOINT,
    "url": "https://example.com/hooks",
    "description": "",
    "tenant": None,
    "events": ["tasks.*"],
    "filter": None,
    "headers": {},
    "rate": None,
    "max_in_flight": 64,
    "order": "none",
    "order_max_age_seconds": 3600,
    "batch": None,
    "body": "standard",
    "fields": None,
    "svix_headers": False,
    "timeout_seconds": 15.0,
    "retry_delays_seconds": None,
    "give_up_on": [400, "3xx"],
    "ca": None,
    "client_certificate": None,
    "state": "enabled",
    "reason": None,
    "health": {"failing_since": None, "fails": 0, "next_probe": None},
    "created": THEN,
    "updated": THEN,
    "revision": 1,
}
_EVENT_TYPE = {
    "name": "tasks.completed",
    "collection": None,
    "description": "A task was completed.",
    "schema": {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "pattern": "^t_[0-9]+$", "maxLength": 64}},
    },
    "example": {"id": "t_17"},
    "revision": 1,
    "created": THEN,
    "updated": THEN,
}
_RANGE = {"which": "failed", "since": "2026-11-20T00:00:00.000Z", "until": THEN}
_DRY_RUN = {"endpoint_id": ENDPOINT, "link": None, **_RANGE, "total": 240}
_REPLAY = {
    "id": REPLAY,
    "sentence": f"Resend the failed events stored from 2026-11-20 00:00:00 UTC until {THEN}, to {ENDPOINT}.",
    **_DRY_RUN,
    "filter": None,
    "tenant": None,
    "state": "running",
    "looked_at": 100,
    "sent": 97,
    "created": THEN,
    "updated": LATER,
}
_TENANT = {"id": "acme", "name": "Acme Ltd", "revision": 1, "created": THEN, "updated": THEN}
_KEY = {
    "id": KEY,
    "name": "shop",
    "scopes": ["events:write"],
    "permits": [],
    "tenant": None,
    "limits": [{"calls": 100, "seconds": 1}],
    "expires": None,
    "created": THEN,
    "revoked": None,
    "cors_origins": ["https://app.example.com"],
}
_COLLECTION = {
    "name": "tasks",
    "description": "Things to do.",
    "fields": {
        "done": {"type": "boolean", "default": False, "filterable": True},
        "due": {"type": "date", "filterable": True, "sortable": True},
    },
    "events": {"completed": {"when": "done becomes true"}},
    "questions": {},
    "indexes": "ready",
    "revision": 1,
    "created": THEN,
    "updated": THEN,
}
_PLAN = {
    "plan": "plan_3f1b8f8e2a7d4c90b6e51a02",
    "steps": [{"do": "add_field", "collection": "tasks", "says": "will add the field due to tasks", "loses": 0}],
    "loses": None,
    "refusals": [],
    "stays": [],
    "applied": False,
}

_REACHED: dict[str, Any] = {"connection": "shop", "reached": True, "accepted": True, "outcome": "ok", "status": 200}
_REACHED |= {"duration_ms": 35, "says": "The server answered 200 within 35 ms."}
_STORED: dict[str, Any] = {"revision": 1, "created": THEN, "updated": THEN}
_HOOK: dict[str, Any] = {
    "id": HOOK,
    "url": "https://example.com/in/github",
    "path": "github",
    "tenant": None,
    "scheme": "github",
    "settings": {},
    "secret_count": 1,
    "description": "",
    "type": "github.{type}",
    "subject": "json:repository.full_name",
    "key": "",
    "methods": ["POST"],
    "tolerance_seconds": None,
    "max_bytes": None,
    "repeats": "delivery",
    "enabled": True,
    **dict.fromkeys(("data", "accepted", "repeated", "refused")),
    **_STORED,
}
_FORM: dict[str, Any] = {
    "id": FORM,
    "url": "https://example.com/f/contact",
    "path": "contact",
    "tenant": None,
    "fields": {
        "email": {"type": "email", "label": "Your email", "required": True},
        "message": {"type": "textarea", "label": "Your message", "required": True, "max": 5000},
    },
    "title": "Contact us",
    "description": "",
    "submit": "",
    "thanks": "Thank you. We will answer within a day.",
    "lang": "en",
    "type": "form.contact.submitted",
    "subject": "",
    "origins": [],
    "honeypot": "website",
    "min_seconds": 0,
    "max_per_minute": 20,
    "enabled": True,
    **_STORED,
}
_RECEIPT = {
    "id": RECEIPT,
    "hook_id": HOOK,
    "form_id": None,
    "tenant": None,
    "state": "accepted",
    "received": THEN,
    "client": "203.0.113.7",
    "method": "POST",
    "target": "/in/github",
    "bytes": 19,
    "event_id": EVENT,
    "reason": None,
    "detail": None,
}
_SCHEME: dict[str, Any] = {
    "name": "github",
    "title": "GitHub",
    "aliases": [],
    "checks": "HMAC-SHA256 of the body, in hex, in the header X-Hub-Signature-256",
    "secret": "The webhook's secret.",
    "settings": {},
    "handshakes": [],
    "signs_url": False,
    "evidence": "vectors",
    "unconfirmed": False,
    "source": "https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries",
    "help": "",
}

_LINK = {
    "id": "lnk_01m7xtw3z1f5k8q2r9v4b6n0ch",
    "name": "shop-update",
    "description": "",
    "tenant": None,
    "when": {"event": ["shop.order.created", "shop.order.updated"]},
    "filter": None,
    **dict.fromkeys(("if", "once", "split", "call", "emit", "keep", "mail")),
    "item": {"collection": "tasks", "put": "{{ data.id }}", "data": {"title": "{{ data.title }}"}},
    "order": "each",
    "order_max_age_seconds": 3600,
    "rate": None,
    "max_in_flight": 64,
    "retry_delays_seconds": None,
    "state": "enabled",
    "reason": None,
    "health": {"failing_since": None, "fails": 0, "next_probe": None},
    "waiting": 0,
    **dict.fromkeys(("next_due", "last_due", "last_run")),
    **_STORED,
}
_NOTHING_BEFORE = dict.fromkeys(("previous", "changed"))
_LINK_TEST = {
    "link": "shop-update",
    "wants": True,
    "reason": None,
    "edit": {"collection": "tasks", "edit": "put", "id": "o-1", "tenant": None, "data": {"title": "Two chairs"}},
    **dict.fromkeys(("call", "mail")),
    "outcome": "ok",
    "says": "Created tasks/o-1.",
    "change": {"type": "tasks.created", "data": {"id": "o-1", "title": "Two chairs"}} | _NOTHING_BEFORE,
    **dict.fromkeys(("elements", "observed")),
}

_STEP = {"do": "create_link", "link": "shop-update", "connection": None, "says": "will create the link", "loses": 0}
_CONNECTION = (
    {"id": "conn_01m7xtw3z1f5k8q2r9v4b6n0ch", "name": "shop", "base": "https://api.example.com/v1", "headers": {}}
    | {"auth": {"bearer": "***"}, "rate": 5.0, "timeout_seconds": 15.0, "private": [], "description": ""}
    | dict.fromkeys(("smtp", "from", "max_in_flight", "ca", "client_certificate"))
    | {"links": ["shop-update"], "revision": 1, "created": THEN, "updated": THEN}
)

_SHARE = {"of": "streams", "used": 12, "total": 1_000, "tenants": 3}
ANSWERS: dict[str, Any] = {
    "Accepted": _ACCEPTED,
    "AcceptedBatch": {"events": [_ACCEPTED]},
    "CollectionView": _COLLECTION,
    "ConnectionView": _CONNECTION,
    "CreatedKey": {**_KEY, "key": "tdk_" + "k7Jx0Q2b9Lr" * 3 + "mW4s8Yt1Vz"},
    "DeliveryDetail": {**_DELIVERY, "attempts": [_ATTEMPT], "next_attempt": None},
    "DeliveryView": _DELIVERY,
    "DryRunView": {"dry_run": True, **_DRY_RUN, "would_send": 9},
    "EndpointView": _ENDPOINT,
    "EventDetail": {
        **_EVENT,
        "deliveries": [{"id": DELIVERY, "endpoint": ENDPOINT, "link": None, "state": "delivered", "attempts": 1}],
        "not_matched": [],
    },
    "TrailView": {
        "events": [
            {
                **{name: _EVENT[name] for name in ("id", "type", "subject", "time", "cause", "hops")},
                "by": None,
                "deliveries": [
                    {
                        "id": DELIVERY,
                        "endpoint": ENDPOINT,
                        "link": None,
                        "state": "delivered",
                        "attempts": 1,
                        "outcome": "ok",
                        "status": 200,
                        "reason": "Delivered.",
                    }
                ],
            }
        ],
        "is_cut": False,
    },
    "EventTypeView": _EVENT_TYPE,
    "EventView": _EVENT,
    "Health": {"status": "ok"},
    "HookView": _HOOK,
    "LinkSecretView": {"link": "push", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "KeptView": {"link": "push", "tenant": None, "subject": "c-1", "values": {"id": "x-7"}, "updated": THEN},
    "Forgotten": {"link": "contacts", "cursor": True, "records": 120, "kept": 0},
    "FormView": _FORM,
    "FormsPlan": {
        "plan": "plan_3f1b8f8e2a7d4c90b6e51a02",
        "steps": [{"do": "create_form", "path": "contact", "says": "will create the form contact"}],
        "stays": [],
        "applied": False,
    },
    "HooksPlan": {
        "plan": "plan_3f1b8f8e2a7d4c90b6e51a02",
        "steps": [{"do": "create_hook", "path": "github", "says": "will create the hook github"}],
        "stays": [],
        "applied": False,
    },
    "KeyView": _KEY,
    "LinkPlan": {**_PLAN, "steps": [_STEP], "connections_stay": [], "warnings": []},
    **service.ANSWERS,
    **portal.ANSWERS,
    "ConnectionTestView": _REACHED,
    "LinkTestView": _LINK_TEST,
    "LinkView": _LINK,
    "ShareList": {"data": [{**_SHARE, "held_back": [{"tenant": "acme", "held": 8, "refused": 2}]}]},
    "StreamTicket": {
        "ticket": "AaYbB3x0V5c2P9m1dQ8kTzL7RjE4oWnU6sHfGiCv",
        "url": "/v1/events/stream?ticket=AaYbB3x0V5c2P9m1dQ8kTzL7RjE4oWnU6sHfGiCv",
        "expires": THEN,
    },
    "ReceiptSummary": _RECEIPT,
    "ReceiptView": {
        **_RECEIPT,
        "headers": [{"name": "content-type", "value": "application/json"}],
        "text": '{"action":"opened"}',
        "base64": None,
    },
    "ReplayView": _REPLAY,
    "SchemeDetail": {
        **_SCHEME,
        "form": {
            "check": {
                "kind": "signature",
                "algorithm": "hmac-sha256",
                "signed": "{body}",
                "signature": {"from": "header:X-Hub-Signature-256", "prefix": "sha256="},
            }
        },
        "sample": {
            "method": "POST",
            "url": "https://example.com/in",
            "headers": {"x-github-event": "ping"},
            "body": '{"zen":"Keep it logically awesome."}',
            "secret": "example secret, 32 bytes long...",
            "signed_at": 1_790_000_000,
        },
    },
    "SchemeView": _SCHEME,
    "SecretView": {"secret": SECRET, "previous": []},
    "Shown": {**_PLAN, "links": None},
    "TenantView": _TENANT,
    "TestView": {"event_id": EVENT, "delivery": DELIVERY},
}
STREAMED = f"id: MS4yODE\nevent: tasks.completed\ndata: {msgspec.json.encode(_EVENT).decode()}\n\n"
BYTES = '{"action":"opened"}'
"""The example for responses that are bytes, whatever they contain."""
TEXTS: dict[str, str] = {
    "text/html": "<!doctype html><title>Tidings</title>",
    "text/*": "body { margin: 0 }",
    "text/plain": "tidings_events_accepted_total 281.0\n",
}
"""Examples for responses that are not JSON, by the beginning of their media type."""


def refusal(kind: type[TidingsError]) -> Problem:
    """An example of the problem that is returned for an error."""
    places = []
    if kind is Invalid:
        places = [Place(pointer="/data", code="missing", detail="The field 'data' is required.")]
    return problem(kind(f"{kind.title}. A sentence here says what to send instead.", errors=places), REQUEST)


def page(item: str) -> dict[str, Any]:
    """The last page of a list, by the name of what it lists."""
    return {"data": [ANSWERS[item]], "next_cursor": None}
