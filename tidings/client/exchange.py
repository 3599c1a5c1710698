"""One exchange without its transport: what to send, what a response means, whether and when to retry."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from tidings import __version__
from tidings.client.errors import BadAnswer, ConnectionFailed, error_of
from tidings.client.uploads import Upload
from tidings.client.values import as_text

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 30.0
RETRIES = 4
FIRST_DELAY_SECONDS = 0.2
DELAY_SECONDS_MAX = 60.0
"""If a server asks for a longer wait than this, the error is raised at once."""

Loads = Callable[[bytes], Any]
"""Reads JSON, as `json.loads` does. Raises ValueError."""

TRY_AGAIN = frozenset({429, 502, 503, 504})
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One call. `repeatable`: sending it twice has the same effect as sending it once."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    extra_seconds: float = 0.0
    """How many seconds longer than usual the response may take, as in long polls."""
    upload: Upload | None = None
    """A body that is sent in chunks, instead of `body`."""
    streamed: bool = False
    """Whether the body of a successful response is read in chunks, through `ClientReply.rest`."""

    @property
    def target(self) -> str:
        """Path and query as in the request line. Parameters that are None are left out."""
        pairs = [(name, text) for name, value in self.query.items() if value is not None for text in _texts(value)]
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path

    @property
    def can_repeat(self) -> bool:
        """Whether the body can be sent again."""
        return self.upload is None or self.upload.again

    @property
    def may_repeat(self) -> bool:
        """Whether the request may be sent again if it is unknown whether it arrived."""
        return self.repeatable or self.method in REPEATABLE or "Idempotency-Key" in self.headers


@dataclass(frozen=True, slots=True)
class ClientReply:
    """A complete response. Header names are lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    rest: Any = None
    """The chunks of the body, as a sync or async iterator, if the request was `streamed` and succeeded."""

    @property
    def retry_after_seconds(self) -> float | None:
        """The wait that the server asked for; only read in seconds, since the server uses that form."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() else None

    def value(self, loads: Loads = json.loads) -> Any:
        """The body's JSON value, None if there is no body. Raises ClientError for 400 and above."""
        if self.status >= 400:
            raise error_of(self.status, self.headers.get("content-type", ""), self.body, self.retry_after_seconds)
        if self.status >= 300 and self.status != 304:
            raise BadAnswer(
                f"The server answered {self.status}. Redirects are not followed: use the URL in the Location header."
            )
        if not self.body:
            return None
        try:
            return loads(self.body)
        except ValueError:
            raise BadAnswer("The response is not valid JSON. Is this the URL of a Tidings server?") from None


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The URL to call, and the key to use."""

    url: str
    key: str | None
    timeout_seconds: float = TIMEOUT_SECONDS
    retries: int = RETRIES

    @property
    def parts(self) -> SplitResult:
        """The URL's parts. Raises ValueError if it is not an http(s) URL."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url!r} is not an http:// or https:// URL")
        return parts

    @property
    def prefix(self) -> str:
        """The path prefix of the API."""
        return self.parts.path.rstrip("/")

    def headers(self, request: ClientRequest) -> dict[str, str]:
        """All headers of a request except the transport's own."""
        headers = {"Accept": "application/json", "User-Agent": f"tidings-client/{__version__}", **request.headers}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if request.body is not None:
            headers.setdefault("Content-Type", "application/json")
        return headers


def encode(body: Any) -> bytes:
    """A body as JSON; bytes are sent unchanged."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return json.dumps(body, separators=(",", ":"), allow_nan=False, default=as_text).encode()


def new_idempotency_key() -> str:
    """A key for one logical request and all its attempts."""
    return uuid.uuid4().hex


def delay_before_retry(
    request: ClientRequest, came: ClientReply | ConnectionFailed, tries: int, retries: int, chance: float
) -> float | None:
    """How many seconds to wait before the next attempt; None if there is none. `chance` is between 0 and 1."""
    if tries > retries:
        return None
    usual = min(FIRST_DELAY_SECONDS * 2.0 ** (tries - 1), DELAY_SECONDS_MAX) * (0.5 + chance)
    if isinstance(came, ConnectionFailed) and not came.sent:
        return usual
    if not request.can_repeat:
        return None
    if isinstance(came, ConnectionFailed):
        return usual if request.may_repeat else None
    if came.status not in TRY_AGAIN or (came.status != 429 and not request.may_repeat):
        return None
    asked = came.retry_after_seconds
    if asked is None:
        return usual
    return None if asked > DELAY_SECONDS_MAX else max(asked, usual)


def page_of(value: Any) -> tuple[list[Any], str | None]:
    """The items of one page of a list, and the cursor of the next page. Raises BadAnswer."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise BadAnswer("The response is not a list. Is this the URL of a Tidings server?")
    cursor = value.get("next_cursor")
    return value["data"], None if cursor is None else str(cursor)


def object_of(value: Any) -> dict[str, Any]:
    """The response as a JSON object. Raises BadAnswer if it is something else."""
    if not isinstance(value, dict):
        raise BadAnswer("The response is not a JSON object. Is this the URL of a Tidings server?")
    return value


def failed(wrong: BaseException, where: str, *, sent: bool) -> ConnectionFailed:
    """The error for a failure below HTTP, with a sentence that describes it."""
    # Imported here: most calls succeed, and commands start sooner without them.
    import http.client
    import socket
    import ssl

    if isinstance(wrong, TimeoutError):
        return ConnectionFailed(f"{where} did not answer in time.", sent=sent)
    if isinstance(wrong, ConnectionRefusedError):
        return ConnectionFailed(f"Nothing is listening on {where}. Is it running?", sent=sent)
    if isinstance(wrong, socket.gaierror):
        return ConnectionFailed(
            f"The host name of {where} cannot be resolved. Check its spelling and the DNS.", sent=sent
        )
    if isinstance(wrong, ssl.SSLCertVerificationError):
        why = wrong.verify_message.rstrip(".")
        advice = (
            " If its CA is private, set SSL_CERT_FILE to the file with the CA's certificate."
            if wrong.verify_code in _NO_CA
            else ""
        )
        return ConnectionFailed(f"The certificate of {where} is not trusted: {why}.{advice}", sent=sent)
    if isinstance(wrong, ssl.SSLError):
        if wrong.reason in _NO_TLS:
            return ConnectionFailed(f"{where} does not speak TLS. Write its URL with http://.", sent=sent)
        why = (wrong.reason or "TLS failed").replace("_", " ").lower()
        return ConnectionFailed(f"The TLS connection to {where} failed: {why}.", sent=sent)
    if isinstance(wrong, ConnectionError | EOFError | http.client.HTTPException):
        return ConnectionFailed(
            f"{where} closed the connection before its response was complete, or does not speak HTTP.", sent=sent
        )
    reason = (getattr(wrong, "strerror", None) or str(wrong) or type(wrong).__name__).rstrip(".")
    return ConnectionFailed(f"The connection to {where} failed: {reason}.", sent=sent)


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's reasons for an error if the response is plain text."""
_NO_CA = (2, 18, 19, 20, 21)
"""OpenSSL's codes for a certificate that no known CA has signed. Other codes mean that it has expired, for example."""


def _texts(value: Any) -> list[str]:
    """A parameter's values. A list repeats the parameter, since its values may contain commas."""
    return [_text(each) for each in value] if isinstance(value, list | tuple) else [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return as_text(value)
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
