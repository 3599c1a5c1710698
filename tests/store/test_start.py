"""What a start asks of a PostgreSQL database: once, and again whenever its writer connects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer
from tidings.testing import TestServer, until


def asked(server: PostgresServer, name: str) -> tuple[int, int]:
    """How often the setting `fsync` was asked for in a database, and how many sessions it had, by the log."""
    lines = [line for line in server.log.splitlines() if line.startswith(f"{name} ")]
    return sum("SHOW fsync" in line for line in lines), sum("connection authorized" in line for line in lines)


@pytest.mark.slow
@pytest.mark.postgres
def test_the_settings_are_asked_for_once_and_by_each_writer(tmp_path: Path) -> None:
    settings = {"log_line_prefix": "%d ", "log_connections": "on", "log_statement": "all"}
    with PostgresServer(settings) as postgres, postgres.database(migrated=True) as url:
        name = url.partition("?")[0].rpartition("/")[2]
        shows, sessions = asked(postgres, name)
        with TestServer(tmp_path / "tidings", database=url) as server:
            now = asked(postgres, name)
            # The writer, what finds poolers, deliver, the beat, and what reads.
            assert now[0] - shows == 1 and now[1] - sessions <= 5
            postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            until(lambda: asked(postgres, name)[0] > now[0], "the writer has asked again")
            assert server.api.call("GET", "/readyz").status in (200, 503)
