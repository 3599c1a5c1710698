"""A proxy in front of another system: it refuses, repeats and mixes pages, breaks answers off, and counts calls."""

from __future__ import annotations

import http.client
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Any

from tidings.testing import Reaction, Received, Receiver

REFUSED, REPEATED, MIXED, BROKEN_OFF = 0.06, 0.1, 0.3, 0.03
"""How likely each is, for one request."""
KEPT = ("content-type", "next-page", "etag")
"""The headers of an answer that are passed on."""


class Peer(ABC):
    """What another system must say of itself: a CRM with contacts, and books with customers."""

    name = ""
    port = 0

    @abstractmethod
    def stop(self) -> None:
        """End it."""

    @abstractmethod
    def write(self, contacts: dict[str, str | None]) -> None:
        """Give contacts of the CRM these names, by their keys; None deletes one."""

    @abstractmethod
    def contacts(self) -> dict[str, str]:
        """The names of the contacts that the CRM has."""

    @abstractmethod
    def customers(self) -> dict[str, str]:
        """The names of the customers that are in the books, by the contacts' keys."""

    @abstractmethod
    def auth(self) -> dict[str, Any]:
        """The `auth` of both connections."""

    @abstractmethod
    def links(self) -> dict[str, Any]:
        """The declarations of the links: `crm-contacts` reads, the others write."""

    @abstractmethod
    def is_first(self, path: str, body: bytes) -> bool:
        """Whether a request asks for a first page."""

    @abstractmethod
    def records(self, body: bytes) -> list[Any] | None:
        """The records of a page; None if it is none."""

    @abstractmethod
    def with_records(self, body: bytes, records: list[Any]) -> bytes:
        """The same page with others."""

    @abstractmethod
    def version(self, record: Any) -> tuple[str, str]:
        """The key of a record, and a text that is the same for each of its versions alone."""

    @abstractmethod
    def written(self, path: str, body: bytes) -> tuple[str, str]:
        """The key of the customer that a call writes, and what it writes."""


def on(call: dict[str, Any], *kinds: str) -> dict[str, Any]:
    """A link that makes a call for each contact that was `created`, `updated` or `deleted`, the newest state only."""
    return {"when": {"event": [f"crm.contact.{kind}" for kind in kinds]}, "call": call, "order": "subject"}


class Mischief:
    """One side of a peer, with a proxy in front. Use it in a `with`. `is_read`: it is the side that is read.

    `meanwhile` is called for each page that is read, before the peer gets the request.
    """

    def __init__(
        self, peer: Peer, chance: random.Random, *, is_read: bool, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self._peer, self._chance, self._is_read, self._meanwhile = peer, chance, is_read, meanwhile
        self._last: Reaction | None = None
        self._last_records: list[Any] = []
        self._has_repeated = False
        self._seen: set[str] = set()
        self._there: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        """How many calls there were: `all`, `refused`, `first` pages, `needed`, `repeated` ..."""
        self.behaves = False
        self.receiver = Receiver()
        self.receiver.answer_by(self._answer)

    def __enter__(self) -> Mischief:
        self.receiver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.receiver.stop()

    @property
    def base(self) -> str:
        """Its URL."""
        return self.receiver.url("").rstrip("/")

    def _answer(self, request: Received) -> Reaction:
        self.calls["all"] += 1
        if self._happens(REFUSED, "refused"):
            return Reaction(status=429, headers={"Retry-After": "1"})
        if not self._is_read:
            return self._write(request)
        if not self.behaves:
            self._meanwhile()
        is_first = self._peer.is_first(request.path, request.body)
        self.calls["first"] += is_first
        # Whoever sends a page again and again says that it is the last.
        may_repeat = not is_first and not self._has_repeated
        self._has_repeated = may_repeat and self._last is not None and self._happens(REPEATED, "repeated")
        if self._has_repeated and self._last is not None:
            return self._last
        answer = self._forwarded(request)
        records = self._peer.records(answer.body) if answer.status == 200 else None
        if records is None:
            self.calls["not a page"] += 1
            return answer
        self._count(records, is_first)
        mixed = list(records)
        if self._happens(MIXED, "mixed"):
            here = {self._peer.version(each)[0] for each in records}
            mixed = [] if is_first else [each for each in self._last_records if self._peer.version(each)[0] not in here]
            mixed += records
            self._chance.shuffle(mixed)
        body = self._peer.with_records(answer.body, mixed)
        answer = self._last = Reaction(status=200, headers=answer.headers, body=body)
        self._last_records = records
        if self._happens(BROKEN_OFF, "broken off"):
            return Reaction(status=200, headers=answer.headers, body=body, breaks_off=True)
        return answer

    def _write(self, request: Received) -> Reaction:
        key, what = self._peer.written(request.path, request.body)
        answer = self._forwarded(request)
        self.calls["needed" if self._there.get(key) != what else "repeated"] += 1
        self._there[key] = what
        if answer.status >= 300:
            self.calls["not taken"] += 1
        return answer

    def _count(self, records: list[Any], is_first: bool) -> None:
        """A further page was needed if it has anything that was not seen; a first one is counted with the runs."""
        versions = {self._peer.version(each)[1] for each in records}
        if not is_first and versions - self._seen:
            self.calls["needed"] += 1
        self._seen |= versions

    def _happens(self, likely: float, name: str) -> bool:
        found = not self.behaves and self._chance.random() < likely
        self.calls[name] += found
        return found

    def _forwarded(self, request: Received) -> Reaction:
        connection = http.client.HTTPConnection("127.0.0.1", self._peer.port, timeout=30)
        try:
            headers = {name: value for name, value in request.headers.items() if name != "connection"}
            connection.request(request.method, request.path, request.body or None, headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        kept = {name.lower(): value for name, value in answer.getheaders() if name.lower() in KEPT}
        return Reaction(status=answer.status, headers=kept, body=body)
