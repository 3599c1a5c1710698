"""OpenTelemetry traces of requests, routing and attempts, loaded only if they are enabled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidings.model.moment import Clock
from tidings.rules.tracing.configured import asked_by

if TYPE_CHECKING:
    from tidings.tracing.start import Started


def start_if_asked(environ: Mapping[str, str], clock: Clock) -> Started | None:
    """Tracing, if the environment enables it. Raises WrongTracing."""
    if asked_by(environ) is None:
        return None
    from tidings.tracing.start import start

    return start(environ, clock)
