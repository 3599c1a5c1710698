"""What the sender and a helper say to one another, on one connection that both write to at any time.

Each message is MessagePack, after its length in four bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from tidings.net.reply import Reply

LENGTH_BYTES = 4
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
MESSAGE_BYTES = 256 * 1024
"""No message gets more content once it is about this long: it must not keep others waiting for seconds."""
ERRAND_BYTES_MAX = 64 * 1024
"""Requests with longer bodies are not given to helpers."""
ERRAND_BYTES = 500
"""About how many bytes an errand or an answer has without its body."""


class Errand(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request to send (`HttpRequest`)."""

    number: int
    url: str
    headers: list[str]
    body: bytes
    timeout_seconds: float
    tenant: str | None


class Errands(msgspec.Struct, frozen=True, array_like=True):
    """From the sender, also without errands, so that the helper knows that it is there."""

    heard: float
    """The `at` of the helper's last message."""
    parts: int
    """How many parts of the endpoints the helper sends for."""
    errands: list[Errand]


class ErrandAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The result of an errand."""

    number: int
    reply: Reply | None
    """None if nothing was sent."""


class ErrandAnswers(msgspec.Struct, frozen=True, array_like=True):
    """From the helper, also without answers, so that the sender knows that it is there."""

    at: float
    """When this was sent: seconds on a clock of the helper's machine that nobody sets."""
    leaves: bool
    """Whether the helper takes no more errands."""
    is_full: bool
    """Whether it has no time for more at present."""
    answers: list[ErrandAnswer]


_encode = msgspec.msgpack.Encoder().encode
Message = TypeVar("Message", Errands, ErrandAnswers)


def packed(message: Errands | ErrandAnswers) -> bytes:
    """A message as it is sent."""
    content = _encode(message)
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


class Unpacker(Generic[Message]):
    """Finds messages in what was received, wherever the pieces begin and end."""

    def __init__(self, kind: type[Message]) -> None:
        self._decode: Callable[[bytes], Message] = msgspec.msgpack.Decoder(kind).decode
        self._rest = bytearray()

    def messages(self, piece: bytes) -> Iterator[Message]:
        """The messages that this piece completes. Raises ValueError if one cannot be read."""
        rest = self._rest
        rest += piece
        while len(rest) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(rest[:LENGTH_BYTES], "big")
            if end > MESSAGE_BYTES_MAX:
                raise ValueError("a message is too long")
            if len(rest) < end:
                return
            message = self._decode(bytes(rest[LENGTH_BYTES:end]))
            del rest[:end]
            yield message
