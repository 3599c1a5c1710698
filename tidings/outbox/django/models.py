"""The outbox's table as a model, for migrations and for inspecting what waits."""

from __future__ import annotations

from django.db import models


class OutboxEvent(models.Model):
    """One event that is not published yet, or that the server refused."""

    position = models.BigAutoField(primary_key=True)
    event_id = models.TextField(db_column="id")
    type = models.TextField()
    subject = models.TextField(null=True)
    tenant = models.TextField(null=True)
    time = models.TextField()
    data = models.TextField()
    refused = models.TextField(null=True)

    class Meta:
        """Its name in the database."""

        db_table = "tidings_outbox"
        ordering = ("position",)

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
