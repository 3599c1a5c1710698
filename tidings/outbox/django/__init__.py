"""Django: an app with the outbox's table, `add` for transactions, and `manage.py tidings_relay`.

INSTALLED_APPS = [..., "tidings.outbox.django"]     # then: manage.py migrate

with transaction.atomic():
    order.save()
    add("orders.paid", {"id": order.id}, subject=str(order.id))
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connections

from tidings.outbox.adding import Outbox

_OUTBOX = Outbox()


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
    return _OUTBOX.add(connections[using], type, data, subject=subject, id=id, time=time, tenant=tenant)
