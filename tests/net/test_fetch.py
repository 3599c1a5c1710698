"""Single requests for an event loop: whatever happens to the thread that sends them, each gets an answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tidings.net.fetch import Fetcher
from tidings.net.http import HttpClient, HttpRequest
from tidings.net.reply import Reply
from tidings.testing import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def client() -> HttpClient:
    return HttpClient(lambda ip: None, "test")


def asked(receiver: Receiver) -> HttpRequest:
    return HttpRequest(receiver.url(), [], b"{}", 5.0)


class Breaking(HttpClient):
    """One that breaks in the middle of its work."""

    def poll(self, timeout_seconds: float) -> None:
        """As if the system had no file left."""
        raise OSError("too many open files")


def test_a_thread_that_breaks_answers_what_it_had_and_another_one_follows(receiver: Receiver) -> None:
    made = iter([Breaking(lambda ip: None, "test"), client()])
    fetcher = Fetcher(lambda: next(made))

    async def run() -> list[Reply | None]:
        async with asyncio.timeout(10):
            return [await fetcher.fetch(asked(receiver)) for _ in range(2)]

    first, second = asyncio.run(run())
    assert first is None and second is not None and second.status == 204
    fetcher.stop()


def test_a_client_that_cannot_be_made_is_made_again_later(receiver: Receiver) -> None:
    tries = iter([OSError("too many open files"), None])

    def make() -> HttpClient:
        if (wrong := next(tries)) is not None:
            raise wrong
        return client()

    fetcher = Fetcher(make)

    async def run() -> list[Reply | None]:
        async with asyncio.timeout(10):
            return [await fetcher.fetch(asked(receiver)) for _ in range(2)]

    first, second = asyncio.run(run())
    assert first is None and second is not None
    fetcher.stop()


def test_what_is_no_longer_wanted_is_not_sent(receiver: Receiver) -> None:
    fetcher, replies, done = Fetcher(client), list[Reply | None](), threading.Event()

    def answered(reply: Reply | None) -> None:
        replies.append(reply)
        if len(replies) == 2:
            done.set()

    fetcher.start(asked(receiver), answered, lambda: False)
    fetcher.start(asked(receiver), answered, lambda: True)
    assert done.wait(10)
    assert [None if reply is None else reply.status for reply in replies] == [None, 204]
    assert len(receiver.requests()) == 1
    fetcher.stop()
    fetcher.start(asked(receiver), answered)
    assert replies[2:] == [None]
