"""The app, as Django finds it."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxApp(AppConfig):
    """The outbox's table among the project's own."""

    name = "tidings.outbox.django"
    label = "tidings_outbox"
    verbose_name = "Tidings outbox"
    default_auto_field = "django.db.models.BigAutoField"
