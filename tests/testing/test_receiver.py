"""The receiver of `tidings.testing`, asked by a plain HTTP client."""

from __future__ import annotations

import http.client
import threading
import time

import pytest

from tidings.testing import NotInTime, Reaction, Received, Receiver


def post(receiver: Receiver, path: str = "/", body: bytes = b"{}", timeout: float = 5.0) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=timeout)
    try:
        connection.request("POST", path, body, {"webhook-id": "evt_1"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_records_requests() -> None:
    with Receiver() as receiver:
        assert post(receiver, "/hook?a=1", b'{"a":1}') == (204, b"")
        [one] = receiver.wait_for(1)
        assert (one.method, one.path, one.id, one.json) == ("POST", "/hook?a=1", "evt_1", {"a": 1})
        assert abs(one.at - time.monotonic()) < 5


def test_reactions_are_used_in_turn_and_the_last_one_stays() -> None:
    with Receiver() as receiver:
        receiver.answer(500, 503, 200)
        assert [post(receiver)[0] for _ in range(4)] == [500, 503, 200, 200]
        receiver.answer(418, path="/tea")
        assert (post(receiver, "/tea")[0], post(receiver, "/coffee")[0]) == (418, 200)


def test_down_refuses_connections_and_up_listens_on_the_same_port() -> None:
    with Receiver() as receiver:
        receiver.down()
        with pytest.raises(ConnectionRefusedError):
            post(receiver)
        receiver.up()
        assert post(receiver)[0] == 204


def test_it_can_misbehave() -> None:
    with Receiver() as receiver:
        receiver.answer(
            Reaction(silent=True),
            Reaction(status=200, body=b"half of this", breaks_off=True),
            Reaction(status=200, huge_bytes=300_000),
            Reaction(status=200, body=b"abc", drip_seconds=0.01),
            Reaction.redirect("http://elsewhere.test/"),
        )
        with pytest.raises(TimeoutError):
            post(receiver, timeout=0.2)
        with pytest.raises(http.client.IncompleteRead):
            post(receiver)
        assert len(post(receiver)[1]) == 300_000
        assert post(receiver)[1] == b"abc"
        assert post(receiver)[0] == 302


def test_answers_can_be_held_back_until_they_are_released() -> None:
    with Receiver() as receiver:
        receiver.answer(Reaction(waits=True))
        callers = [threading.Thread(target=post, args=(receiver,)) for _ in range(3)]
        for caller in callers:
            caller.start()
        receiver.wait_for(3)
        assert all(caller.is_alive() for caller in callers)
        receiver.release()
        for caller in callers:
            caller.join(5)
        assert receiver.most_at_once == 3


def test_a_refusal_by_the_check_is_answered_400() -> None:
    def check(received: Received) -> None:
        if received.path != "/good":
            raise ValueError("bad path")

    with Receiver(check) as receiver:
        assert post(receiver, "/good")[0] == 204
        assert post(receiver, "/bad") == (400, b"ValueError: bad path")
        assert len(receiver.refused) == 1


def test_waiting_ends_with_a_sentence() -> None:
    with Receiver() as receiver, pytest.raises(NotInTime, match=r"expected 2 requests within 0\.05 s, but got 0"):
        receiver.wait_for(2, 0.05)
