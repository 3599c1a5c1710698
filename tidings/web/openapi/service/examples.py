"""An example of each report on the whole server (see web/openapi/examples.py)."""

from __future__ import annotations

from typing import Any

_THEN, _LATER = "2026-11-21T02:14:03.120Z", "2026-11-21T03:11:08.012Z"
_ENDPOINT, _DELIVERY = "ep_01m7xv5zj8f6nbxq0w1v2yd3ek", "dlv_01m7xv663afar800000000001s"
_SENTENCE = f"{_ENDPOINT} (acme) has been failing for 57 min; 1,000+ deliveries are waiting."
_WHOM = {"endpoint_id": _ENDPOINT, "link": None, "tenant": "acme"}
_SINCE = {"since": _THEN, "age_seconds": 3424}

_CLASSES = {"delivered": 18_204, "rejected": 1_204, "timeout": 12, "unreachable": 0, "failed": 0, "skipped": 3}
_TOTAL = {
    **_CLASSES,
    "accepted": None,
    "attempts": 19_420,
    "success_rate": 0.9374,
    "mean_ms": 61,
    "p50_ms": 38,
    "p95_ms": 212,
}

ANSWERS: dict[str, Any] = {
    "ServerInventory": {
        "version": "1.0.0",
        "store": {
            "bytes": 6_112_000_000,
            "unused": 0,
            "tables": [
                {"name": "attempt", "rows": 30_000_000, "bytes": 3_410_000_000, "is_estimate": True, "is_more": False}
            ],
        },
        "backup": {
            "file": "/var/backups/tidings/tidings-20261121T020000Z.db",
            "made": _THEN,
            "key_copied": None,
            "tried_file": None,
            "tried": None,
        },
        "nodes": [
            {
                "name": "tidings@app1:812",
                "version": "1.0.0",
                "role": "sends",
                "address": "http://10.0.0.5:8080",
                "draining": False,
                "seconds_ago": 0.4,
                "parts": 32,
            }
        ],
        "settings": [{"name": "port", "value": "8080", "origin": "TIDINGS_PORT"}],
    },
    "TallyReport": {
        "step": "hour",
        "since": "2026-11-21T02:00:00.000Z",
        "until": "2026-11-21T04:00:00.000Z",
        "bounds_ms": [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000],
        "points": [
            {
                "time": "2026-11-21T02:00:00.000Z",
                "accepted": None,
                **_CLASSES,
                "ms_sum": 1_184_620,
                "buckets": [402, 3_120, 9_718, 4_006, 1_544, 402, 131, 66, 19, 12, 0, 0],
            }
        ],
        "total": _TOTAL,
        "reasons": [
            {
                "outcome": "bad_status",
                "status": 503,
                "reason": "The endpoint answered 503.",
                "count": 1204,
                "first": _THEN,
                "last": _LATER,
                "example": _DELIVERY,
                "links": [{**_WHOM, "count": 1204}],
                "links_total": 1,
            }
        ],
        "reasons_are_complete": True,
    },
    "LinkTally": {
        **_WHOM,
        "mode": "enabled",
        "created": "2026-11-20T17:00:00.000Z",
        "failing_since": _THEN,
        "total": _TOTAL,
        "hours": [{"time": "2026-11-21T02:00:00.000Z", "delivered": 18_204, "failed": 1_216}],
        "waiting": 1000,
        "waiting_is_more": True,
        "oldest_waiting_since": _THEN,
        "oldest_waiting_seconds": 3424,
        "last_failure": "The endpoint answered 503.",
        "next_attempt": _LATER,
    },
    "ActView": {
        "id": "act_01m7xw0hbje2cs5m4tp8q9r7ga",
        "created": _THEN,
        "key_id": "key_operator",
        "operation": "pause_endpoint",
        "path": f"/v1/endpoints/{_ENDPOINT}:pause",
        "request_id": "req_01m7xw0hbje2cs5m4tp8q9r7gb",
        "changes": [
            {
                "kind": "endpoint",
                "name": _ENDPOINT,
                "before": {"state": "enabled", "reason": None},
                "after": {"state": "paused", "reason": "their maintenance window"},
            }
        ],
        "changes_total": 1,
    },
    "BulkCountView": {"dry_run": True, "count": 1204, "count_is_more": False, "until": _THEN},
    "CallerReport": {
        "key_id": "key_01m7xtz8e2fyvr6k3n5h0d4c1b",
        "key_name": "prometheus",
        "address": "203.0.113.9",
        "connected_from": "127.0.0.1",
        "connection_trusted": True,
        "x_forwarded_for": "203.0.113.9",
        "forwarded": None,
        "public_url": "https://example.com/hooks",
    },
    "JobList": {
        "data": [
            {
                "what": "retry",
                "id": "rpl_01m7xw0hbje2cs5m4tp8q9r7ga",
                "endpoint_id": _ENDPOINT,
                "link": None,
                "since": _THEN,
                "done": 400,
                "total": 1204,
                "expected_end": _LATER,
            }
        ]
    },
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
        "rates": {"since": _THEN, "accepted": 412.3, "delivered": 1201.7, "failed": 21.4, "success_rate": 0.9825},
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
