"""`serve --workers`: several processes at one port; whichever of them ends, no call is refused and nothing is lost."""

from __future__ import annotations

import functools
import hmac
import http.client
import json
import re
import threading
from pathlib import Path

import pytest

from tests.callers import Callers
from tests.nodes.joined import EVENT, KEY, drained, roles, seen
from tests.nodes.workers import Workers, lives
from tidings.cli.local.process.nodes import unreached
from tidings.settings import SettingsError, read_settings
from tidings.store.engines.nodes import Seen
from tidings.testing import Receiver, TestServer, until
from tidings.testing.api import OPERATOR_KEY

DATABASE = "postgresql://h/d"
AGAIN_SECONDS = 0.05
HEADERS = {"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json"}
SIGNED = hmac.digest(b"secret", b"{}", "sha256").hex()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {},
            "`workers` requires PostgreSQL, since only one process can use an SQLite database: omit `workers`, or",
        ),
        ({"database": DATABASE, "standby": True}, "`standby` and `workers` cannot be combined"),
        ({"database": DATABASE, "workers": 0}, "`workers` must be 1 or more"),
        ({"database": DATABASE, "workers": 65}, "`workers` must be at most 64"),
        (
            {"database": DATABASE, "port": 65_534},
            "`port` must be at most 65533, since the 2 workers use the ports after it",
        ),
        ({"database": DATABASE, "node_url": "http://a"}, "With `workers`, `node_url` must include a port"),
        ({"database": DATABASE, "join": True}, "`join` requires `secret_key`"),
    ],
)
def test_what_workers_need_is_said(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings({"workers": 2, **settings}, {})


def test_a_server_in_this_process_has_no_workers(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="To test workers, use a ProcessServer"):
        TestServer(tmp_path, database=DATABASE, workers=2).start()


class Publishing:
    """Callers who publish at the public port, and repeat what a kill has cut off. Use it in a `with`.

    Every other one keeps its connection open until the server closes it.
    """

    def __init__(self, server: Workers, callers: int = 4) -> None:
        self.acknowledged: list[str] = []
        self.refused, self.cut_off = list[str](), list[str]()
        self._port, self._stop = server.port, threading.Event()
        self._callers = Callers(callers, self._call)

    def __enter__(self) -> Publishing:
        return self

    def __exit__(self, *wrong: object) -> None:
        self._stop.set()
        self._callers.join()

    def until_more(self, count: int = 20) -> None:
        """Wait until they are served."""
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) >= before + count, "callers are served", 30)

    def _call(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        for turn in range(1_000_000):
            name = f"e{number}-{turn}"
            while not self._is_taken(connection, name):
                connection.close()
                if self._stop.wait(AGAIN_SECONDS):
                    return
            self.acknowledged.append(name)
            if number % 2:
                connection.close()
            if self._stop.is_set():
                return

    def _is_taken(self, connection: http.client.HTTPConnection, name: str) -> bool:
        try:
            connection.request("POST", "/v1/events", json.dumps({**EVENT, "id": name}), HEADERS)
            response = connection.getresponse()
            response.read()
        except ConnectionRefusedError:
            self.refused.append(name)
            return False
        except (OSError, http.client.HTTPException) as wrong:
            self.cut_off.append(f"{name}: {wrong!r}")
            return False
        # 503: no worker sends, or knows who does, for a moment.
        assert response.status in (200, 202, 503), response.status
        return response.status != 503


def is_answered(server: Workers, method: str, path: str, body: object, status: int) -> bool:
    signed = {"X-Hub-Signature-256": f"sha256={SIGNED}", "X-GitHub-Delivery": "1", "X-GitHub-Event": "push"}
    return server.api.call(method, path, body, signed).status == status


def all_arrive(receiver: Receiver, names: list[str]) -> None:
    until(lambda: {each.id for each in receiver.requests()} >= set(names), "all have arrived", 30)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.postgres
def test_a_worker_that_is_killed_again_and_again_refuses_nobody_and_loses_nothing(
    tmp_path: Path, postgres_url: str
) -> None:
    doors: list[tuple[str, str, object, int]] = [
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
        ("GET", "/metrics", None, 200),
        ("GET", "/docs", None, 200),
        ("GET", "/console", None, 401),
        ("GET", "/v1/endpoints", None, 200),
        ("POST", "/in/shop", {}, 200),
    ]
    with Workers(tmp_path, postgres_url) as server, Receiver() as receiver:
        server.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        server.api.post("/v1/hooks", {"path": "shop", "scheme": "github", "secrets": ["secret"]})
        with Publishing(server) as callers:
            for numbers in ((1,), (2,), (1, 2)):
                callers.until_more()
                server.kill_workers(*numbers)
                for method, path, body, status in doors:
                    until(functools.partial(is_answered, server, method, path, body, status), f"{path} answers")
            callers.until_more()
        assert not callers.refused
        all_arrive(receiver, callers.acknowledged)
        assert len(re.findall("worker [12] was ended by SIGKILL; it is started again", server.log)) == 4
        assert server.log.count("Tidings listens on") == 1


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.postgres
def test_sigterm_under_load_ends_all_with_status_0_and_a_killed_supervisor_takes_them_with_it(
    tmp_path: Path, postgres_url: str
) -> None:
    with Workers(tmp_path, postgres_url, count=2) as server, Receiver() as receiver:
        until(lambda: roles(postgres_url) == ["sends", "takes in"], "all are listed")
        assert {each.address for each in seen(postgres_url)} == {server.own(each).url for each in (1, 2)}
        for number in (1, 2):
            assert f"worker {number} tidings.nodes: on {server.own(number).url}, this server" in server.log
            assert b"tidings_events_accepted_total" in server.own(number).call("GET", "/metrics").body
        server.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        with Publishing(server) as callers:
            callers.until_more()
            pids = server.pids()
            assert server.stop() == 0
            assert not any(map(lives, pids))
            server.start()
            callers.until_more()
            pids = server.pids()
            server.kill()
            server.start()
            assert not any(map(lives, pids))
            callers.until_more()
        all_arrive(receiver, callers.acknowledged)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_drained_worker_is_replaced_and_nobody_is_cut_off_and_a_drained_server_ends(
    tmp_path: Path, postgres_url: str
) -> None:
    def answers() -> set[int]:
        return {server.api.with_key(None).call("GET", "/readyz").status for _ in range(20)}

    with Workers(tmp_path, postgres_url) as server:
        with Publishing(server) as callers:
            for number in (1, 2):
                until(lambda: roles(postgres_url) == ["sends", "takes in"], "both are listed")
                before = server.pid(number)
                assert drained(server, postgres_url, server.own(number).url, "--after", "2").exit_code == 0
                until(
                    lambda: server.log.count(f"worker {number} is ready again") == 1, "another one is in its place", 30
                )
                assert server.pid(number) != before and not lives(before)
                assert f"worker {number} has ended with status 0; it is started again now" in server.log
                callers.until_more()
        assert not callers.refused and not callers.cut_off
        assert answers() == {200}
        last = drained(server, postgres_url, "self")
        assert last.exit_code == 1 and "No other server works on this database" in last.output
        until(lambda: roles(postgres_url) == ["sends", "takes in"], "both are listed")
        assert drained(server, postgres_url, "self", "--after", "2", "--force").exit_code == 0
        until(lambda: answers() == {503}, "a load balancer hears of it")
        assert server.process is not None and server.process.wait(20) == 0


@pytest.mark.slow
@pytest.mark.postgres
def test_a_start_that_is_refused_is_one_sentence(tmp_path: Path, postgres_url: str) -> None:
    server = Workers(tmp_path, postgres_url, secret_key="")
    with pytest.raises(RuntimeError, match="Workers need a common secret key"):
        server.start()
    server = Workers(tmp_path, postgres_url.replace("//postgres@", "//nobody-at-all@", 1), secret_key=KEY)
    server.launch()
    assert server.process is not None and server.process.wait(30) == 2
    assert "tidings: Worker 1 could not start: " in server.log


def test_nodes_says_which_address_only_its_own_machine_reaches() -> None:
    def seen_at(name: str, address: str) -> Seen:
        return Seen(id=name, name=name, version="1", role="takes in", address=address, draining=False, seconds=0.0)

    one, two, three = (
        seen_at("tidings@a:1", "http://127.0.0.1:8081"),
        seen_at("tidings@a:2", "http://localhost:8082"),
        seen_at("tidings@b:1", "http://10.0.0.5:8081"),
    )
    assert list(unreached([one, two])) == [], "they are on one machine"
    assert [line.partition(",")[0] for line in unreached([one, two, three])] == [
        "tidings@a:1 is at http://127.0.0.1:8081",
        "tidings@a:2 is at http://localhost:8082",
    ]
