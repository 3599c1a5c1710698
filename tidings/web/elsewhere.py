"""What a node has instead of what only the node that sends has: it passes on what people see, and knows no lanes."""

from __future__ import annotations

import dataclasses
import logging
from time import perf_counter
from typing import Any

from tidings.deliver.elsewhere import DeliverElsewhere
from tidings.model.errors import TidingsError
from tidings.store.seal import Sealer
from tidings.web.callers.arrivals import Arrivals
from tidings.web.callers.forwarded import ForwardedSeal
from tidings.web.parts import Parts
from tidings.web.wire import problem
from tidings.web.wire.forwarding import Forwarding

_ALWAYS = [
    ("server", "tidings"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("cache-control", "no-store"),
    ("content-type", "text/plain; charset=utf-8"),
]

log = logging.getLogger("tidings.web")


def among_others(parts: Parts, node: str, sealer: Sealer) -> Parts:
    """The parts of a node that has joined others; `node`: its id."""
    seal = ForwardedSeal(sealer, parts.clock)
    if parts.sends:
        return dataclasses.replace(parts, forwarded=seal)
    forwarding = Forwarding(node, seal, parts.settings.ca_file)
    return dataclasses.replace(parts, forwarded=seal, forwarding=forwarding, deliver=DeliverElsewhere())


class DoorElsewhere:
    """Takes the place of a door that only the node that sends has."""

    def __init__(self, parts: Parts, forwarding: Forwarding, name: str, bytes_max: int) -> None:
        """`name`: what its requests are called in the metrics. `bytes_max`: of a body."""
        self._parts, self._forwarding, self._name, self._bytes_max = parts, forwarding, name, bytes_max
        self._arrivals = Arrivals(parts)

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request (RSGI 1.x)."""
        request_id, is_refused = self._arrivals.next_id(perf_counter()), False
        try:
            client = self._arrivals.caller(scope)
            self._arrivals.count(client)
            status = await self._forwarding.pass_on(self._parts, scope, proto, client, self._bytes_max)
        except Exception as wrong:
            status, is_refused = _refuse(proto, wrong, request_id), True
        # How long it took says nothing: it may be a page that stays open.
        self._arrivals.answered(self._name, status, None)
        if is_refused:
            await self._parts.bodies.discard(proto, dict(scope.headers.items()), status)


def _refuse(proto: Any, wrong: Exception, request_id: str) -> int:
    """Write a refusal that people can read; its status."""
    if not isinstance(wrong, TidingsError):
        log.error("%s a request could not be passed on", request_id, exc_info=wrong, extra={"request_id": request_id})
        wrong = problem.Internal(request_id)
    headers = [*_ALWAYS, *problem.headers(wrong), ("request-id", request_id)]
    proto.response_bytes(wrong.status, headers, f"{wrong.detail}\n".encode())
    return wrong.status
