"""`tidings listen`: follow the events and post each to a URL on this machine, as the webhook it would be."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from tidings.cli.remote.interrupts import interrupt_on_signals
from tidings.cli.session import DEFAULT_URL, AsJson, Key, Session, Url, session
from tidings.client import ApiError, ConnectionFailed, Gone, Invalid, Malformed, ServerFault, calls
from tidings.client.exchange import ClientRequest, ServerAddress
from tidings.client.wire import Wire
from tidings.model import moment
from tidings.model.event import Event
from tidings.rules import event_types
from tidings.rules.deliver import bodies
from tidings.rules.schemes import standard as sign

WAIT_SECONDS = 30
PAGE_EVENTS = 100
KNOCK_SECONDS = 1.0
NULL = msgspec.Raw(b"null")
"""A missing value. `Raw | None` does not work: in a union, msgspec accepts only null as a raw value."""


class Bookmark(msgspec.Struct, kw_only=True):
    """The content of the file: the cursor, how many events after it are done, and the signing secret."""

    cursor: str
    done: int = 0
    secret: str


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
    next_cursor: str


def listen(
    forward: Annotated[str, typer.Option(help="The URL to post each event to, such as http://localhost:3000/hooks.")],
    events: Annotated[
        list[str] | None, typer.Option(help="Only these types, such as 'tasks.*'; repeat for more.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="Where to start: start, end, or a cursor; by default where the last run ended.")
    ] = None,
    cursor_file: Annotated[
        Path | None, typer.Option(help="Where to save the position; by default a file in your state folder.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="A whsec_... to sign with; by default one is generated and kept.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Follow the events and post each to a URL on this machine, signed like a webhook.

    Meant for development: no endpoint is registered, and nothing has to be reachable from outside. While nothing
    listens there, it tries again every second; any response counts as received. Ctrl-C ends it; the next run continues
    after the last event that was received.
    """
    with session(url, key, as_json) as out:
        _check_forward(forward)
        path = cursor_file or _default_path(url, forward)
        place = _read_place(path, after, secret)
        patterns = event_types.check_patterns(events) if events else ("*",)
        out.say(f"Posting {', '.join(patterns)} to {forward}, signed with {place.secret}")
        listener = _Listener(out, forward, patterns, path, place)
        interrupt_on_signals()
        try:
            listener.run()
        except (Gone, Invalid, Malformed) as wrong:
            raise ValueError(_way_on(wrong, path)) from None
        except KeyboardInterrupt:
            out.say(f"Stopped. The next run continues from here ({path}).")
        finally:
            listener.close()


class _Listener:
    def __init__(self, out: Session, forward: str, patterns: Sequence[str], path: Path, place: Bookmark) -> None:
        parts = urlsplit(forward)
        self._out, self._path, self._place = out, path, place
        self._wants = event_types.matcher(tuple(patterns))
        self._wire = Wire(ServerAddress(f"{parts.scheme}://{parts.netloc}", None), None)
        self._request_path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._signer = sign.Signer(place.secret)

    def run(self) -> None:
        """Follow forever. Raises ApiError if the server refuses the request."""
        place = self._place
        # Not a long poll: the position is known, and saved, before anything can break.
        page = self._following(wait_seconds=0)
        while True:
            for event in page.data[place.done :]:
                if self._wants(event.type):
                    self._post(event)
                place.done += 1
                _write_place(self._path, place)
            if page.next_cursor != place.cursor:
                place.cursor, place.done = page.next_cursor, 0
                _write_place(self._path, place)
            page = self._following(WAIT_SECONDS)

    def close(self) -> None:
        self._wire.close()

    def _page(self, wait_seconds: int) -> FedPage:
        reply = self._out.client.exchange(calls.catch_up(self._place.cursor, wait_seconds, PAGE_EVENTS))
        reply.value()
        return msgspec.json.decode(reply.body, type=FedPage)

    def _following(self, wait_seconds: int) -> FedPage:
        """The next page, however long the server is unavailable."""
        knocks = 0
        while True:
            try:
                return self._page(wait_seconds)
            except (ConnectionFailed, ServerFault) as wrong:
                if knocks == 0:
                    self._out.say(f"{wrong} Retrying every second until it answers.")
                knocks += 1
                time.sleep(KNOCK_SECONDS)

    def _post(self, event: Fed) -> None:
        body = bodies.standard(_event(event))
        knocks = 0
        while True:
            stamp = int(time.time())
            headers = {
                "Content-Type": "application/json",
                "webhook-id": event.id,
                "webhook-timestamp": str(stamp),
                "webhook-signature": self._signer.sign(event.id, stamp, body),
            }
            begun = time.monotonic()
            try:
                reply = self._wire.send(ClientRequest("POST", self._request_path, body=body, headers=headers))
            except ConnectionFailed as wrong:
                if knocks == 0:
                    self._say(event, None, str(wrong), 0)
                knocks += 1
                time.sleep(KNOCK_SECONDS)
                continue
            self._say(event, reply.status, None, round((time.monotonic() - begun) * 1000))
            return

    def _say(self, event: Fed, status: int | None, reason: str | None, ms: int) -> None:
        if self._out.as_json:
            line = {"id": event.id, "type": event.type, "status": status, "reason": reason, "duration_ms": ms}
            typer.echo(json.dumps(line))
        else:
            outcome = f"{status} in {ms} ms" if status is not None else f"{reason} Retrying until it answers."
            self._out.say(f"{event.time}  {event.type}  {event.id}  {outcome}")


def _way_on(wrong: ApiError, path: Path) -> str:
    """The refusal; if it is about the cursor, with the options to continue."""
    if not isinstance(wrong, Gone) and not any(error.get("parameter") == "after" for error in wrong.errors):
        return str(wrong)
    return (
        f"{wrong} Run it again with --after start to get every event that the server still has, or with --after "
        f"end to get only new events. (The last run's position is in {path}.)"
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


def _check_forward(forward: str) -> None:
    """Raise ValueError if it is not a URL to post to, before anything is printed or saved."""
    parts = urlsplit(forward)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"--forward is written as http://localhost:3000/hooks, not {forward!r}")


def _default_path(url: str, forward: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    mark = hashlib.sha256(f"{url}\n{forward}".encode()).hexdigest()[:12]
    return Path(state) / "tidings" / f"listen-{mark}.json"


def _read_place(path: Path, after: str | None, secret: str | None) -> Bookmark:
    """Where the last run ended, unless the command line says otherwise. Raises ValueError."""
    if secret is not None:
        sign.secret_key(secret)
    try:
        kept: Bookmark | None = msgspec.json.decode(path.read_bytes(), type=Bookmark)
    except FileNotFoundError:
        kept = None
    except (OSError, msgspec.MsgspecError) as wrong:
        raise ValueError(
            f"{path} was not written by `tidings listen` ({wrong}); choose another --cursor-file"
        ) from None
    secret = secret or (kept.secret if kept else sign.new_secret(os.urandom(32)))
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
