"""`serve --join`: several servers work on one database; one sends, and if it is gone, another one does."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.console.visitor import Visitor
from tests.nodes.joined import EVENT, KEY, Node, drained, is_soon, joined, published, roles, seen, sender, split
from tidings import __version__
from tidings.cli.local.production.nodes import look_at_nodes
from tidings.settings import read_settings
from tidings.testing import Receiver, until
from tidings.testing.api import OPERATOR_KEY, ApiReply

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_of_five_that_start_at_once_one_sends_and_all_are_ready(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 5) as made, Receiver() as receiver:
        until(lambda: len(seen(migrated_url)) == 5, "all were heard of")
        assert roles(migrated_url) == ["sends", *["takes in"] * 4]
        assert [each.status() for each in made] == [200] * 5
        first, _ = split(migrated_url, made)
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = [event for each in made for event in published(each.api, 3)]
        until(lambda: {each.id for each in receiver.requests()} == set(sent), "all have arrived")


def test_a_killed_sender_is_followed_and_nothing_is_lost(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 3) as made, Receiver() as receiver:
        first, others = split(migrated_url, made)
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = published(first.api, 20) + published(others[0].api, 20)
        first.kill()
        sent += published(others[0].api, 20) + published(others[1].api, 20)
        took = is_soon(lambda: sender(migrated_url) not in (None, first.url), "another one sends", 8)
        assert took < 4
        until(lambda: {each.id for each in receiver.requests()} >= set(sent), "all have arrived")
        first.start()
        until(lambda: roles(migrated_url) == ["sends", "takes in", "takes in"], "it is back")
        assert first.api.call("POST", "/v1/events", EVENT).status == 202


def test_a_drained_sender_gives_its_role_away_and_ends(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made, Receiver() as receiver:
        first, (other,) = split(migrated_url, made)
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = published(first.api, 5)
        assert drained(first, migrated_url, first.url, "--after", "4").exit_code == 0
        until(lambda: first.status() == 503, "it gets no new callers")
        assert "is being drained" in first.api.with_key(None).call("GET", "/readyz").json["detail"]
        until(lambda: sender(migrated_url) == other.url, "the other one sends")
        # Who still calls it is served.
        sent += published(first.api, 5)
        assert first.process is not None and first.process.wait(10) == 0
        sent += published(other.api, 5)
        until(lambda: {each.id for each in receiver.requests()} == set(sent), "all have arrived")
        assert len(receiver.requests()) == len(sent), "each once"
        last = drained(other, migrated_url, "self")
        assert last.exit_code == 1 and "is the last server that works on this database" in last.output
        assert other.status() == 200
        assert drained(other, migrated_url, "self", "--after", "0", "--force").exit_code == 0
        assert other.process is not None and other.process.wait(10) == 0


def test_a_drain_names_one_server(tmp_path: Path, migrated_url: str) -> None:
    named = f"{migrated_url}&application_name=tidings@app:1"
    with joined(tmp_path, named, 2) as made:
        until(lambda: roles(migrated_url) == ["sends", "takes in"], "both were heard of")
        both = drained(made[0], named, "tidings@app:1")
        assert both.exit_code == 1 and "2 servers are called tidings@app:1; give the id of one" in both.output
        unknown = drained(made[0], named, "tidings@app:2")
        assert (
            unknown.exit_code == 1
            and "No server that was heard from lately has the name, address or id" in unknown.output
        )
        _, (other,) = split(migrated_url, made)
        assert drained(other, named, "self", "--after", "0").exit_code == 0
        assert other.process is not None and other.process.wait(10) == 0
        assert roles(migrated_url) == ["sends"], "one that has ended is not listed any more"


def test_nobody_is_refused_by_a_node_that_becomes_the_sender(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made, Receiver() as receiver:
        first, (other,) = split(migrated_url, made)
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        answers, stop = list[ApiReply](), threading.Event()

        def call() -> None:
            while not stop.is_set():
                answers.append(other.api.call("POST", "/v1/events", EVENT))

        with ThreadPoolExecutor(4) as pool:
            callers = [pool.submit(call) for _ in range(4)]
            until(lambda: len(answers) > 50, "they are served")
            first.kill()
            until(lambda: sender(migrated_url) == other.url, "it sends")
            before = len(answers)
            until(lambda: len(answers) > before + 50, "they are served again")
            stop.set()
            for each in callers:
                each.result()
        assert {each.status for each in answers} == {202}
        sent = {each.json["id"] for each in answers}
        until(lambda: {each.id for each in receiver.requests()} >= sent, "all have arrived")


def test_doctor_says_which_joined_server_is_not_reached(tmp_path: Path, migrated_url: str) -> None:
    def found(node: Node) -> dict[str, str]:
        settings = {"data": str(node.folder / "data"), "database": migrated_url, "join": True, "secret_key": KEY}
        return {each.detail: each.state for each in look_at_nodes(read_settings(settings, {}))}

    with joined(tmp_path, migrated_url, 1) as [first]:
        assert "Fewer than two servers use this database (1)" in next(iter(found(first)))
        with Node(tmp_path / "far", migrated_url, node_url="http://127.0.0.1:1") as far:
            far.start()
            said = found(first)
            assert list(said.values()) == ["ok", "fail"]
            assert "does not answer at http://127.0.0.1:1: connection refused. Open that port" in list(said)[1]
            far.kill()


def test_the_api_lists_the_servers_and_what_each_does(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made:
        first, (other,) = split(migrated_url, made)
        for node in made:
            found = node.api.get("/v1/server")["nodes"]
            assert [(each["role"], each["address"]) for each in found] == [
                ("sends", first.url),
                ("takes in", other.url),
            ]
            assert all(not each["draining"] and each["seconds_ago"] < 5 for each in found)


def test_the_console_lists_the_servers_at_any_of_them(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 3) as made:
        first, (other, last) = split(migrated_url, made)
        assert drained(last, migrated_url, last.url, "--after", "60").exit_code == 0
        until(lambda: last.status() == 503, "it is drained")
        there = {each.address: each for each in seen(migrated_url)}
        for node in (first, other):
            visitor = Visitor(node.url)
            visitor.sign_in(OPERATOR_KEY)
            page = visitor.get("/server")
            table = page.partition("<h2>Servers on this database</h2>")[2].partition("</section>")[0]
            rows = re.findall(r"<tr\b.*?</tr>", table, re.DOTALL)[1:]
            assert len(rows) == 3
            for url, role in ((first.url, "sends"), (other.url, "takes in"), (last.url, "takes in")):
                [row] = [each for each in rows if f">{url}<" in each]
                assert f">{role}<" in row and f">{there[url].name}<" in row and f">{__version__}<" in row
                assert re.search(r">\d+ s ago<", row) and ("is being drained" in row) == (url == last.url)
