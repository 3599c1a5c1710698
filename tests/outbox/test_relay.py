"""The relay publishes what is committed, in order, exactly once, and whatever goes wrong loses nothing."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.outbox.shops import SHOPS, Shop, file_of
from tests.outbox.test_adding import nested
from tidings.cli.outbox import cli
from tidings.client import Client, Unauthorized
from tidings.outbox import Outbox, Relay
from tidings.testing import TestServer, until


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with TestServer() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = SHOPS["sqlite3"](file_of(tmp_path))
    made.create()
    yield made
    made.close()


@pytest.fixture
def tenant(server: TestServer, request: pytest.FixtureRequest) -> str:
    """A tenant of this test's own, so that its events can be told from others'."""
    return str(request.node.name)[:60].replace("[", "_").replace("]", "")


def client(server: TestServer, **options: Any) -> Client:
    return Client(server.url, key=options.pop("key", server.api.key), retries=0, **options)


def stored(server: TestServer, tenant: str) -> list[dict[str, Any]]:
    """The tenant's events, oldest first."""
    return list(reversed(list(server.api.pages("/v1/events", tenant=tenant, limit=1000))))


def add(shop: Shop, tenant: str, *events: tuple[str, dict[str, Any]], **options: Any) -> None:
    with shop.transaction() as connection:
        for type, data in events:
            shop.add(connection, type, data, tenant=tenant, **options)


def test_events_are_published_in_order_with_their_ids_and_leave_the_table(
    server: TestServer, shop: Shop, tenant: str
) -> None:
    with shop.transaction() as connection:
        ids = [
            Outbox(dumps=lambda data: '{"price":1.10}').add(
                connection, "orders.paid", {}, tenant=tenant, subject=str(n)
            )
            for n in range(3)
        ]
    with client(server) as caller:
        assert Relay(shop.url, caller).drain() == (3, 0)
    events = stored(server, tenant)
    assert [event["id"] for event in events] == ids
    assert [event["subject"] for event in events] == ["0", "1", "2"]
    raw = server.api.call("GET", f"/v1/events/{ids[0]}").body
    assert b'{"price":1.10}' in raw, "the data arrives digit by digit"
    assert shop.rows() == 0


def test_a_relay_that_dies_before_it_deletes_repeats_and_nothing_is_stored_twice(
    server: TestServer, shop: Shop, tenant: str
) -> None:
    class Dying(Exception):
        pass

    def die(rows: Any) -> None:
        raise Dying

    add(shop, tenant, ("orders.paid", {"n": 1}), ("orders.paid", {"n": 2}))
    with client(server) as caller:
        relay = Relay(shop.url, caller)
        relay.table.delete = die  # type: ignore[method-assign]
        with pytest.raises(Dying):
            relay.drain()
        assert len(stored(server, tenant)) == 2
        assert shop.rows() == 2
        add(shop, tenant, ("orders.paid", {"n": 3}))
        assert Relay(shop.url, caller).drain() == (3, 0)
    assert [event["data"]["n"] for event in stored(server, tenant)] == [1, 2, 3]


@pytest.mark.slow
def test_an_event_that_is_refused_is_put_aside_with_the_reason_and_those_after_it_go_on(
    server: TestServer, shop: Shop, tenant: str
) -> None:
    server.api.call("PUT", "/v1/event-types/invoices.sent", {"schema": {"required": ["number"]}})
    add(shop, tenant, ("invoices.sent", {"number": 1}), ("invoices.sent", {}), ("invoices.sent", {"number": 3}))
    with client(server) as caller:
        relay = Relay(shop.url, caller)
        assert relay.drain() == (2, 1)
        assert [event["data"] for event in stored(server, tenant)] == [{"number": 1}, {"number": 3}]
        [refused] = relay.table.refused(10)
        assert "number" in refused.reason
        server.api.call("DELETE", "/v1/event-types/invoices.sent")
        assert relay.table.retry() == 1
        assert relay.drain() == (1, 0)
    assert len(stored(server, tenant)) == 3


@pytest.mark.slow
def test_large_events_go_in_several_batches_and_one_that_no_server_takes_is_put_aside(
    server: TestServer, shop: Shop, tenant: str
) -> None:
    large = {"x": "y" * 200_000}
    add(shop, tenant, *[("files.stored", large)] * 6, ("files.stored", {}))
    with shop.transaction() as connection:
        Outbox(event_bytes_max=3_000_000).add(connection, "files.stored", {"x": "y" * 2_000_000}, tenant=tenant)
    with client(server) as caller:
        relay = Relay(shop.url, caller)
        assert relay.drain() == (7, 1)
        assert [row.reason[:40] for row in relay.table.refused(10)] != []
    assert len(stored(server, tenant)) == 7


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 200], ids=["alone", "in a large batch"])
def test_what_the_outbox_accepts_at_its_limits_a_server_accepts_and_no_more(
    server: TestServer, shop: Shop, tenant: str, count: int
) -> None:
    add(shop, tenant, *[("files.stored", {"x": "y" * 1_000})] * count, ("orders.paid", nested(61)))
    longest = 1_048_576
    with shop.transaction() as connection:
        with pytest.raises(ValueError, match="accepts") as wrong:
            shop.add(connection, "orders.paid", {"x": "y" * longest}, tenant=tenant)
        over = int(str(wrong.value).split()[3].replace(",", "")) - longest
        shop.add(connection, "orders.paid", {"x": "y" * (longest - over)}, tenant=tenant)
    with client(server) as caller:
        assert Relay(shop.url, caller).drain() == (count + 2, 0)
        add(shop, tenant, ("orders.paid", {"n": 1}))
        for data in (nested(62), {"n": "\0"}, {"n": "\ud83d"}, {"n": 2**63}, {"x": "y" * (longest - over + 1)}):
            with shop.transaction() as connection:
                with pytest.raises(ValueError, match=r"NUL|surrogate|64 bits|levels|bytes"):
                    shop.add(connection, "orders.paid", data, tenant=tenant)
                shop.run(connection, f"UPDATE tidings_outbox SET refused = NULL, data = '{json.dumps(data)}'")
            assert Relay(shop.url, caller).drain() == (0, 1)


def test_a_connection_of_the_applications_own_making_may_return_dictionaries(
    server: TestServer, shop: Shop, tenant: str
) -> None:
    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(shop.url)
        made.row_factory = lambda cursor, row: dict(zip((each[0] for each in cursor.description), row, strict=True))
        return made

    add(shop, tenant, ("orders.paid", {"n": 1}))
    with client(server) as caller:
        assert Relay(connect, caller).drain() == (1, 0)
    assert [event["data"] for event in stored(server, tenant)] == [{"n": 1}]


def test_a_key_without_the_scope_leaves_everything_where_it_is(server: TestServer, shop: Shop, tenant: str) -> None:
    add(shop, tenant, ("orders.paid", {}))
    with client(server, key="tdk_wrong") as caller, pytest.raises(Unauthorized):
        Relay(shop.url, caller).drain()
    assert shop.rows() == 1


def test_it_outlives_the_server_and_the_database(
    server: TestServer, shop: Shop, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tidings.outbox")
    is_away = threading.Event()
    is_away.set()
    tried = threading.Semaphore(0)

    def connect() -> sqlite3.Connection:
        tried.release()
        if is_away.is_set():
            raise sqlite3.OperationalError("the disk is away")
        return sqlite3.connect(shop.url, isolation_level=None)

    with client(server) as caller, Relay(connect, caller, every_seconds=0.01):
        add(shop, tenant, ("orders.paid", {"n": 1}))
        for _ in range(3):
            assert tried.acquire(timeout=10)
        is_away.clear()
        until(lambda: len(stored(server, tenant)) == 1, "the event")
        until(lambda: "Events are published again." in caplog.messages, "the message")
    warnings = [message for message in caplog.messages if "stay in the outbox" in message]
    assert warnings == ["Events are not published, and stay in the outbox: the disk is away"], "it is said once"


def test_a_relay_in_a_thread_is_woken_after_a_commit_and_ends_when_told(
    server: TestServer, shop: Shop, tenant: str
) -> None:
    with client(server) as caller, Relay(shop.url, caller, every_seconds=3600) as relay:
        add(shop, tenant, ("orders.paid", {}))
        relay.wake()
        until(lambda: len(stored(server, tenant)) == 1, "the event")


@pytest.mark.slow
def test_two_relays_publish_nothing_twice_and_in_order(server: TestServer, shop: Shop, tenant: str) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            caller = stack.enter_context(client(server))
            stack.enter_context(Relay(shop.url, caller, every_seconds=0.001))
        for number in range(60):
            add(shop, tenant, ("orders.paid", {"n": number}))
        until(lambda: shop.rows() == 0, "an empty outbox")
    assert [event["data"]["n"] for event in stored(server, tenant)] == list(range(60))


@pytest.mark.slow
def test_the_command_publishes_shows_and_retries(server: TestServer, shop: Shop, tenant: str) -> None:
    runner = CliRunner()

    def run(*args: str) -> Any:
        return runner.invoke(cli, [*args, "--database", shop.url])

    at = ["--url", server.url, "--key", server.api.key or ""]
    assert run("status").stdout == "Nothing is waiting.\n"
    # As another program may write it: `add` refuses it.
    add(shop, tenant, ("orders.paid", {}), ("parcels.mine", {}))
    with shop.transaction() as connection:
        shop.run(connection, "UPDATE tidings_outbox SET type = 'endpoint.mine' WHERE type = 'parcels.mine'")
    assert run("status").stdout.startswith("2 events are waiting, the oldest since 20")
    ran = run("relay", "--once", *at)
    assert (ran.exit_code, ran.stdout) == (1, "1 event was published from the outbox.\n")
    assert ran.stderr.startswith("1 event was refused by the server and left in the outbox.")
    again = run("relay", "--once", *at)
    assert (again.exit_code, again.stdout) == (0, "0 events were published from the outbox.\n")
    shown = run("status", "--json")
    said = json.loads(shown.stdout)
    assert (shown.exit_code, said["waiting"], said["refused"][0]["type"]) == (1, 0, "endpoint.mine")
    shown = run("status")
    assert shown.exit_code == 1 and "are published by Tidings itself" in shown.stdout.replace("\n", " ")
    assert run("retry").stdout == "1 event will be tried again.\n"
    ident = said["refused"][0]["id"]
    assert run("drop", ident).stderr == f"The outbox has no refused event with this id: {ident}.\n", "it waits again"
    ran = run("relay", "--once", "--json", *at)
    assert (ran.exit_code, json.loads(ran.stdout)) == (1, {"published": 0, "refused": 1})
    ran = run("drop", ident, "none", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)) == (1, {"dropped": [ident], "unknown": ["none"]})
    assert (run("status").exit_code, run("status").stdout) == (0, "Nothing is waiting.\n")
    assert shop.rows() == 0
    wrong = runner.invoke(cli, ["status", "--database", "/nowhere/shop.db"])
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "unable to open database file" in wrong.stderr
    assert "AUTOINCREMENT" in runner.invoke(cli, ["schema", "sqlite"]).stdout
    assert runner.invoke(cli, ["schema", "mysql"]).exit_code == 1


@pytest.mark.slow
def test_djangos_command_publishes_with_the_projects_settings(
    server: TestServer, tmp_path: Path, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.management import CommandError, call_command

    shop = SHOPS["django-sqlite"](file_of(tmp_path))
    shop.create()
    add(shop, tenant, ("orders.paid", {}))
    monkeypatch.setattr(sys, "stdout", printed := io.StringIO())
    call_command("tidings_relay", "--once", "--url", server.url, "--key", server.api.key, stdout=printed)
    assert printed.getvalue() == "1 event was published from the outbox.\n"
    assert len(stored(server, tenant)) == 1
    add(shop, tenant, ("orders.paid", {}), ("orders.paid", {}))
    with shop.transaction() as connection:
        shop.run(connection, "UPDATE tidings_outbox SET type = 'endpoint.mine' WHERE position % 2")
    with pytest.raises(CommandError, match="1 event was refused"):
        call_command("tidings_relay", "--once", "--url", server.url, "--key", server.api.key, stdout=printed)
    assert printed.getvalue().endswith("\n1 event was published from the outbox.\n")
    with shop.transaction() as connection:
        shop.run(connection, "UPDATE tidings_outbox SET type = 'orders.paid', refused = NULL")
    for wrong, reason in {
        ("--key", "tdk_wrong"): "unknown or revoked",
        ("--url", "http://127.0.0.1:1"): "Nothing is listening",
        ("--url", "example.com"): "is not an http:// or https:// URL",
        ("--database", "other"): "The connection 'other' doesn't exist",
    }.items():
        with pytest.raises(CommandError, match=reason):
            call_command("tidings_relay", "--once", "--url", server.url, "--key", server.api.key, *wrong)
    assert shop.rows() == 1
    shop.close()
