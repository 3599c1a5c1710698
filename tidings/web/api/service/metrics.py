"""The metrics, read from the parts when they are requested; nothing is counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from tidings import __version__
from tidings.web.parts import Parts


def render(parts: Parts, positions: dict[str, int], *, ready: bool) -> bytes:
    """All metrics as text.

    `positions` are the store's cursors, and how many events are unrouted. `ready`: whether `/readyz` returns 200 now.
    """
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Collector(parts, positions, ready))
    return generate_latest(registry)


def render_standby() -> bytes:
    """The metrics of a server that stands by: only that it is running."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Standby())
    return generate_latest(registry)


def standing_by(value: int) -> GaugeMetricFamily:
    """The only metric that a server standing by has too."""
    return GaugeMetricFamily(
        "tidings_standing_by", "1: this server is standing by, and exports no other metric; 0: it is active.", value
    )


class _Standby:
    def collect(self) -> Iterator[Metric]:
        yield standing_by(1)


class _Collector:
    def __init__(self, parts: Parts, positions: dict[str, int], ready: bool) -> None:
        self._parts = parts
        self._positions = positions
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        yield from self._flow()
        yield from self._endpoints()
        yield from self._durations()
        parts = self._parts
        answers = CounterMetricFamily(
            "tidings_answers", "Number of HTTP responses sent.", labels=["operation", "status"]
        )
        for (operation, status), count in sorted(parts.answers.items()):
            answers.add_metric([operation, str(status)], count)
        yield answers
        yield CounterMetricFamily(
            "tidings_write_groups", "Transactions that the writer has committed.", parts.writer.groups
        )
        yield CounterMetricFamily(
            "tidings_write_jobs", "Number of write jobs in the writer's transactions.", parts.writer.jobs
        )
        yield CounterMetricFamily(
            "tidings_write_failures", "Transactions that the store refused.", parts.writer.failures
        )
        spans = CounterMetricFamily("tidings_trace_spans", "Trace spans, by result.", labels=["result"])
        for result, count in parts.spans.items():
            spans.add_metric([result], count)
        yield spans
        yield from self._shares()
        yield GaugeMetricFamily("tidings_ready", "1: `/readyz` returns 200; 0: it returns 503.", int(self._ready))
        sends = GaugeMetricFamily(
            "tidings_sends", "1: this node routes and sends; 0: another node does, and this one may help it to send."
        )
        sends.add_metric([], int(parts.sends))
        yield sends
        if parts.sends_parts is not None:
            yield from self._helping(parts.sends_parts)
        yield standing_by(0)
        info = GaugeMetricFamily("tidings_info", "The running version of Tidings.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info

    def _helping(self, sends_parts: int) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tidings_sends_parts", "For how many of the 32 parts of the endpoints this joined node sends.", sends_parts
        )
        left = CounterMetricFamily(
            "tidings_requests_left_to_others",
            "Requests that the sender has left to other nodes, by result: `answered`; `repeated` by the sender, as the "
            "other node was lost; `unreached`: tried by the sender, too, as the other node could not connect.",
            labels=["result"],
        )
        for result, count in ({} if self._parts.helpers is None else self._parts.helpers.requests).items():
            left.add_metric([result], count)
        yield left

    def _flow(self) -> Iterator[Metric]:
        parts, at = self._parts, self._positions
        yield CounterMetricFamily("tidings_events_accepted", "Events stored since startup.", parts.publisher.accepted)
        yield CounterMetricFamily("tidings_deliveries_made", "Deliveries created since startup.", parts.routing.routed)
        attempts = CounterMetricFamily("tidings_attempts", "Finished attempts, by outcome.", labels=["outcome"])
        for outcome, count in sorted(dict(parts.deliver.outcomes).items()):
            attempts.add_metric([outcome], count)
        yield attempts
        hooks = CounterMetricFamily("tidings_hook_requests", "Requests to hooks, by verdict.", labels=["verdict"])
        for verdict, count in sorted(parts.receiver.taken.items()):
            hooks.add_metric([verdict], count)
        yield hooks
        forms = CounterMetricFamily("tidings_form_submissions", "Submissions of forms, by verdict.", labels=["verdict"])
        for verdict, count in sorted(parts.forms.receiver.taken.items()):
            forms.add_metric([verdict], count)
        yield forms
        yield CounterMetricFamily(
            "tidings_hook_refusals_left_out",
            "Refused requests to hooks and forms that were not stored, because there was no room.",
            parts.receiver.refusals.left_out,
        )
        lag = at["unrouted"]
        yield GaugeMetricFamily("tidings_route_lag_events", "Events stored but not yet routed.", lag)
        yield GaugeMetricFamily(
            "tidings_route_aside_tenants", "Tenants whose costly filters delay their own events.", parts.routing.aside
        )
        yield CounterMetricFamily(
            "tidings_filters_cut_off",
            "Events sent without filtering, because the filter took too many steps.",
            parts.routing.cut_off,
        )
        behind = at["delivery"] - at["deliver"]
        yield GaugeMetricFamily(
            "tidings_deliver_lag_deliveries", ("Deliveries that the deliver stage has not reached yet."), behind
        )
        yield GaugeMetricFamily("tidings_in_flight", "Requests in flight to endpoints.", parts.deliver.flights)

        yield GaugeMetricFamily("tidings_open_streams", "Open streams and long polls.", parts.open_calls.count)

    def _durations(self) -> Iterator[Metric]:
        parts = self._parts
        requests = HistogramMetricFamily(
            "tidings_request_duration_seconds",
            "Time from the arrival of a request's headers to the response, excluding streams and long polls.",
            labels=["operation"],
        )
        for operation, histogram in parts.request_seconds.all():
            requests.add_metric([operation], histogram.buckets(), histogram.total)
        yield requests
        attempts = HistogramMetricFamily(
            "tidings_attempt_duration_seconds", "Duration of delivery attempts, by outcome.", labels=["outcome"]
        )
        for outcome, histogram in parts.deliver.timings.attempts.all():
            attempts.add_metric([outcome], histogram.buckets(), histogram.total)
        yield attempts
        delays = HistogramMetricFamily(
            "tidings_publish_to_delivery_seconds",
            "Time from storing an event to the response with which an endpoint accepts it, including retries.",
        )
        delivered = parts.deliver.timings.deliveries
        delays.add_metric([], delivered.buckets(), delivered.total)
        yield delays

    def _shares(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("tidings_share_used", "How much of a shared resource is in use.", labels=["of"])
        total = GaugeMetricFamily(
            "tidings_share_limit", "How much of a shared resource all tenants together may use.", labels=["of"]
        )
        back = GaugeMetricFamily(
            "tidings_share_tenants_held_back",
            "Tenants that are using their full share of a resource, and so get no more of it.",
            labels=["of"],
        )
        refusals = CounterMetricFamily(
            "tidings_share_refusals", "How often a tenant wanted more than its share of a resource.", labels=["of"]
        )
        for view in self._parts.shares():
            used.add_metric([view.name], view.used)
            total.add_metric([view.name], view.total)
            back.add_metric([view.name], len(view.held_back))
            refusals.add_metric([view.name], view.refusals)
        yield from (used, total, back, refusals)

    def _endpoints(self) -> Iterator[Metric]:
        parts = self._parts
        modes = Counter(endpoint.mode for endpoint in parts.catalog.now.endpoints_by_id.values())
        endpoints = GaugeMetricFamily("tidings_endpoints", "Endpoints by mode.", labels=["mode"])
        for mode in ("enabled", "paused", "disabled"):
            endpoints.add_metric([mode], modes[mode])
        yield endpoints
        if not parts.sends:
            # Only the node that sends has lanes; zeros here would suggest that all is well.
            return
        snapshot, links = parts.deliver.snapshot(), parts.catalog.now.links
        lanes = list(snapshot.values())
        yield GaugeMetricFamily(
            "tidings_queued",
            "Deliveries that are queued in memory, to be sent next.",
            sum(lane.queued for lane in lanes),
        )
        lagging = sum(lane.lagging for lane in lanes)
        yield GaugeMetricFamily(
            "tidings_endpoints_lagging",
            "Endpoints that are lagging behind; the deliveries of each are read from a separate backlog.",
            lagging,
        )
        # Nothing is sent to the others, so their last failure means nothing now.
        sending = [lane for num, lane in snapshot.items() if num in links and links[num].mode == "enabled"]
        failing = sum(lane.failing_since is not None for lane in sending)
        yield GaugeMetricFamily("tidings_endpoints_failing", "Enabled endpoints and links that are failing.", failing)
