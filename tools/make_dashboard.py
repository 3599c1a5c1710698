"""Write deploy/grafana-dashboard.json from the panels below. `--check` compares it, as `make lint` does.

Descriptions of panels are those of the metrics (docs/reference/metrics.md), so the dashboard cannot say anything else;
a panel with an unknown metric is an error, and so is a metric without a panel.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from make_docs import metric_rows

FILE = Path(__file__).resolve().parent.parent / "deploy" / "grafana-dashboard.json"
COLUMNS = 24
"""The width of Grafana's grid."""
UNSHOWN = {"tidings_info"}
"""Metrics that are shown in no panel: this one is the dashboard's variable."""
NAME = re.compile(r"\btidings_[a-z_]+?(?=_bucket|_sum|_count|\b)")
AT = '{instance=~"$instance"}'


@dataclass(frozen=True)
class Panel:
    """One panel. `queries`: legend -> PromQL, where `@` stands for the choice of instances."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    stacked: bool = False
    red_above: float | None = field(default=None)
    """A single value is red from here on."""

    @property
    def metrics(self) -> set[str]:
        """The metrics that it shows."""
        return {name for query in self.queries.values() for name in NAME.findall(query)}


def rate(metric: str, by: str = "") -> str:
    """The rate of a counter per second."""
    return f"sum {f'by ({by}) ' if by else ''}(rate({metric}@[$__rate_interval]))"


def quantile(part: float, metric: str, by: str = "") -> str:
    """A quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, sum by ({labels}) (rate({metric}_bucket@[$__rate_interval])))"


def single(title: str, query: str, unit: str = "short", red_above: float | None = None) -> Panel:
    """One number."""
    return Panel(title, {"": query}, unit, 4, "stat", red_above=red_above)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        single("Events accepted", rate("tidings_events_accepted_total"), "cps"),
        single(
            "Delivered",
            'sum(rate(tidings_attempts_total{instance=~"$instance", outcome="ok"}[$__rate_interval]))',
            "cps",
        ),
        single("Failing endpoints", "sum(tidings_endpoints_failing@)", red_above=1),
        single("Not routed yet", "sum(tidings_route_lag_events@)", red_above=10_000),
        single("Not sent yet", "sum(tidings_deliver_lag_deliveries@)", red_above=10_000),
        single("Failed transactions, 1 h", "sum(increase(tidings_write_failures_total@[1h]))", red_above=1),
    ),
    "The flow": (
        Panel(
            "Events and deliveries",
            {"events": rate("tidings_events_accepted_total"), "deliveries": rate("tidings_deliveries_made_total")},
            "cps",
        ),
        Panel("Attempts by outcome", {"{{outcome}}": rate("tidings_attempts_total", "outcome")}, "cps", stacked=True),
        Panel(
            "From an event to its delivery",
            {
                "p50": quantile(0.5, "tidings_publish_to_delivery_seconds"),
                "p99": quantile(0.99, "tidings_publish_to_delivery_seconds"),
            },
            "s",
        ),
        Panel(
            "How long attempts take, p99",
            {"{{outcome}}": quantile(0.99, "tidings_attempt_duration_seconds", "outcome")},
            "s",
        ),
        Panel(
            "Behind",
            {
                "to route": "sum(tidings_route_lag_events@)",
                "to send": "sum(tidings_deliver_lag_deliveries@)",
                "in memory": "sum(tidings_queued@)",
            },
        ),
        Panel("Requests in flight", {"in flight": "sum(tidings_in_flight@)"}),
    ),
    "Endpoints": (
        Panel("Endpoints by mode", {"{{mode}}": "sum by (mode) (tidings_endpoints@)"}, stacked=True),
        Panel(
            "Failing and lagging",
            {"failing": "sum(tidings_endpoints_failing@)", "lagging": "sum(tidings_endpoints_lagging@)"},
        ),
        Panel(
            "Costly filters",
            {
                "tenants aside": "sum(tidings_route_aside_tenants@)",
                "cut off per second": rate("tidings_filters_cut_off_total"),
            },
        ),
    ),
    "Callers": (
        Panel("Responses by status", {"{{status}}": rate("tidings_answers_total", "status")}, "reqps", stacked=True),
        Panel(
            "How long requests take, p99",
            {"{{operation}}": quantile(0.99, "tidings_request_duration_seconds", "operation")},
            "s",
        ),
        Panel("Open streams and long polls", {"open": "sum(tidings_open_streams@)"}),
        Panel(
            "Requests to hooks", {"{{verdict}}": rate("tidings_hook_requests_total", "verdict")}, "cps", stacked=True
        ),
        Panel(
            "Submissions of forms",
            {"{{verdict}}": rate("tidings_form_submissions_total", "verdict")},
            "cps",
            stacked=True,
        ),
        Panel("Refusals that were not kept", {"left out": rate("tidings_hook_refusals_left_out_total")}, "cps"),
    ),
    "The store and the process": (
        Panel(
            "Transactions and jobs",
            {
                "transactions": rate("tidings_write_groups_total"),
                "jobs": rate("tidings_write_jobs_total"),
                "failed": rate("tidings_write_failures_total"),
            },
            "cps",
        ),
        Panel(
            "Shared resources in use",
            {"{{of}}": "sum by (of) (tidings_share_used@) / sum by (of) (tidings_share_limit@)"},
            "percentunit",
        ),
        Panel(
            "Tenants at their share",
            {
                "{{of}}": "sum by (of) (tidings_share_tenants_held_back@)",
                "{{of}}, refusals": rate("tidings_share_refusals_total", "of"),
            },
        ),
        Panel(
            "Servers that are ready",
            {
                "{{instance}}": "min by (instance) (tidings_ready@)",
                "{{instance}} stands by": "max by (instance) (tidings_standing_by@) > 0",
            },
        ),
        Panel("Servers that send", {"{{instance}}": "max by (instance) (tidings_sends@)"}),
        Panel("Parts of the endpoints", {"{{instance}}": "max by (instance) (tidings_sends_parts@)"}, stacked=True),
        Panel(
            "Requests left to other servers",
            {"{{result}}": rate("tidings_requests_left_to_others_total", "result")},
            "cps",
        ),
        Panel("CPU", {"cores": "sum(rate(process_cpu_seconds_total@[$__rate_interval]))"}),
        Panel("Memory", {"resident": "sum(process_resident_memory_bytes@)"}, "bytes"),
        Panel("Spans of traces", {"{{result}}": rate("tidings_trace_spans_total", "result")}, "cps", stacked=True),
        Panel("Open files", {"open": "sum(process_open_fds@)", "limit": "sum(process_max_fds@)"}),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it. Raises ValueError if panels and metrics do not fit."""
    told = {name: text for name, _, _, text in metric_rows()}
    shown = {name for panels in ROWS.values() for panel in panels for name in panel.metrics}
    if unknown := shown - told.keys():
        raise ValueError(f"there is no metric {', '.join(sorted(unknown))}")
    if missing := told.keys() - shown - UNSHOWN:
        raise ValueError(f"no panel shows {', '.join(sorted(missing))}: add one to {Path(__file__).name}")
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            }
        )
        top += 1
        left = 0
        for panel in row:
            height = 4 if panel.kind == "stat" else 8
            if left + panel.width > COLUMNS:
                left, top = 0, top + height
            at = {"h": height, "w": panel.width, "x": left, "y": top}
            panels.append(_panel(len(panels) + 1, panel, at, told))
            left += panel.width
        top += height
    return {
        "title": "Tidings",
        "uid": "tidings",
        "tags": ["tidings"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source(), _instance()]},
        "panels": panels,
    }


def _panel(number: int, panel: Panel, at: dict[str, int], told: dict[str, str]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    targets = [
        {"refId": chr(ord("A") + index), "expr": query.replace("@", AT), "legendFormat": legend, "datasource": source}
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    custom = {
        "fillOpacity": 20 if panel.stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.stacked else "none"},
    }
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    if panel.kind == "timeseries":
        defaults["custom"] = custom
        options = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": " ".join(told[name] for name in sorted(panel.metrics) if name in told),
        "datasource": source,
        "gridPos": at,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _instance() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Server",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": {"query": "label_values(tidings_info, instance)", "refId": "instance"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if the file is not fresh")
    wanted = json.dumps(dashboard(), indent=2) + "\n"
    is_fresh = FILE.exists() and FILE.read_text() == wanted
    if parser.parse_args().check:
        if not is_fresh:
            sys.stderr.write("deploy/grafana-dashboard.json is not fresh, run `make docs`\n")
        return 0 if is_fresh else 1
    if not is_fresh:
        FILE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
