"""How often each address may submit a form. Counted in memory, for each form on its own."""

from __future__ import annotations

from tidings.model.errors import LimitReached
from tidings.model.forms.form import Form
from tidings.model.moment import SECOND, Clock

WINDOW_SECONDS = 60
ADDRESSES_MAX = 10_000
"""More addresses than this in one window share one count of a form."""


class FormLimits:
    """Counts submissions by form and address. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window = 0
        self._counts: dict[str, dict[str, int]] = {}

    def take(self, form: Form, address: str) -> None:
        """Count one submission. Raises LimitReached."""
        most = form.options.max_per_minute
        if not most:
            return
        now = self._clock.now()
        window = now // (WINDOW_SECONDS * SECOND)
        if window != self._window:
            self._counts.clear()
            self._window = window
        counts = self._counts.setdefault(form.id, {})
        if address not in counts and len(counts) >= ADDRESSES_MAX:
            address = ""
        counts[address] = counts.get(address, 0) + 1
        if counts[address] > most:
            raise LimitReached(
                f"Each address may submit this form {most:,} times in a minute.",
                code="address_limit_reached",
                retry_after_seconds=(window + 1) * WINDOW_SECONDS - now / SECOND,
            )
