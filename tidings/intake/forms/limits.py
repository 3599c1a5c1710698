"""How often each address may submit a form, or open its page. Counted in memory, for each form on its own."""

from __future__ import annotations

from tidings.model.errors import LimitReached
from tidings.model.forms.form import Form
from tidings.model.moment import Clock
from tidings.rules.network.callers import CallersCount

WINDOW_SECONDS = 60
PAGES_TIMES = 10
"""Each address may open a form's page this many times more often than it may submit the form."""
FORMS_MAX = 10_000
"""The maximum number of forms for which requests are counted; beyond that, all counts restart at 0."""


class FormLimits:
    """Counts submissions and pages by form and address. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str], CallersCount] = {}

    def take(self, form: Form, client: str) -> None:
        """Count one submission of a peer (`address:port`). Raises LimitReached."""
        self._take(form, client, form.options.max_per_minute, "submit this form")

    def take_page(self, form: Form, client: str) -> None:
        """Count one page that a peer (`address:port`) opens. Raises LimitReached."""
        self._take(form, client, form.options.max_per_minute * PAGES_TIMES, "open this form")

    def _take(self, form: Form, client: str, most: int, what: str) -> None:
        if not most:
            return
        counts = self._counts.get((form.id, what))
        if counts is None:
            if len(self._counts) >= FORMS_MAX:
                self._counts.clear()
            counts = self._counts[form.id, what] = CallersCount(WINDOW_SECONDS)
        now = self._clock.now()
        if counts.take(client, most, now) > most:
            raise LimitReached(
                f"Each address may {what} at most {most:,} times per minute.",
                code="address_limit_reached",
                retry_after_seconds=counts.rest_seconds(now),
            )
