"""A sender that leaves requests to endpoints to other nodes: nothing is lost, or out of order, whatever happens to
them."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nodes.joined import Node, drained, is_soon, joined, published, seen, sender, split
from tidings.rules.nodes.helping import PARTS, SILENT_SECONDS
from tidings.testing import Reaction, Receiver, until
from tidings.web.wire.helping import PATH

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
ENDPOINTS = 40
"""More than there are parts, so that each node has endpoints."""


def endpoints(node: Node, receiver: Receiver, **more: object) -> list[str]:
    """Create endpoints with a path each; returns the paths."""
    paths = [f"/{number}" for number in range(ENDPOINTS)]
    for path in paths:
        node.api.post("/v1/endpoints", {"url": receiver.url(path), "events": ["step"], **more})
    return paths


def left(node: Node, result: str) -> int:
    """How many requests a node has left to others, by result."""
    text = node.api.call("GET", "/metrics").body.decode()
    found = re.search(rf'^tidings_requests_left_to_others_total{{result="{result}"}} (\S+)$', text, re.M)
    return 0 if found is None else int(float(found[1]))


def parts(database: str) -> dict[str | None, int | None]:
    """For how many parts each node sends, by its address."""
    return {each.address: each.parts for each in seen(database) if each.role != "gone"}


def until_shared(database: str, *helpers: Node) -> None:
    """Wait until these nodes send for all parts."""
    each = PARTS // len(helpers)
    until(lambda: [parts(database).get(node.url) for node in helpers] == [each] * len(helpers), "all is shared out", 20)


def end(node: Node) -> None:
    """SIGTERM, and wait until it has exited."""
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    node.process.wait(20)


def arrived(receiver: Receiver, sent: list[str], paths: list[str]) -> Callable[[], bool]:
    wanted = {(path, event) for path in paths for event in sent}
    return lambda: {(each.path, each.id) for each in receiver.requests()} >= wanted


def test_other_nodes_send_each_request_once_and_in_order(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 3, share_sending="always") as made, Receiver() as receiver:
        first, others = split(migrated_url, made)
        paths = endpoints(first, receiver, order="subject")
        until_shared(migrated_url, *others)
        assert parts(migrated_url)[first.url] == 0
        before = left(first, "answered")
        sent = [others[number % 2].api.publish("step", subject="s") for number in range(30)]
        until(arrived(receiver, sent, paths), "all have arrived", 40)
        for path in paths:
            assert [each.id for each in receiver.requests(path)] == sent, "in order, and once"
        until(lambda: left(first, "answered") - before == len(sent) * len(paths), "the others have sent them all")
        assert left(first, "repeated") == 0
        [delivery, *_] = first.api.get("/v1/deliveries", limit=1)["data"]
        assert delivery["state"] == "delivered"


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_lost_helper_was_given_is_sent_again(tmp_path: Path, migrated_url: str, fault: signal.Signals) -> None:
    with joined(tmp_path, migrated_url, 3, share_sending="always") as made, Receiver() as receiver:
        first, (lost, other) = split(migrated_url, made)
        paths = endpoints(first, receiver)
        until_shared(migrated_url, lost, other)
        receiver.answer(Reaction(waits=True))
        held = published(first.api, 1)
        until(lambda: len(receiver.requests()) == len(paths), "both helpers have requests under way")
        assert lost.process is not None
        lost.process.send_signal(fault)
        receiver.answer(204)
        sent = held + published(other.api, 20)
        took = is_soon(lambda: len(receiver.requests()) > len(paths) + 10, "others go on", 20)
        assert took < SILENT_SECONDS, "what the other helper has goes on at once"
        is_soon(arrived(receiver, sent, paths), "all have arrived", 3 * SILENT_SECONDS)
        until(lambda: left(first, "repeated") > 0, "the sender has repeated some")
        until(lambda: parts(migrated_url).get(other.url) == PARTS, "the other one has all parts", 20)
        before = len(receiver.requests())
        receiver.release()
        if fault == signal.SIGSTOP:
            lost.process.send_signal(signal.SIGCONT)
            until(lambda: lost.status() == 200, "it is awake")
            more = published(other.api, 1)
            until(arrived(receiver, more, paths), "all is well")
            assert len(receiver.requests()) == before + len(paths), "it has sent nothing that it was given before"


def test_a_helper_that_becomes_the_sender_has_all_that_it_needs(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 3, share_sending="always") as made, Receiver() as receiver:
        first, others = split(migrated_url, made)
        paths = endpoints(first, receiver, order="subject")
        until_shared(migrated_url, *others)
        sent = [first.api.publish("step", subject="s") for _ in range(20)]
        first.kill()
        until(lambda: sender(migrated_url) in [each.url for each in others], "another one sends", 20)
        sent += [others[0].api.publish("step", subject="s") for _ in range(10)]
        until(arrived(receiver, sent, paths), "all have arrived", 40)
        for path in paths:
            first_sights = list(dict.fromkeys(each.id for each in receiver.requests(path)))
            assert first_sights == sent


def test_a_helper_that_is_drained_answers_what_it_has(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2, share_sending="always") as made, Receiver() as receiver:
        first, (helper,) = split(migrated_url, made)
        paths = endpoints(first, receiver)
        until_shared(migrated_url, helper)
        receiver.answer(Reaction(delay_seconds=1.0))
        sent = published(first.api, 1)
        until(lambda: len(receiver.requests()) == len(paths), "they are under way")
        end(helper)
        until(lambda: len(first.api.get("/v1/deliveries", state="delivered", limit=100)["data"]) == len(paths), "all")
        assert arrived(receiver, sent, paths)() and len(receiver.requests()) == len(paths), "each once"
        assert left(first, "repeated") == 0 and " ERROR " not in first.log + helper.log


def test_a_sender_that_is_not_busy_sends_everything_itself(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made, Receiver() as receiver:
        first, (other,) = split(migrated_url, made)
        paths = endpoints(first, receiver)
        until(arrived(receiver, published(first.api, 10), paths), "all have arrived")
        assert left(first, "answered") == 0
        until(lambda: parts(migrated_url) == {first.url: PARTS, other.url: 0}, "and says so")
        said = drained(other, migrated_url, other.url, "--after", "60")
        assert said.exit_code == 0


def test_only_a_node_gives_orders(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made:
        for node in made:
            for headers in ({}, {"Tidings-Forwarded": "AAAA"}):
                answer = node.api.call("POST", PATH, {}, headers=headers)
                assert answer.status == 404, answer.body


def test_an_endpoint_that_only_the_sender_may_call_gets_its_webhooks(tmp_path: Path, migrated_url: str) -> None:
    # The nodes have different settings: this one may not call the receiver's address.
    with (
        joined(tmp_path, migrated_url, 1, share_sending="always") as [first],
        Node(tmp_path / "other", migrated_url, share_sending="always", allow_addresses="10.0.0.0/8") as other,
        Receiver() as receiver,
    ):
        other.start()
        paths = endpoints(first, receiver)
        until_shared(migrated_url, other)
        until(arrived(receiver, published(first.api, 3), paths), "all have arrived")
        assert left(first, "unreached") == 3 * len(paths) and len(receiver.requests()) == 3 * len(paths)
        stored = first.api.get("/v1/deliveries", limit=500)["data"]
        until(
            lambda: all(each["state"] == "delivered" for each in first.api.get("/v1/deliveries", limit=500)["data"]),
            "all",
        )
        assert {each["attempts"] for each in stored} <= {0, 1}, "it counts against nobody"
        other.kill()


def test_a_stopping_sender_lets_helpers_finish(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2, share_sending="always") as made, Receiver() as receiver:
        first, (helper,) = split(migrated_url, made)
        paths = endpoints(first, receiver)
        until_shared(migrated_url, helper)
        receiver.answer(Reaction(delay_seconds=3.0))
        sent = published(first.api, 1)
        until(lambda: len(receiver.requests()) == len(paths), "they are under way")
        end(first)
        until(lambda: sender(migrated_url) == helper.url, "the other one sends", 20)
        receiver.answer(204)
        until(arrived(receiver, [*sent, *published(helper.api, 1)], paths), "all have arrived", 20)
        assert len(receiver.requests()) == 2 * len(paths), "each once"


def test_a_sender_without_proof_stops_at_once(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2, share_sending="always") as made, Receiver() as receiver:
        first, (helper,) = split(migrated_url, made)
        endpoints(first, receiver)
        until_shared(migrated_url, helper)
        receiver.answer(Reaction(waits=True))
        published(first.api, 1)
        until(lambda: len(receiver.requests()) == ENDPOINTS, "they are under way")
        assert first.process is not None and helper.process is not None
        first.process.send_signal(signal.SIGSTOP)
        until(lambda: sender(migrated_url) == helper.url, "the other one sends", 20)
        first.process.send_signal(signal.SIGCONT)
        until(lambda: parts(migrated_url).get(first.url) == PARTS, "it sends for the new sender now", 20)
        assert "no longer helps" not in first.log, "it was frozen, not the helper"
        receiver.release()
