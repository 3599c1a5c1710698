"""Which traces are recorded, as OpenTelemetry's standard samplers choose."""

from __future__ import annotations

import msgspec

from tidings.rules.tracing.context import Trace

ALL = 1 << 64


class Sampler(msgspec.Struct, frozen=True):
    """Decides once for each trace, when it enters the server."""

    below: int
    """A trace is recorded if the number in the last 64 bits of its id is below this: a share of `below` / ALL."""
    follows: bool
    """Whether the decision of another system's span, if the trace comes from one, takes precedence."""

    def samples(self, trace_id: str, parent: Trace | None) -> bool:
        """Whether the trace is recorded. `parent`: another system's span, if that is trusted to decide."""
        if parent is not None and self.follows:
            return parent.is_sampled
        return self.below >= ALL or int(trace_id[16:], 16) < self.below
