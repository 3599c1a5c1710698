"""The bounds of reports on health and on failures (see web/openapi/bounds.py)."""

from __future__ import annotations

from typing import Any

from tidings.control.bulk.running import COUNTED_MAX as COUNT_MAX
from tidings.control.bulk.starting import STATUS_PATTERN, TYPE_PATTERN
from tidings.control.standing.tallies import ROWS_MAX
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.model.outcome import OUTCOMES
from tidings.rules.deliver import tally
from tidings.rules.deliver.lifecycle import STATES
from tidings.rules.event_types import TYPE_CHARS_MAX
from tidings.rules.nodes.helping import PARTS
from tidings.rules.reading.jsontext import INTEGER_MAX, NO_NUL
from tidings.store.callers.acts import CHANGES_MAX
from tidings.store.log.standing import COUNTED_MAX, HOOKS_MAX, REPLAYS_MAX, SIZE_MAX
from tidings.views.health.reasons import GROUPS_MAX, LINKS_SHOWN
from tidings.views.health.whole import PROBLEMS_MAX
from tidings.views.standing.tallies import REASONS_MAX
from tidings.web.openapi.collection_bounds import LINK

Schema = dict[str, Any]

_TEXT: Schema = {"maxLength": 2**31 - 1, "pattern": NO_NUL}
_NUMBER: Schema = {"minimum": 0, "maximum": INTEGER_MAX}
_TIME: Schema = {"format": "date-time", "maxLength": 35}
_COUNTS = ("accepted", *tally.CLASSES)
_BUCKETS = len(tally.BOUNDS_MS) + 1
_EACH: Schema = {"items": {"type": "integer", **_NUMBER}}
_SETTINGS_MAX = 200
_OTHERS_MAX = 3
"""The number of kinds of jobs other than replays."""


_BULK: dict[str, Schema] = {
    "link": LINK,
    "type": {
        "pattern": f"^{TYPE_PATTERN}$",
        "maxLength": TYPE_CHARS_MAX + 2,
        "examples": ["tasks.*"],
    },
    "outcome": {"enum": [each.name for each in OUTCOMES]},
    "status": {"pattern": f"^{STATUS_PATTERN}$", "maxLength": 3, "examples": ["5xx"]},
}


def _ident(prefix: str) -> Schema:
    return {
        "pattern": rf"^{prefix}_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$",
        "maxLength": len(prefix) + 1 + ID_CHARS,
    }


def _numbers(*names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, _NUMBER)


BOUNDS: dict[str, dict[str, Schema]] = {
    "HealthProblem": {
        **_numbers("age_seconds"),
        "sentence": _TEXT,
        "advice": _TEXT,
        "link": LINK,
        "hook_id": _ident("hook"),
        "waiting": {"minimum": 0, "maximum": SIZE_MAX},
        "expected_end": _TIME,
    },
    "RecentRates": {
        **{name: {"minimum": 0} for name in ("accepted", "delivered", "failed")},
        "since": _TIME,
        "success_rate": {"minimum": 0, "maximum": 1},
    },
    "OldestWaiting": {**_numbers("age_seconds"), "delivery_id": _ident("dlv"), "link": LINK},
    "ModeCounts": _numbers("enabled", "paused", "disabled", "failing"),
    "RefusedRequests": {
        **_numbers("count"),
        "hook_id": _ident("hook"),
        "form_id": _ident("form"),
        "example": _ident("rcp"),
    },
    "StoreHealth": {**_numbers("free_bytes"), "refusal": _TEXT},
    "TableReport": {**_numbers("rows", "bytes"), "name": _TEXT},
    "StoreReport": {**_numbers("bytes", "unused"), "tables": {"maxItems": 2**31 - 1}},
    "BackupReport": {"file": _TEXT, "made": _TIME, "key_copied": _TIME, "tried_file": _TEXT, "tried": _TIME},
    "SettingReport": dict.fromkeys(("name", "value", "origin"), _TEXT),
    "ServerInventory": {"version": _TEXT, "settings": {"maxItems": _SETTINGS_MAX}, "nodes": {"maxItems": 2**31 - 1}},
    "NodeReport": {
        **dict.fromkeys(("name", "version", "address"), _TEXT),
        "seconds_ago": _NUMBER,
        "parts": {"minimum": 0, "maximum": PARTS},
    },
    "StageHealth": {
        **_numbers("unrouted_events", "unseen_deliveries"),
        "unrouted_since": _TIME,
    },
    "JobUnderWay": {**_numbers("done", "total"), "id": _ident("rpl"), "link": LINK, "expected_end": _TIME},
    "ActChange": {
        "kind": {"pattern": "^[a-z_]+$", "maxLength": 20},
        "name": _TEXT,
        "before": {"maxProperties": 100},
        "after": {"maxProperties": 100},
    },
    "ActView": {
        **_numbers("changes_total"),
        "id": _ident("act"),
        "created": _TIME,
        "key_id": {"pattern": "^key_[0-9a-z]+$", "maxLength": 4 + ID_CHARS},
        "path": _TEXT,
        "request_id": _TEXT,
        "operation": {"pattern": "^[a-z_]+$", "maxLength": 64},
        "changes": {"maxItems": CHANGES_MAX},
    },
    "CallerReport": dict.fromkeys(
        ("key_id", "key_name", "address", "connected_from", "x_forwarded_for", "forwarded", "public_url"), _TEXT
    ),
    "JobList": {"data": {"maxItems": REPLAYS_MAX + _OTHERS_MAX}},
    "BulkRetry": _BULK,
    "BulkCancel": _BULK,
    "BulkFilterView": {name: each for name, each in _BULK.items() if name != "link"}
    | {"state": {"enum": list(STATES)}},
    "BulkCountView": {"count": {"minimum": 0, "maximum": COUNT_MAX}},
    "FailingLink": {**_numbers("count"), "link": LINK},
    "FailureReason": {
        **_numbers("count", "waiting", "dead", "links_total"),
        "status": {"minimum": 0, "maximum": 999},
        "example": _ident("dlv"),
        "first": _TIME,
        "last": _TIME,
        "links": {"maxItems": LINKS_SHOWN},
    },
    "FailureReasons": {"reasons": {"maxItems": GROUPS_MAX}},
    "TallyPoint": {**_numbers(*_COUNTS, "ms_sum"), "buckets": {"minItems": _BUCKETS, "maxItems": _BUCKETS, **_EACH}},
    "TallyTotal": {
        **_numbers(*_COUNTS, "attempts", "mean_ms", "p50_ms", "p95_ms"),
        "success_rate": {"minimum": 0, "maximum": 1},
    },
    "TallyReason": {
        **_numbers("count", "links_total"),
        "status": {"minimum": 0, "maximum": 999},
        "example": _ident("dlv"),
        "first": _TIME,
        "last": _TIME,
        "links": {"maxItems": LINKS_SHOWN},
    },
    "TallyReport": {
        "since": _TIME,
        "until": _TIME,
        "bounds_ms": {"maxItems": len(tally.BOUNDS_MS), **_EACH},
        "points": {"maxItems": ROWS_MAX},
        "reasons": {"maxItems": REASONS_MAX},
    },
    "TallyHour": _numbers("delivered", "failed"),
    "LinkTally": {
        **_numbers("oldest_waiting_seconds"),
        "link": LINK,
        "mode": {"enum": ["enabled", "paused", "disabled"]},
        "failing_since": _TIME,
        "oldest_waiting_since": _TIME,
        "last_failure": _TEXT,
        "hours": {"maxItems": 24},
        "waiting": {"minimum": 0, "maximum": COUNTED_MAX},
    },
    "HealthReport": {
        **_numbers("problems_total", "dead_last_hour"),
        "sentence": _TEXT,
        "problems": {"maxItems": PROBLEMS_MAX},
        "refused": {"maxItems": HOOKS_MAX},
        "jobs": {"maxItems": REPLAYS_MAX + _OTHERS_MAX},
    },
}
