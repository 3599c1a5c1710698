"""The outbox's table."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def vacuum_often(apps: Any, schema_editor: Any) -> None:
    """Keep PostgreSQL from letting dead rows pile up in a table that is emptied all the time."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "ALTER TABLE tidings_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
        )


class Migration(migrations.Migration):
    """Create it."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.TextField(db_column="id")),
                ("type", models.TextField()),
                ("subject", models.TextField(null=True)),
                ("tenant", models.TextField(null=True)),
                ("time", models.TextField()),
                ("data", models.TextField()),
                ("refused", models.TextField(null=True)),
            ],
            options={"db_table": "tidings_outbox", "ordering": ("position",)},
        ),
        migrations.RunPython(vacuum_often, migrations.RunPython.noop),
    ]
