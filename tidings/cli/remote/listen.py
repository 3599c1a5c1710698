"""`tidings listen`: follow the events and post each to a URL on this machine, as the webhook it would be.

With `--hook`, it sends the requests to a hook instead, as received. Each accepted request becomes an event, so the feed
of events shows which requests arrived; the request itself is read from its receipt.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
import typer

from tidings.cli.forwarding import Forwarder
from tidings.cli.listen_options import After, CursorFile, From, HookName, Secret, To, Types, check_options
from tidings.cli.names import hook_of
from tidings.cli.remote.interrupts import interrupt_on_signals
from tidings.cli.session import AsJson, Key, Session, Url, session
from tidings.cli.terminal.times import when
from tidings.client import (
    ApiError,
    Client,
    ConnectionFailed,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    ServerFault,
    calls,
)
from tidings.client.client import Json
from tidings.client.exchange import ClientRequest, ServerAddress
from tidings.client.wire import Wire
from tidings.model import moment
from tidings.model.event import Event
from tidings.model.moment import SystemClock
from tidings.rules import event_types
from tidings.rules.deliver import bodies
from tidings.rules.schemes import standard as sign

WAIT_SECONDS = 30
PAGE_EVENTS = 100
KNOCK_SECONDS = 1.0
T = TypeVar("T")
NULL = msgspec.Raw(b"null")
"""A missing value. `Raw | None` does not work: in a union, msgspec accepts only null as a raw value."""


class Bookmark(msgspec.Struct, kw_only=True):
    """The content of the file: the cursor, how many events after it were sent, and the secret to sign events with."""

    cursor: str
    done: int = 0
    secret: str = ""


class Fed(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the feed. JSON values stay the text that the publisher sent."""

    id: str
    type: str
    time: str
    data: msgspec.Raw
    subject: str | None = None
    tenant: str | None = None
    previous: msgspec.Raw = NULL
    changed: msgspec.Raw = NULL
    collection: str | None = None
    actor: str | None = None
    request_id: str | None = None


class FedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the feed."""

    data: list[Fed]
    next_cursor: str | None


class Outgoing(NamedTuple):
    """What is sent next: when it happened, what it is, and how it is sent; `send` returns the response's status."""

    time: str
    what: str
    id: str
    send: Callable[[], int]


def listen(
    to: To,
    hook: HookName = None,
    events: Types = None,
    after: After = None,
    since: From = None,
    cursor_file: CursorFile = None,
    secret: Secret = None,
    url: Url = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Post each event, or a hook's requests, to a URL on this machine.

    Events are signed like webhooks. With --hook, the requests that the hook accepted are sent instead, with the same
    method, headers, query and body, byte for byte, so that the sender's own signature can be verified.

    This is meant for development: no endpoint is registered, and nothing has to be reachable from outside. If nothing
    is listening at the URL, the command tries again every second; any response counts as a success. Ctrl-C stops the
    command; its next run continues after the last event that was received.
    """
    with session(url, key, as_json) as out:
        check_options(to, hook, after, since)
        path = cursor_file or _default_path(out.url, to if hook is None else f"{hook} {to}")
        patterns = event_types.check_patterns(events) if events else ("*",)
        wants = event_types.matcher(tuple(patterns))
        if hook is None:
            place = _read_place(path, after, secret, signed=True)
            out.say(f"Posting {', '.join(patterns)} to {to}, signed with {place.secret}")
            source: _Source = _Events(to, place.secret, wants)
        else:
            start = when(since, SystemClock().now())
            place = _read_place(path, "end" if since is not None else after, None, signed=False)
            found = hook_of(out.client, hook)
            source = _Hook(out.client, found, Forwarder(out.client, to, secret), wants, start)
            out.say(f"Forwarding {found['url']} to {to}")
        listener = _Listener(out, source, path, place)
        caught = interrupt_on_signals()
        try:
            listener.run()
        except (Gone, Invalid, Malformed) as wrong:
            raise ValueError(_way_on(wrong, path)) from None
        except KeyboardInterrupt:
            caught()
            out.say(f"Stopped. The next run will continue from here (the position is saved in {path}).")
        finally:
            source.close()


class _Source(Protocol):
    """What is sent for events. The methods raise ConnectionFailed or ServerFault if the server is unavailable."""

    def earlier(self) -> list[Callable[[], Outgoing]]:
        """What to send before the first event, as functions that read it."""

    def of(self, event: Fed) -> Outgoing | None:
        """What is sent for an event, if anything."""

    def close(self) -> None:
        """Close connections."""


class _Events:
    """Events, as the webhooks they would be."""

    def __init__(self, to: str, secret: str, wants: Callable[[str], bool]) -> None:
        parts = urlsplit(to)
        self._wire = Wire(ServerAddress(f"{parts.scheme}://{parts.netloc}", None), None)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._signer, self._wants = sign.Signer(secret), wants

    def earlier(self) -> list[Callable[[], Outgoing]]:
        return []

    def of(self, event: Fed) -> Outgoing | None:
        if not self._wants(event.type):
            return None
        body = bodies.standard(_event(event))
        return Outgoing(event.time, event.type, event.id, lambda: self._post(event.id, body))

    def close(self) -> None:
        self._wire.close()

    def _post(self, ident: str, body: bytes) -> int:
        stamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": ident,
            "webhook-timestamp": str(stamp),
            "webhook-signature": self._signer.sign(ident, stamp, body),
        }
        return self._wire.send(ClientRequest("POST", self._path, body=body, headers=headers)).status


class _Hook:
    """Requests that a hook accepted, as received."""

    def __init__(
        self, client: Client, hook: Json, forwarder: Forwarder, wants: Callable[[str], bool], since: str | None
    ) -> None:
        self._client, self._hook, self._forwarder, self._wants, self._since = client, hook, forwarder, wants, since
        self._sent: set[str] = set()

    def earlier(self) -> list[Callable[[], Outgoing]]:
        since = self._since
        if since is None:
            return []
        newest_first = self._client.receipts(hook=self._hook["id"], limit=PAGE_EVENTS)
        rows = [row for row in takewhile(lambda row: row["received"] >= since, newest_first) if row["event_id"]]
        self._sent = {row["event_id"] for row in rows}
        return [partial(self._outgoing, row["id"]) for row in reversed(rows)]

    def of(self, event: Fed) -> Outgoing | None:
        if event.actor != self._hook["id"] or event.id in self._sent or not self._wants(event.type):
            return None
        try:
            return self._outgoing("rcp_" + event.id.partition("_")[2])
        except NotFound:
            # It was refused at first and let in later, so its receipt is older than its event; or it was pruned.
            every = self._client.receipts(hook=self._hook["id"], limit=PAGE_EVENTS)
            found = next((row["id"] for row in every if row["event_id"] == event.id), None)
            return None if found is None else self._outgoing(found)

    def close(self) -> None:
        pass

    def _outgoing(self, ident: str) -> Outgoing:
        receipt = self._forwarder.read(ident)
        what = f"{receipt['method']} {receipt['target']}"
        return Outgoing(receipt["received"], what, ident, lambda: self._forwarder.send(receipt))


class _Listener:
    def __init__(self, out: Session, source: _Source, path: Path, place: Bookmark) -> None:
        self._out, self._source, self._path, self._place = out, source, path, place
        self._begun, self._waited = moment.to_text(SystemClock().now()), False

    def run(self) -> None:
        """Follow forever. Raises ApiError if the server refuses the request."""
        place = self._place
        # Not a long poll: the position is known, and saved, before anything can break.
        page = self._patiently(lambda: self._page(0))
        missed = self._patiently(self._since_begun) if self._waited and place.cursor == "end" else []
        for read in self._patiently(self._source.earlier):
            self._send(self._patiently(read))
        for event in missed:
            self._take(event)
        while True:
            for event in page.data[place.done :]:
                # An event that arrived after its position was known was also found by its time.
                if all(event.id != each.id for each in missed):
                    self._take(event)
                place.done += 1
                _write_place(self._path, place)
            if page.next_cursor is not None and page.next_cursor != place.cursor:
                place.cursor, place.done = page.next_cursor, 0
                _write_place(self._path, place)
            page = self._patiently(lambda: self._page(WAIT_SECONDS))

    def _take(self, event: Fed) -> None:
        if (outgoing := self._patiently(partial(self._source.of, event))) is not None:
            self._send(outgoing)

    def _page(self, wait_seconds: int) -> FedPage:
        return self._read(calls.catch_up(self._place.cursor, wait_seconds, PAGE_EVENTS))

    def _since_begun(self) -> list[Fed]:
        """What was published after this run began, but before the server answered it."""
        return self._read(ClientRequest("GET", "/v1/events", {"time__gte": self._begun})).data[::-1]

    def _read(self, asked: ClientRequest) -> FedPage:
        reply = self._out.client.exchange(asked)
        reply.value()
        return msgspec.json.decode(reply.body, type=FedPage)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The server's response, however long it takes to become available."""
        has_knocked = False
        while True:
            try:
                return ask()
            except (ConnectionFailed, ServerFault) as wrong:
                if not has_knocked:
                    self._out.say(f"{wrong} Retrying every second until the server answers.")
                has_knocked = self._waited = True
                time.sleep(KNOCK_SECONDS)

    def _send(self, outgoing: Outgoing) -> None:
        has_knocked = False
        while True:
            begun = time.monotonic()
            try:
                status = outgoing.send()
            except ConnectionFailed as wrong:
                if not has_knocked:
                    self._say(outgoing, None, str(wrong), 0)
                has_knocked = True
                time.sleep(KNOCK_SECONDS)
            else:
                return self._say(outgoing, status, None, round((time.monotonic() - begun) * 1000))

    def _say(self, sent: Outgoing, status: int | None, reason: str | None, ms: int) -> None:
        line = {"id": sent.id, "type": sent.what, "status": status, "reason": reason, "duration_ms": ms}
        outcome = f"{status} in {ms} ms" if status is not None else f"{reason} Retrying until the receiver answers."
        if self._out.as_json:
            typer.echo(json.dumps(line))
        else:
            self._out.say(f"{sent.time}  {sent.what}  {sent.id}  {outcome}")


def _way_on(wrong: ApiError, path: Path) -> str:
    """The refusal; if it is about the cursor, with the options to continue."""
    if not isinstance(wrong, Gone) and not any(error.get("parameter") == "after" for error in wrong.errors):
        return str(wrong)
    return (
        f"{wrong} Run the command again with --after start to get every event that the server still has, or with "
        f"--after end to get only new events. (The last run's position is in {path}.)"
    )


def _event(fed: Fed) -> Event:
    return Event(
        id=fed.id,
        type=fed.type,
        time=moment.from_text(fed.time),
        data=bytes(fed.data).decode(),
        subject=fed.subject,
        tenant=fed.tenant,
        previous=None if fed.previous == NULL else bytes(fed.previous).decode(),
        changed=None if fed.changed == NULL else bytes(fed.changed).decode(),
        collection=fed.collection,
        actor=fed.actor,
        request_id=fed.request_id,
    )


def _default_path(url: str, what: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    try:
        folder = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ValueError("You have no home folder to save the position in. Pass a file with --cursor-file.") from None
    mark = hashlib.sha256(f"{url}\n{what}".encode()).hexdigest()[:12]
    return folder / "tidings" / f"listen-{mark}.json"


def _read_place(path: Path, after: str | None, secret: str | None, *, signed: bool) -> Bookmark:
    """Where the last run ended, unless `after` is given. `signed`: it gets a secret. Raises ValueError."""
    if secret is not None:
        sign.secret_key(secret)
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Bookmark) if path.exists() else None
    except (OSError, msgspec.MsgspecError) as wrong:
        what = f"{path} was not written by `tidings listen` ({wrong})"
        raise ValueError(f"{what}; choose another --cursor-file") from None
    secret = secret or (kept.secret if kept else "") or (sign.new_secret(os.urandom(32)) if signed else "")
    if after is not None or kept is None:
        return Bookmark(cursor=after or "end", secret=secret)
    return Bookmark(cursor=kept.cursor, done=kept.done, secret=secret)


def _write_place(path: Path, place: Bookmark) -> None:
    """Replace the whole file, so that a crash leaves either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(place))
    fresh.replace(path)
