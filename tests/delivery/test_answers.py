"""What endpoints can answer, and how it is written down: slow, dripping, huge, broken, elsewhere, not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.delivery.world import World
from tidings.deliver.lane.lane import WINDOW_START
from tidings.testing import Reaction, Received, Receiver

pytestmark = pytest.mark.sqlite_only


def attempt(world: World, **options: Any) -> dict[str, object]:
    """The first attempt of one event to a new endpoint of the receiver."""
    endpoint = world.register(**options)
    event = world.api.publish("tasks.completed")
    found: dict[str, object] = world.after_attempts(event, endpoint, 1)["attempts"][0]
    return found


@pytest.mark.slow
def test_the_attempt_shows_request_status_duration_and_answer(world: World) -> None:
    world.receiver.answer(Reaction(status=418, body="I am a teapot, träd".encode(), delay_seconds=0.05))
    found = attempt(world)
    assert (found["n"], found["outcome"], found["status"]) == (1, "bad_status", 418)
    assert found["answer"] == "I am a teapot, träd"
    assert isinstance(found["duration_ms"], int) and 50 <= found["duration_ms"] < 5_000
    request = found["request_headers"]
    assert isinstance(request, dict)
    assert request["webhook-id"] == world.receiver.requests()[0].id
    assert "418" in str(found["reason"])


@pytest.mark.slow
def test_no_answer_within_the_time_limit(world: World) -> None:
    world.receiver.answer(Reaction(silent=True))
    begun = time.monotonic()
    found = attempt(world, timeout_seconds=0.2)
    assert found["outcome"] == "timeout"
    assert 0.2 <= time.monotonic() - begun < 4


@pytest.mark.slow
def test_a_body_that_drips_is_noted_and_not_waited_for(world: World) -> None:
    world.receiver.answer(Reaction(status=200, body=b"x" * 1000, drip_seconds=0.05))
    begun = time.monotonic()
    found = attempt(world, timeout_seconds=0.3)
    assert (found["outcome"], found["status"]) == ("ok", 200)
    assert "was not complete after" in str(found["reason"])
    assert time.monotonic() - begun < 4


@pytest.mark.slow
def test_redirects_are_not_followed(world: World) -> None:
    world.receiver.answer(Reaction.redirect(world.receiver.url("/elsewhere")))
    found = attempt(world)
    assert (found["outcome"], found["status"]) == ("redirect", 302)
    world.nothing_more(0, "/elsewhere")


@pytest.mark.slow
def test_of_a_huge_answer_16_kib_are_kept(world: World) -> None:
    world.receiver.answer(Reaction(status=200, huge_bytes=50_000_000))
    found = attempt(world)
    assert (found["outcome"], found["status"]) == ("ok", 200)
    assert found["answer"] == "x" * 16_384


@pytest.mark.slow
def test_a_2xx_whose_body_breaks_off_is_delivered_and_never_sent_again(world: World) -> None:
    world.receiver.answer(Reaction(status=200, body=b"y" * 100, breaks_off=True))
    endpoint = world.register()
    delivery = world.after_attempts(world.api.publish("step"), endpoint, 1)
    assert delivery["state"] == "delivered"
    assert delivery["attempts"][0]["reason"] == "Delivered. The response body broke off after 50 bytes."
    assert world.endpoint(endpoint)["health"]["fails"] == 0


@contextlib.contextmanager
def babbling() -> Iterator[str]:
    """The address of somebody who answers everything with what is neither HTTP nor TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x00\xff\xfe not http at all\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "outcome"), [("http", "broken_answer"), ("https", "tls_failed")])
def test_a_response_that_is_not_http(world: World, scheme: str, outcome: str) -> None:
    with babbling() as address:
        endpoint = world.api.post("/v1/endpoints", {"url": f"{scheme}://{address}/"})["id"]
        found = world.after_attempts(world.api.publish("step"), endpoint, 1)["attempts"][0]
    assert found["outcome"] == outcome


@pytest.mark.slow
def test_nobody_listens(world: World) -> None:
    world.receiver.down()
    found = attempt(world)
    assert (found["outcome"], found["status"]) == ("connect_failed", None)


@pytest.mark.slow
def test_nobody_takes_the_connection(world: World) -> None:
    """The address swallows what is sent to it, as firewalls do."""
    with socket.socket() as listener, contextlib.ExitStack() as crowd:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            # They fill the line of those who wait to be taken, so that the next one is not even answered.
            one = crowd.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        endpoint = world.api.post("/v1/endpoints", {"url": url, "timeout_seconds": 0.2})["id"]
        found = world.after_attempts(world.api.publish("step"), endpoint, 1)["attempts"][0]
    assert (found["outcome"], found["reason"]) == ("connect_failed", "No connection could be made within 0.2 s.")


@pytest.mark.slow
def test_a_tls_handshake_that_never_finishes_times_out(world: World) -> None:
    url = world.receiver.url().replace("http:", "https:")
    endpoint = world.api.post("/v1/endpoints", {"url": url, "timeout_seconds": 0.2})["id"]
    found = world.after_attempts(world.api.publish("step"), endpoint, 1)["attempts"][0]
    assert (found["outcome"], found["reason"]) == ("tls_failed", "The TLS handshake did not finish within 0.2 s.")


@pytest.mark.slow
def test_silence_on_a_connection_that_is_used_again_is_a_timeout(world: World) -> None:
    world.receiver.answer(204, Reaction(silent=True))
    endpoint = world.register(order="all", timeout_seconds=0.3)
    events = [world.api.publish("step") for _ in range(2)]
    assert world.after_attempts(events[1], endpoint, 1)["attempts"][0]["outcome"] == "timeout"
    assert world.receiver.connections == 1


def test_a_name_that_does_not_exist(world: World) -> None:
    endpoint = world.api.post("/v1/endpoints", {"url": "http://nobody.invalid/hook"})["id"]
    found = world.after_attempts(world.api.publish("step"), endpoint, 1)["attempts"][0]
    assert found["outcome"] == "dns_failed"


@pytest.mark.slow
def test_a_response_with_bytes_that_are_not_text_is_kept_readable(world: World) -> None:
    world.receiver.answer(Reaction(status=500, body=b"\x00\xff\xfebad"))
    assert str(attempt(world)["answer"]).endswith("bad")


@pytest.mark.slow
def test_connections_are_used_again(world: World) -> None:
    endpoint = world.register(order="all")
    events = [world.api.publish("step", {"n": n}) for n in range(20)]
    world.delivered(events, endpoint)
    assert world.receiver.connections <= 2


@pytest.mark.slow
def test_a_slow_endpoint_does_not_slow_the_others(world: World) -> None:
    arrived: list[float] = []

    def note(received: Received) -> None:
        arrived.append(received.at)

    world.receiver.answer(Reaction(silent=True))
    for n in range(5):
        world.register(f"/slow/{n}", timeout_seconds=30, max_in_flight=1000)
    with Receiver(on_request=note) as quick:
        endpoint = world.api.post("/v1/endpoints", {"url": quick.url()})["id"]
        published = []
        events = []
        for n in range(100):
            published.append(time.monotonic())
            events.append(world.api.publish("step", {"n": n}))
        world.delivered(events, endpoint)
        world.receiver.wait_for(5 * WINDOW_START)
        delays = sorted(at - begun for at, begun in zip(arrived, published, strict=True))
    assert delays[94] < 0.5, delays
