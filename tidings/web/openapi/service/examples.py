"""An example of each report on the whole server (see web/openapi/examples.py)."""

from __future__ import annotations

from typing import Any

_THEN, _LATER = "2026-11-21T02:14:03.120Z", "2026-11-21T03:11:08.012Z"
_ENDPOINT, _DELIVERY = "ep_01m7xv5zj8f6nbxq0w1v2yd3ek", "dlv_01m7xv663afar800000000001s"
_SENTENCE = f"{_ENDPOINT} (acme) has been failing for 57 min; 1,000+ wait."
_WHOM = {"endpoint_id": _ENDPOINT, "link": None, "tenant": "acme"}
_SINCE = {"since": _THEN, "age_seconds": 3424}

ANSWERS: dict[str, Any] = {
    "FailureReasons": {
        "since": _THEN,
        "is_complete": True,
        "reasons": [
            {
                "outcome": "bad_status",
                "status": 503,
                "reason": "The endpoint answered 503.",
                "count": 1204,
                "waiting": 1204,
                "dead": 0,
                "first": _THEN,
                "last": _LATER,
                "example": _DELIVERY,
                "links": [{**_WHOM, "count": 1204}],
                "links_total": 1,
            }
        ],
    },
    "HealthReport": {
        "state": "attention",
        "sentence": _SENTENCE,
        "time": _LATER,
        "oldest_waiting": {"delivery_id": _DELIVERY, **_SINCE, **_WHOM},
        "problems": [
            {
                "what": "endpoint",
                "state": "attention",
                "sentence": _SENTENCE,
                "reason": "The endpoint answered 503.",
                "advice": f"Nothing is lost. See: tidings endpoints show {_ENDPOINT}",
                **_SINCE,
                **_WHOM,
                "hook_id": None,
                "waiting": 1000,
                "waiting_is_more": True,
            }
        ],
        "problems_total": 1,
        "dead_last_hour": 0,
        "dead_is_more": False,
        "endpoints": {"enabled": 311, "paused": 2, "disabled": 1, "failing": 1},
        "links": {"enabled": 4, "paused": 0, "disabled": 0, "failing": 0},
        "refused": [],
        "store": {"accepts_writes": True, "refusal": None, "free_bytes": 48_318_382_080},
        "stages": {"deliver_alive": True, "unrouted_events": 0, "unrouted_since": None, "unseen_deliveries": 0},
        "jobs": [],
    },
}
