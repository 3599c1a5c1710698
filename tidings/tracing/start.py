"""Start tracing as the environment says, and give the server the wrappers for its parts."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace

from tidings import __version__
from tidings.deliver.actions.action import Action
from tidings.model.link import AnyLink
from tidings.model.moment import Clock
from tidings.net.collector import CollectorConnection
from tidings.route.route import Router
from tidings.rules.tracing.configured import WrongTracing, batching, collector, resource, sampler
from tidings.rules.tracing.sampling import ALL
from tidings.tracing.attempts import TracedAction
from tidings.tracing.process import Exporter
from tidings.tracing.records import Orders
from tidings.tracing.requests import TracedRequests
from tidings.tracing.spans import Spans
from tidings.tracing.tracing import Tracing
from tidings.web.parts import Parts

NAME = "tidings"

log = logging.getLogger("tidings.tracing")


class Started:
    """One server's tracing."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def attach(self, parts: Parts) -> Parts:
        """Begin to observe what is written and routed. Returns the parts, with requests traced too."""
        self._tracing.spans.start()
        router = parts.routing
        assert isinstance(router, Router)
        self._tracing.attach(parts.writer, router)
        return replace(parts, spans=self._tracing.spans.counts, traces=TracedRequests(self._tracing))

    def action(self, link: AnyLink, action: Action) -> Action:
        """The same action, traced."""
        return TracedAction(self._tracing, link, action)

    def stop(self) -> None:
        """Send the last spans, if the collector takes them at once."""
        self._tracing.spans.stop()


def start(environ: Mapping[str, str], clock: Clock) -> Started:
    """Begin to trace. Raises WrongTracing."""
    chosen, how, where = sampler(environ), batching(environ), collector(environ)
    sender = resource(environ, NAME, __version__, str(uuid.uuid4()))
    try:
        CollectorConnection(where).close()
    except OSError as wrong:
        files = ", ".join(filter(None, (where.ca_file, where.certificate_file, where.key_file)))
        why = (wrong.strerror or str(wrong)).lower().rstrip(".")
        raise WrongTracing(f"The certificates for the collector ({files}) cannot be used: {why}.") from None
    share = 100 * chosen.below / ALL
    log.info("%.4g %% of the traces are sent to %s as the service %s", share, where.shown, sender["service.name"])
    orders = Orders(where, how, sender, NAME, __version__)
    return Started(Tracing(Spans(lambda: Exporter(orders), how.queue_max, clock), chosen, clock))
