"""Publish from your own transaction: a table in your database, and a relay that publishes the events committed to it.

    outbox = Outbox()
    with connection.transaction():                                  # psycopg; sqlite3, SQLAlchemy and Django alike
        connection.execute("UPDATE orders SET paid = true WHERE id = 7")
        outbox.add(connection, "orders.paid", {"id": 7}, subject="7")

    Relay("postgresql://app@db/shop", Client(url, key)).run()       # or: tidings outbox relay --database URL

If the transaction is rolled back, there is no event. If it is committed, there is exactly one, no matter what fails
when: the row has the event's id, the relay deletes it only after the event is stored, and an id is stored only once.

The order respects commits: an event that was added after another one's transaction was committed is published after
it. A relay reads the rows in the order in which they were added, always from the first one that is left, so that a row
that becomes visible late is never passed over. For the same reason several relays do no harm: each publishes nothing
before it has published, or found published, all that was visible before it. But they bring no benefit either.
"""

from __future__ import annotations

from tidings.outbox.adding import Outbox
from tidings.outbox.relay import Relay, Relayed
from tidings.outbox.statements import schema

__all__ = ["Outbox", "Relay", "Relayed", "schema"]
