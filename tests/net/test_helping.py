"""What a sender and its helpers say to one another, and what becomes of a request whose helper is late or lost."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.net.handle import HttpRequest
from tidings.net.helping import client as clients
from tidings.net.helping import stream as streams
from tidings.net.helping.carrier import Carrier
from tidings.net.helping.client import ANSWERED, REPEATED, UNREACHED, HelpedClient, Helpers
from tidings.net.helping.helper import Helper
from tidings.net.helping.messages import (
    MESSAGE_BYTES,
    MESSAGE_BYTES_MAX,
    Errand,
    ErrandAnswer,
    ErrandAnswers,
    Errands,
    Unpacker,
    packed,
)
from tidings.net.helping.stream import HelperStream, NotHelping
from tidings.net.http import Tls
from tidings.net.http1 import head_of
from tidings.net.reply import Reply, TransportFailure
from tidings.rules.nodes.helping import SILENT_SECONDS
from tidings.testing import Reaction, Receiver

HEAD = head_of("POST", "/-/requests", [("transfer-encoding", "chunked")])
ERRAND = Errand(1, "http://192.0.2.1/x", ["a: b"], b"\xff{}", 30.0, None)
OK = Reply(204, [b"HTTP/1.1 204 No Content\r\n"], b"", 3)
REPLIES = st.builds(
    Reply,
    st.none() | st.integers(100, 999),
    st.lists(st.binary(max_size=20)),
    st.binary(max_size=100),
    st.integers(0, 10**6),
    st.none() | st.builds(TransportFailure, st.just("timeout"), st.text()),
)
ANSWERS = st.builds(ErrandAnswer, st.integers(0, 2**60), st.none() | REPLIES)
MESSAGES = st.builds(ErrandAnswers, st.floats(0, 1e9), st.booleans(), st.booleans(), st.lists(ANSWERS, max_size=5))


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(0, 500)))
def test_messages_arrive_whole_wherever_the_pieces_end(messages: list[ErrandAnswers], ends: list[int]) -> None:
    sent = b"".join(map(packed, messages))
    places = sorted({0, len(sent), *(end for end in ends if end < len(sent))})
    unpacker, found = Unpacker(ErrandAnswers), []
    for begin, end in itertools.pairwise(places):
        found += list(unpacker.messages(sent[begin:end]))
    assert found == messages


def test_orders_keep_every_byte() -> None:
    message = Errands(12.5, 4, [ERRAND])
    assert list(Unpacker(Errands).messages(packed(message))) == [message]


@pytest.mark.parametrize(
    "sent", [(MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"), b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x02\x91\xa0"]
)
def test_what_is_no_message_is_refused(sent: bytes) -> None:
    with pytest.raises(ValueError):
        list(Unpacker(Errands).messages(sent))


class Clock:
    """A helper's clock, set by hand, which keeps running while the helper sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A carrier, and the requests that it has begun."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.begun: list[tuple[HttpRequest, Callable[[Reply | None], None], Callable[[], bool]]] = []
        self.carrier = Carrier(lambda *given: self.begun.append(given), self.clock)

    def tried(self) -> list[bool]:
        """Begin with what was given, as the thread that sends does; returns whether each was wanted."""
        given, self.begun = self.begun, []
        wanted = [is_wanted() for _, _, is_wanted in given]
        for (_, done, _), is_wanted in zip(given, wanted, strict=True):
            done(OK if is_wanted else None)
        return wanted


def test_a_helper_answers_each_order() -> None:
    async def run() -> None:
        world = World()
        world.carrier.take(Errands(world.clock.now, 7, [ERRAND]))
        assert (world.carrier.parts, world.carrier.under_way, world.carrier.is_awaited) == (7, 1, True)
        [(request, _, _)] = world.begun
        assert (request.url, request.headers, request.body) == (ERRAND.url, ERRAND.headers, ERRAND.body)
        assert world.tried() == [True]
        message = await world.carrier.answers(5.0)
        assert message == ErrandAnswers(world.clock.now, False, False, [ErrandAnswer(1, OK)])
        assert world.carrier.under_way == 1, "it is not sent yet"
        world.carrier.said(message)
        assert world.carrier.under_way == 0
        world.carrier.leave()
        world.carrier.take(Errands(world.clock.now, 7, [ERRAND]))
        assert world.tried() == [False]
        assert await world.carrier.answers(5.0) == ErrandAnswers(world.clock.now, True, False, [ErrandAnswer(1, None)])

    asyncio.run(run())


def test_a_helper_that_slept_begins_nothing_that_the_sender_may_have_taken_back() -> None:
    async def run() -> None:
        world = World()
        said = (await world.carrier.answers(0.0)).at
        world.clock.now += SILENT_SECONDS
        world.carrier.take(Errands(said, 1, [ERRAND]))
        assert world.tried() == [True], "the sender has not given it up yet"
        world.carrier.take(Errands(said, 1, [ERRAND]))
        world.clock.now += 0.001
        world.carrier.take(Errands(said, 1, [ERRAND]))
        assert world.tried() == [False, False], "also what it was given before it slept"
        found = (await world.carrier.answers(5.0)).answers
        assert [each.reply for each in found] == [OK, None, None]
        world.clock.now += SILENT_SECONDS
        assert not world.carrier.is_awaited, "nobody is there who waits"

    asyncio.run(run())


class Sending:
    """A client with one helper that has every part."""

    def __init__(self) -> None:
        self.helpers, self.may_send = Helpers("always"), True
        self.client = HelpedClient(self.helpers, lambda: self.may_send, lambda ip: None, "test")
        self.helper = Helper("a", self.helpers.wake)
        self.helpers.share_out({"a": self.helper}, ())
        self.replies: list[Reply] = []

    def until(self, count: int) -> None:
        """Poll until there are `count` replies."""
        for _ in range(200):
            if len(self.replies) < count:
                self.client.poll(0.1)
        assert len(self.replies) == count

    def send(self, url: str, **more: Any) -> None:
        self.client.send(HttpRequest(url, [], b"{}", 5.0, **{"link": 3, **more}), self.replies.append)


@pytest.fixture
def sending() -> Iterator[Sending]:
    async def run() -> Sending:
        return Sending()

    made = asyncio.run(run())
    yield made
    made.client.close()


def test_a_request_is_answered_by_its_helper(sending: Sending) -> None:
    sending.send("http://192.0.2.1/")
    [number] = sending.helper.waiting
    sending.helper.answered([ErrandAnswer(number, OK), ErrandAnswer(number, OK), ErrandAnswer(99, OK)])
    sending.client.poll(1.0)
    assert sending.replies == [OK] and not sending.helper.waiting
    assert sending.helpers.requests == {ANSWERED: 1, REPEATED: 0, UNREACHED: 0}


UNREACHED_REPLY = Reply(None, [], b"", 3, TransportFailure("tls", "Its certificate is signed by an unknown authority."))


@pytest.mark.parametrize(
    ("loses", "counted"),
    [
        (lambda helper: helper.lost(), REPEATED),
        (lambda helper: helper.answered([ErrandAnswer(1, None)]), REPEATED),
        (lambda helper: helper.answered([ErrandAnswer(1, UNREACHED_REPLY)]), UNREACHED),
    ],
    ids=["lost", "not sent", "not reached"],
)
def test_what_a_helper_did_not_send_is_sent_from_here_once_it_may_be(
    sending: Sending, loses: Any, counted: str
) -> None:
    with Receiver() as receiver:
        sending.send(receiver.url())
        sending.may_send = False
        loses(sending.helper)
        sending.client.poll(0.0)
        assert not sending.helper.waiting and not receiver.requests(), "this node may not send now"
        assert sending.client.held == 1, "so nobody waits for it"
        sending.may_send = True
        assert sending.client.held == 0
        sending.until(1)
        assert [reply.status for reply in sending.replies] == [204] and len(receiver.requests()) == 1
        assert sending.helpers.requests == {ANSWERED: 0, REPEATED: 0, UNREACHED: 0} | {counted: 1}


def test_a_server_that_stops_repeats_nothing(sending: Sending) -> None:
    sending.send("http://192.0.2.1/")
    sending.helpers.ends = True
    sending.helper.lost()
    sending.client.poll(0.0)
    assert sending.client.held == 1 and sending.client.in_flight == 0


def test_a_helper_that_was_dropped_while_it_was_given_a_request_owes_it(sending: Sending) -> None:
    with Receiver() as receiver:
        give = sending.helper.give

        def dropped_first(*given: Any) -> None:
            # The event loop finds that nothing waits, and ends the connection.
            sending.helpers.share_out({})
            sending.helper.lost()
            give(*given)

        sending.helper.give = dropped_first  # type: ignore[method-assign, assignment]
        sending.send(receiver.url())
        sending.until(1)
        assert len(receiver.requests()) == 1


def test_what_many_requests_a_lost_helper_had_is_repeated_little_by_little(sending: Sending) -> None:
    with Receiver() as receiver:
        receiver.answer(Reaction(delay_seconds=0.2))
        for _ in range(3 * clients.REPEATED_MOST):
            sending.send(receiver.url())
        sending.helper.lost()
        sending.until(3 * clients.REPEATED_MOST)
        assert receiver.most_at_once <= clients.REPEATED_MOST


def test_answers_that_nobody_waits_for_keep_nobody_busy(sending: Sending) -> None:
    sending.may_send = False
    sending.send("http://192.0.2.1/")
    sending.helper.lost()
    sending.client.poll(0.0)
    sending.helper.answered([ErrandAnswer(1, OK)])
    sending.client.poll(0.0)
    began = time.monotonic()
    sending.client.poll(0.01)
    assert time.monotonic() - began >= 0.01 and not sending.replies


@pytest.mark.parametrize(
    "more", [{"link": None}, {"tls": Tls(key=b"k")}, {"method": "PUT"}, {"body": b"x" * 65_537}], ids=str
)
def test_some_requests_are_never_given_away(sending: Sending, more: dict[str, Any]) -> None:
    request = {"url": "http://192.0.2.1/", "headers": [], "body": b"", "timeout_seconds": 5.0, "link": 3, **more}
    sending.client.send(HttpRequest(**request), sending.replies.append)
    assert not sending.helper.waiting and sending.client.in_flight == 1


def test_a_helper_that_is_full_or_lost_gets_nothing(sending: Sending) -> None:
    sending.helper.is_full = True
    sending.send("http://192.0.2.1/")
    sending.helper.is_full, sending.helper.is_lost = False, True
    sending.send("http://192.0.2.1/")
    assert not sending.helper.waiting and sending.client.in_flight == 2


def test_a_helper_that_owes_an_answer_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        sending = Sending()
        monkeypatch.setattr(clients, "OVERDUE_SECONDS", -10.0)
        monkeypatch.setattr(clients, "LOOK_SECONDS", 0.0)
        sending.send("http://192.0.2.1/")
        sending.client.poll(0.0)
        await asyncio.sleep(0)
        assert sending.helper.is_lost
        sending.client.close()

    asyncio.run(run())


async def _talked(answer: Callable[[asyncio.StreamWriter], None]) -> Helper:
    """Talk with a helper that answers the request so; returns it once that has ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    helper = Helper("a", lambda: None)
    try:
        await HelperStream(helper, await asyncio.open_connection(host, port)).run(HEAD)
    finally:
        server.close()
    return helper


def test_a_node_that_does_not_help_says_so() -> None:
    with pytest.raises(NotHelping, match="404"):
        asyncio.run(_talked(lambda writer: writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")))


BEGIN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        lambda writer: None,
        lambda writer: writer.write(BEGIN),
        lambda writer: writer.close(),
        lambda writer: writer.write(BEGIN + b"3\r\n\xff\xff\xff\r\n"),
        lambda writer: writer.write(BEGIN + b"5\r\n\x00\x00\x00\x01\xc1\r\n"),
        lambda writer: writer.write(BEGIN + b"0\r\n\r\n"),
        lambda writer: writer.write(b"nonsense\r\n\r\n"),
    ],
    ids=["nothing", "only a head", "closes", "half a message", "no message", "an end", "nonsense"],
)
def test_a_helper_that_says_nothing_or_nonsense_is_lost(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SILENT_SECONDS", 0.3)
    assert asyncio.run(_talked(answer)).is_lost


def test_a_message_of_answers_is_never_so_long_that_it_keeps_the_next_waiting() -> None:
    async def run() -> None:
        world = World()
        many = [msgspec.structs.replace(ERRAND, number=number) for number in range(2_100)]
        world.carrier.take(Errands(world.clock.now, 1, many))
        for _, done, _ in world.begun:
            done(Reply(200, [b"HTTP/1.1 200 OK\r\n"], b"x" * 16_384, 3))
        found = 0
        while world.carrier.under_way:
            message = await world.carrier.answers(0.0)
            assert len(packed(message)) < 2 * MESSAGE_BYTES
            world.carrier.said(message)
            found += len(message.answers)
        assert found == len(many)

    asyncio.run(run())


def test_a_message_of_errands_is_bounded_too() -> None:
    async def run() -> None:
        helper = Helper("a", lambda: None)
        for _ in range(100):
            helper.give(HttpRequest("http://192.0.2.1/", [], b"x" * 65_536, 5.0), 0.0, lambda reply: None)
        found = [len(await helper.errands(0.0)) for _ in range(30)]
        assert sum(found) == 100 and max(found) <= 4

    asyncio.run(run())


def test_a_wait_for_news_can_be_cancelled_in_the_moment_in_which_there_is_some() -> None:
    async def run() -> None:
        world, helper = World(), Helper("a", lambda: None)
        for waits, news in (
            (world.carrier.answers(60.0), world.carrier.leave),
            (helper.errands(60.0), helper._unsaid.wake),
        ):
            task = asyncio.ensure_future(waits)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            news()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    asyncio.run(run())


def test_a_sender_that_may_not_send_gives_nothing_away() -> None:
    async def run() -> None:
        arrived: list[Errands] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            content = packed(ErrandAnswers(5.0, False, False, []))
            writer.write(BEGIN + b"%x\r\n%b\r\n" % (len(content), content))
            unpacker = Unpacker(Errands)
            while line := await reader.readline():
                arrived.extend(unpacker.messages((await reader.readexactly(int(line, 16) + 2))[:-2]))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        helper = Helper("a", lambda: None)
        helper.give(HttpRequest("http://192.0.2.1/", [], b"{}", 5.0), 0.0, lambda reply: None)
        host, port = server.sockets[0].getsockname()
        stream = HelperStream(helper, await asyncio.open_connection(host, port), lambda: False)
        talk = asyncio.ensure_future(stream.run(HEAD))
        while not helper.answers or not arrived:
            await asyncio.sleep(0.01)
        assert list(helper.answers) == [ErrandAnswer(1, None)] and arrived[0].errands == []
        helper.lost()
        await talk
        server.close()

    asyncio.run(run())
