"""`manage.py tidings_relay`: publish the outbox's events, until stopped."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.utils.connection import ConnectionDoesNotExist

from tidings.client import Client, ClientError
from tidings.client.exchange import DEFAULT_URL
from tidings.outbox.relay import Relay


class Command(BaseCommand):
    """The relay, with the project's own database settings."""

    help = "Publish the outbox's events to Tidings, until the command is stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options; the settings TIDINGS_URL and TIDINGS_KEY, or variables with those names, are the defaults."""
        parser.add_argument("--url", default=_setting("TIDINGS_URL") or DEFAULT_URL, help="The Tidings server's URL.")
        parser.add_argument("--key", default=_setting("TIDINGS_KEY"), help="A key with the scope events:write.")
        parser.add_argument(
            "--database", default="default", help="The name of the outbox's database in Django's settings."
        )
        parser.add_argument(
            "--once", action="store_true", help="Publish the events that are in the outbox now, and exit."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; SIGTERM and Ctrl-C finish the batch in progress."""
        try:
            made = Client(options["url"], key=options["key"] or None)
            _ = connections[options["database"]]
        except (ValueError, ConnectionDoesNotExist) as wrong:
            raise CommandError(str(wrong)) from None
        with made as client:
            # Django has a connection for each thread.
            relay = Relay(lambda: connections[options["database"]], client)
            if not options["once"]:
                relay.run_until_signal()
                return
            try:
                done = relay.drain()
            except (ClientError, DatabaseError) as wrong:
                raise CommandError(str(wrong)) from wrong
        self.stdout.write(f"{_events(done.published)} published from the outbox.")
        if done.refused:
            raise CommandError(
                f"{_events(done.refused)} refused by the server and left in the outbox. `tidings outbox "
                "status` shows why."
            )


def _events(count: int) -> str:
    return f"{count:,} event{' was' if count == 1 else 's were'}"


def _setting(name: str) -> str:
    return str(getattr(settings, name, None) or os.environ.get(name, ""))
