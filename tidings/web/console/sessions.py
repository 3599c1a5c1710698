"""Who is signed in: a key, entered once, becomes a cookie that only this server can read, and only for `/console`.

The cookie is sealed and contains no key: it has the id of a key, and the time when the session ends. So a session
survives a restart, ends with its key, and nothing is stored for it. A one-time code, which `tidings console` prints as
a link, is
kept in memory for some minutes, or until it is used.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie

import msgspec

from tidings.model.access import Key, key_hash
from tidings.model.errors import Unauthorized
from tidings.model.moment import HOUR, MINUTE, Clock, Micros
from tidings.store.base import StoreError
from tidings.store.catalog import Catalog
from tidings.store.seal import NONCE_BYTES, Sealer

COOKIE = "tidings_console"
SESSION: Micros = 12 * HOUR
"""How long a session lasts: a working day, after which the key must be entered again."""
CODE: Micros = 5 * MINUTE
CODE_MARK = "tdc_"
TEXT_CHARS_MAX = 2_000
CODE_BYTES = 18
CODES_MAX = 1_000
ENDED_MAX = 10_000
NOTICES_MAX = 1_000
_HASH_CHARS = 16
_OWNER = "a session"
_REFUSED_CODE = "This link has already been used, or is older than five minutes. Run `tidings console` again."


class ConsoleSession(msgspec.Struct, frozen=True):
    """Somebody who is signed in with a key."""

    id: str
    key: Key
    ends: Micros


class _Content(msgspec.Struct, frozen=True, array_like=True):
    id: str
    key: str
    hash: str
    """The beginning of the key's hash: if the key with this id is replaced, the old key's sessions end."""
    ends: Micros


class Sessions:
    """Makes sessions and finds them. Belongs to one event loop."""

    def __init__(self, sealer: Sealer, catalog: Catalog, clock: Clock) -> None:
        self._sealer, self._catalog, self._clock = sealer, catalog, clock
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Sessions that were signed out."""
        self._codes: OrderedDict[str, _Content] = OrderedDict()
        """One-time codes that have not been used yet, by their hash."""
        self._notices: OrderedDict[str, str] = OrderedDict()

    def begin(self, key: Key) -> str:
        """The text of the cookie of a new session."""
        ends = self._clock.now() + SESSION
        if key.expires is not None:
            ends = min(ends, key.expires)
        content = _Content(secrets.token_urlsafe(12), key.id, key.hash[:_HASH_CHARS], ends)
        return base64.urlsafe_b64encode(self._sealer.seal(msgspec.json.encode(content), _OWNER)).decode().rstrip("=")

    def code(self, key: Key) -> str:
        """A code with which the key's holder can sign in once, within minutes, until the server restarts."""
        text = CODE_MARK + secrets.token_urlsafe(CODE_BYTES)
        self._codes[key_hash(text)] = _Content("", key.id, key.hash[:_HASH_CHARS], self._clock.now() + CODE)
        if len(self._codes) > CODES_MAX:
            self._codes.popitem(last=False)
        return text

    def use(self, code: str) -> Key:
        """The key of a one-time code. Raises Unauthorized."""
        content = self._codes.pop(key_hash(code), None)
        is_current = content is not None and 0 < content.ends - self._clock.now() <= CODE
        key = self._key(content) if content is not None and is_current else None
        if key is None:
            raise Unauthorized(_REFUSED_CODE, code="code_not_valid")
        return key

    def find(self, cookies: str) -> ConsoleSession | None:
        """The session of a request. `cookies`: its header."""
        text = _cookie(cookies)
        content = self._content(text) if text else None
        key = None if content is None else self._key(content)
        return None if content is None or key is None else ConsoleSession(content.id, key, content.ends)

    def is_open(self, session: ConsoleSession) -> bool:
        """Whether it has not ended in the meantime."""
        key = self._catalog.now.keys.get(session.key.id)
        now = self._clock.now()
        is_valid = key is not None and key.revoked is None and (key.expires is None or key.expires > now)
        return is_valid and now < session.ends and session.id not in self._ended

    def end(self, session: ConsoleSession) -> None:
        """Sign out, even if somebody has copied the cookie."""
        self._ended[session.id] = None
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    def notice(self, session: ConsoleSession, text: str) -> None:
        """Keep a notice for the session's next page to show first."""
        self._notices[session.id] = text
        if len(self._notices) > NOTICES_MAX:
            self._notices.popitem(last=False)

    def take_notice(self, session: ConsoleSession) -> str:
        """The notice kept for the session; empty if there is none."""
        return self._notices.pop(session.id, "")

    def _content(self, text: str) -> _Content | None:
        if len(text) > TEXT_CHARS_MAX or not text.isascii():
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if len(sealed) <= 1 + NONCE_BYTES:
                return None
            content = msgspec.json.decode(self._sealer.open(sealed, _OWNER), type=_Content)
        except (binascii.Error, ValueError, StoreError, msgspec.MsgspecError):
            return None
        is_current = 0 < content.ends - self._clock.now() <= SESSION
        return content if is_current and content.id not in self._ended else None

    def _key(self, content: _Content) -> Key | None:
        key = self._catalog.now.keys.get(content.key)
        if key is None or key.revoked is not None or key.hash[:_HASH_CHARS] != content.hash:
            return None
        return None if key.expires is not None and key.expires <= self._clock.now() else key


def set_cookie(text: str, path: str, *, is_secure: bool) -> tuple[str, str]:
    """The header that keeps a session in the browser; an empty text removes it."""
    age = SESSION // 1_000_000 if text else 0
    secure = "; Secure" if is_secure else ""
    return ("set-cookie", f"{COOKIE}={text}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
