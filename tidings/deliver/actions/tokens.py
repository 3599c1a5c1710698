"""Access tokens of connections: one request at a time gets a token for all calls that wait for it.

A token is stored before it is used. So a refresh token that the service has rotated survives a crash right afterwards,
and a start uses the token of the last run. If no token is given, calls fail for a while without asking again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

import msgspec

from tidings.deliver.contained import contained, why
from tidings.model.calls.connection import AccessToken, Connection, StoredToken
from tidings.model.moment import SECOND, Micros
from tidings.net.http import AnswerLimits, HttpRequest, Reply, Tls
from tidings.rules.calls import oauth2, sending
from tidings.rules.calls.credentials import secrets_of, sent_in
from tidings.rules.network import address
from tidings.rules.reading.hiding import hiding
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db, StoreError
from tidings.store.tokens import TokenStore
from tidings.store.writer import Writer

ANSWER = AnswerLimits(keep_bytes=256 * 1024, read_bytes=256 * 1024, seconds=10.0)
REST_SECONDS_FIRST, REST_SECONDS_MAX = 1.0, 60.0
NOT_STORED = "The new access token could not be stored, so it cannot be used yet."

Then = Callable[[str | None, str], None]
"""Called with a token, or with None and the reason why there is none."""
Send = Callable[[HttpRequest, Callable[[Reply], None]], None]


class _Held:
    """The state of one connection's token."""

    def __init__(self, credentials: str, token: AccessToken | None) -> None:
        self.credentials, self.token = credentials, token
        self.unstored: AccessToken | None = None
        self.waiting: list[Then] = []
        self.busy = False
        self.rests_until: Micros = 0
        self.rest_seconds = 0.0
        self.reason = ""


class Tokens:
    """Belongs to the deliver thread."""

    def __init__(
        self,
        db: Db,
        writer: Writer,
        store: TokenStore,
        send: Send,
        inbox: Callable[[Callable[[], None]], None],
        now: Callable[[], Micros],
    ) -> None:
        """`db`: a reader; `inbox`: makes the deliver thread call something, from any thread."""
        self._db, self._writer, self._store = db, writer, store
        self._send, self._inbox, self._now = send, inbox, now
        self._held: dict[str, _Held] = {}

    def use(self, connection: Connection, refused: str | None, then: Then) -> None:
        """Call `then` with a token, now or later. `refused`: a token that the service no longer accepts."""
        try:
            held = self._of(connection)
        except StoreError as wrong:
            self._inbox(lambda why=wrong.detail: then(None, f"The store cannot be read: {why}."))  # type: ignore[misc]
            return
        now, token = self._now(), held.token
        if token is not None and token.access != refused and (token.expires is None or now < token.expires):
            then(token.access, "")
        elif not held.busy and now < held.rests_until:
            self._inbox(lambda: then(None, held.reason))
        else:
            held.waiting.append(then)
            if not held.busy:
                held.busy = True
                self._renew(held, connection, now)

    def _of(self, connection: Connection) -> _Held:
        credentials = hashlib.sha256(msgspec.json.encode(connection.secrets.auth)).hexdigest()
        held = self._held.get(connection.id)
        if held is None or held.credentials != credentials:
            stored = self._store.find(self._db, connection.id)
            known = stored is not None and stored.credentials == credentials
            held = self._held[connection.id] = _Held(credentials, stored.token if known and stored else None)
        return held

    def _renew(self, held: _Held, connection: Connection, now: Micros) -> None:
        if held.unstored is not None:
            self._keep(held, connection, held.unstored)
            return
        refresh = None if held.token is None else held.token.refresh
        options, auth = connection.options, connection.secrets.auth or {}
        try:
            wanted = oauth2.token_request(auth, options.base, now, secrets.token_hex(16), refresh)
            request = HttpRequest(
                wanted.url,
                [*wanted.headers, "Expect:"],
                wanted.body,
                options.timeout_seconds,
                None,
                tls_of(connection),
                wanted=ANSWER,
                opens=address.parse_networks(",".join(options.private)),
            )
            self._send(
                request,
                contained(
                    lambda reply: self._answered(held, connection, refresh, wanted.body, reply),
                    lambda wrong: self._fail(held, f"No access token was obtained: {why(wrong)}."),
                ),
            )
        except (Refused, ValueError) as wrong:
            said = wrong.detail if isinstance(wrong, Refused) else str(wrong)
            self._inbox(lambda: self._fail(held, f"No access token could be requested: {said}"))

    def _answered(self, held: _Held, connection: Connection, refresh: str | None, sent: bytes, reply: Reply) -> None:
        if reply.failure is not None:
            said = sending.unreached(reply.failure.kind, reply.failure.reason, connection)
            self._fail(held, f"No access token was obtained: {said}")
            return
        old = () if held.token is None else (held.token.access,)
        hide = hiding((*secrets_of(connection), *sent_in(sent), *old)).text
        try:
            self._keep(held, connection, oauth2.read_token(reply.status, reply.body, self._now(), refresh, hide))
        except oauth2.NoToken as wrong:
            self._fail(held, str(wrong))

    def _keep(self, held: _Held, connection: Connection, token: AccessToken) -> None:
        """Store a token; it is used only once it is stored."""
        held.unstored = token
        stored = StoredToken(token=token, credentials=held.credentials)

        def job(db: Db) -> None:
            self._store.put(db, connection.id, stored)

        self._writer.submit(job, lambda _, wrong: self._inbox(lambda: self._kept(held, token, wrong)))

    def _kept(self, held: _Held, token: AccessToken, wrong: Exception | None) -> None:
        if wrong is not None:
            self._fail(held, NOT_STORED)
            return
        held.token, held.unstored, held.rest_seconds = token, None, 0.0
        for then in self._ended(held):
            then(token.access, "")

    def _fail(self, held: _Held, reason: str) -> None:
        held.rest_seconds = min(2 * held.rest_seconds, REST_SECONDS_MAX) or REST_SECONDS_FIRST
        held.rests_until, held.reason = self._now() + round(held.rest_seconds * SECOND), reason
        for then in self._ended(held):
            then(None, reason)

    def _ended(self, held: _Held) -> list[Then]:
        held.busy = False
        waiting, held.waiting = held.waiting, []
        return waiting


def tls_of(connection: Connection) -> Tls | None:
    """The TLS settings for a connection's hosts, if it has its own authority or certificate."""
    ca, client = connection.secrets.ca, connection.secrets.client_certificate
    if ca is None and client is None:
        return None
    authorities = None if ca is None else ca.encode()
    if client is None:
        return Tls(authorities)
    return Tls(authorities, client.certificate.encode(), client.key.encode())
