"""Django: an app with the outbox's table, `add` for transactions, and `manage.py tidings_relay`.

INSTALLED_APPS = [..., "tidings.outbox.django"]     # then: manage.py migrate

with transaction.atomic():
    order.save()
    add("orders.paid", {"id": order.id}, subject=str(order.id))
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connections

from tidings.model.event import EVENT_BYTES_MAX
from tidings.outbox.adding import Outbox


@cache
def _outbox() -> Outbox:
    # Django's settings cannot be read before the project is set up.
    return Outbox(event_bytes_max=getattr(settings, "TIDINGS_EVENT_BYTES_MAX", EVENT_BYTES_MAX))


def add(
    type: str,
    data: Mapping[str, Any],
    *,
    subject: str | None = None,
    id: str | None = None,
    time: str | datetime | None = None,
    tenant: str | None = None,
    using: str = "default",
) -> str:
    """Add an event to the transaction on the database `using`; returns the event's id. Raises as `Outbox.add` does."""
    return _outbox().add(connections[using], type, data, subject=subject, id=id, time=time, tenant=tenant)
