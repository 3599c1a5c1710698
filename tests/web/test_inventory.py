"""What the server says it has: its store table by table, its last backup, its settings without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.test_endpoints import key_of
from tidings.settings import read_settings
from tidings.store.engines.opening import open_engine
from tidings.store.files import BACKUPS, note_backup
from tidings.store.log import sizes
from tidings.testing import TestServer


@pytest.mark.slow
def test_tables_have_their_rows_and_bytes_whatever_the_engine(server: TestServer) -> None:
    for number in range(30):
        server.api.publish("sizes.a", {"n": number, "text": "x" * 500})
    store = server.api.get("/v1/server")["store"]
    assert sum(each["bytes"] or 0 for each in store["tables"]) <= store["bytes"]
    if server.server is not None and server.server.settings.database.startswith("sqlite:"):
        event = next(each for each in store["tables"] if each["name"] == "event")
        assert (
            event["rows"] >= 30 and event["is_estimate"] and 30 * 500 < event["bytes"] < 30 * 2_000 * event["rows"] / 30
        )
        tables = {each["name"]: each for each in store["tables"]}
        assert tables["waiting"]["rows"] == 0 and not tables["waiting"]["is_more"]


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_rows_are_not_counted_by_their_highest_number(tmp_path: Path) -> None:
    """After a restore, or where much was deleted, numbers have long gaps."""
    engine = open_engine("sqlite:x.db", tmp_path)
    db = engine.writer()
    db.begin()
    db.execute("CREATE TABLE gapped (n INTEGER PRIMARY KEY, text TEXT)", {})
    for start, count in ((1, 3_000), (2_000_000, 700), (9_000_000, 40)):
        db.insert("gapped", ("n", "text"), [(number, "x") for number in range(start, start + count)])
    db.execute("CREATE TABLE thin (n INTEGER PRIMARY KEY)", {})
    db.insert("thin", ("n",), [(number * 3,) for number in range(20_000)])
    found = sizes.read(db)
    rows = {each.name: each.rows for each in found.tables}
    assert rows["gapped"] == 3_740 and 19_000 < rows["thin"] < 21_000, rows
    assert sum(each.bytes or 0 for each in found.tables) <= found.bytes
    db.rollback()
    db.close()
    engine.close()


@pytest.mark.sqlite_only
def test_the_last_backup_is_named_with_its_time(server: TestServer) -> None:
    assert server.server is not None
    assert server.api.get("/v1/server")["backup"]["made"] is None
    folder = server.server.settings.folder
    note_backup(folder, made="/backups/tidings.db", made_at=1_763_690_000_000_000)
    found = server.api.get("/v1/server")["backup"]
    assert (found["file"], found["made"]) == ("/backups/tidings.db", "2025-11-21T01:53:20.000Z")
    (folder / BACKUPS).unlink()


@pytest.mark.sqlite_only
def test_settings_say_where_they_are_from_and_hide_secrets(server: TestServer) -> None:
    settings = read_settings(
        {"port": 1},
        {
            "TIDINGS_DATABASE": "postgresql://me:pass@db/x?sslpassword=word",
            "TIDINGS_OPERATOR_KEY": "tdk_" + "secret" * 5,
        },
        {"host": "::1", "port": 2},
    )
    shown = {name: (value, origin) for name, value, origin in settings.shown()}
    assert shown["port"] == ("1", "--port") and shown["host"] == ("::1", "host in the file")
    assert shown["database"] == ("postgresql://me:***@db/x?sslpassword=***", "TIDINGS_DATABASE")
    assert shown["operator_key"] == ("***", "TIDINGS_OPERATOR_KEY") and shown["secret_key"] == ("", "")
    given = {each["name"]: each for each in server.api.get("/v1/server")["settings"]}
    assert given["operator_key"]["value"] in ("", "***") and given["allow_http"] == {
        "name": "allow_http",
        "value": "true",
        "origin": None,
    }


@pytest.mark.sqlite_only
def test_a_tenant_s_key_does_not_see_the_server(server: TestServer) -> None:
    assert key_of(server.api, "acme").call("GET", "/v1/server").status in (403, 404)
    assert Path(server.api.get("/v1/server")["settings"][0]["value"]).name
