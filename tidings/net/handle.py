"""One request as libcurl sees it: its options, its body, its response, and its result."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

import msgspec
import pycurl

from tidings.net import reply as replies
from tidings.net.names import LOOKUP_SECONDS, Resolved
from tidings.net.reply import Reply, TransportFailure
from tidings.rules.network import address
from tidings.rules.network.address import NONE_OPEN, Networks, Target, target_of

CONNECT_SECONDS = 5.0
HEADERS_KEPT = 200
NO_HEADERS = ["Expect:"]  # pycurl ignores an empty list, and would send the last request's headers again
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
"""Methods that may be repeated automatically (RFC 9110, section 9.2.2)."""
WITH_CONTENT = ("POST", "PUT", "PATCH")
"""Methods that declare the length of their body even if it is empty (RFC 9110, section 8.6)."""
SUPPRESS_CONNECT_HEADERS = 265
"""CURLOPT_SUPPRESS_CONNECT_HEADERS, for which pycurl has no constant."""
IDLE_CONNECTION_SECONDS = 60
ADDRESSES_MAX = 16
DNS_CACHE_SECONDS = 600
"""How long libcurl remembers the addresses of an alias; `names.py` decides how long they are valid."""

log = logging.getLogger("tidings.net")

Refusal = Callable[[str], str | None]
"""Called with an address before connecting to it; returns None, or the reason for refusing it, as a sentence."""


class Tls(msgspec.Struct, frozen=True):
    """An endpoint's TLS options, as PEM: the only authorities to trust, our certificate (with its chain) and key."""

    authorities: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None


class AnswerLimits(msgspec.Struct, frozen=True):
    """How much of a response's body to read. The defaults suit callers that need only the head."""

    keep_bytes: int = 16 * 1024
    read_bytes: int = 64 * 1024
    """A longer body is cut off, and its connection closed. Reading more than is kept saves the connection."""
    seconds: float = 2.0
    """How long the body may take once the headers are complete. The request's own timeout applies too."""


A_GLANCE = AnswerLimits()


class HttpRequest(msgspec.Struct, frozen=True):
    """A request. `timeout_seconds` covers everything from the name look-up to the last byte.

    `headers` are complete lines, as libcurl takes them: `Name:` alone leaves out a header that it would add. `tenant`:
    on whose account names are looked up. A tenant does not learn what they resolve to; None (the operator) does.
    """

    url: str
    headers: list[str]
    body: bytes
    timeout_seconds: float
    tenant: str | None = None
    tls: Tls | None = None
    method: str = "POST"
    wanted: AnswerLimits = A_GLANCE
    opens: Networks = NONE_OPEN
    """Addresses that this request may call, although other requests may not."""
    link: int | None = None  # the number of its link, if another node may send the request (net/helping)


Done = Callable[[Reply], None]


class Handle:
    """One curl handle, set up once and loaded for each request."""

    def __init__(
        self,
        refusal: Refusal,
        user_agent: str,
        ca_file: str,
        connection_seconds: int,
        is_hung: Callable[[int], bool],
        opens_socket: Callable[[], None],
        proxy: str | None,
    ) -> None:
        self.curl = pycurl.Curl()
        self.done: Done = _nobody
        self.serial = 0
        """A number that changes with each request and after it, so that late results are recognized."""
        self.tenant: str | None = None
        self.target: Target = target_of("")
        self.opens = NONE_OPEN
        """Addresses that the request may call in addition to those that every request may call."""
        self.timeout_seconds = 0.0
        self.began = 0.0
        self.added = False
        """Whether libcurl has it."""
        self.special = False
        """Whether the handle has options that must be reset before the next request."""
        self.loads: str | None = None
        """The alias whose addresses the request gives to libcurl."""
        self.waits: Callable[[Resolved], None] | None = None
        self._refusal, self._is_hung, self._opens_socket = refusal, is_hung, opens_socket
        self._stale = self._fresh = self._looks = self._forgot = self._dialled = False
        self._found: Resolved | None = None
        self._refused: str | None = None
        self._headers: list[bytes] = []
        self.head_at: float | None = None
        """When the response headers were complete."""
        self._answer = bytearray()
        self._read = 0
        self.wanted = A_GLANCE
        self._body, self._sent = b"", 0
        self._url, self._limit, self._size, self._method = "", 0.0, -1, "POST"
        """The options that libcurl was already given. Of all methods, only POST is remembered."""
        self._proxied = proxy is not None
        self._set_up(user_agent, ca_file, connection_seconds)
        self._set_proxy(proxy or "", ca_file)

    def _set_up(self, user_agent: str, ca_file: str, connection_seconds: int) -> None:
        curl = self.curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.USERAGENT, user_agent)
        curl.setopt(pycurl.CAINFO, ca_file)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(CONNECT_SECONDS * 1000))
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, DNS_CACHE_SECONDS)
        curl.setopt(pycurl.MAXAGE_CONN, IDLE_CONNECTION_SECONDS)
        curl.setopt(pycurl.MAXLIFETIME_CONN, connection_seconds)
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.READFUNCTION, self._on_read)
        # A body that cannot be rewound is never sent twice: without this, libcurl repeats a POST on its own if a kept
        # connection breaks.
        curl.setopt(pycurl.SEEKFUNCTION, _refuse_to_rewind)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._on_open)
        curl.setopt(pycurl.RESOLVER_START_FUNCTION, self._on_look_up)

    def _set_proxy(self, url: str, ca_file: str) -> None:
        """Use this proxy and no other, whatever the environment says (`http_proxy`, `no_proxy`); "" for none."""
        self.curl.setopt(pycurl.PROXY, url)
        self.curl.setopt(pycurl.NOPROXY, "")
        self.curl.setopt(pycurl.PROXY_CAINFO, ca_file)
        self.curl.setopt(SUPPRESS_CONNECT_HEADERS, 1)

    def load(self, request: HttpRequest, done: Done) -> None:
        """Prepare a request. Raises what pycurl raises if it cannot be built."""
        self.serial += 1
        self.done, self.tenant = done, request.tenant
        self.timeout_seconds, self.began = request.timeout_seconds, time.monotonic()
        self._refused, self.head_at, self._headers = None, None, []
        self._dialled = self._stale = self._forgot = False
        self._read = self._sent = 0
        self._body, self.wanted, self.opens = request.body, request.wanted, request.opens
        curl = self.curl
        if request.url != self._url:
            curl.setopt(pycurl.URL, request.url)
            self._url, self.target = request.url, target_of(request.url)
        if request.timeout_seconds != self._limit:
            curl.setopt(pycurl.TIMEOUT_MS, int(request.timeout_seconds * 1000))
            self._limit = request.timeout_seconds
        if request.method != self._method:
            self._choose_method(request.method, with_body=bool(request.body))
        curl.setopt(pycurl.HTTPHEADER, request.headers or NO_HEADERS)
        if len(request.body) != self._size:
            self._size = len(request.body)
            curl.setopt(pycurl.POSTFIELDSIZE, self._size)
        if self._found is not None and self.target.name is None:
            self._found = None
            curl.unsetopt(pycurl.CONNECT_TO)
        # libcurl repeats requests without a body if a kept connection breaks; on a new one it does not.
        fresh = not request.body and request.method not in IDEMPOTENT
        if self._fresh is not fresh:
            self._fresh = fresh
            curl.setopt(pycurl.FRESH_CONNECT, int(fresh))
        if request.tls is not None:
            self._secure(request.tls)

    def _choose_method(self, method: str, *, with_body: bool) -> None:
        curl = self.curl
        self._method = method if method == "POST" else ""
        if method == "POST":
            curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        if with_body or method in WITH_CONTENT:
            # To libcurl, every request with a body is a POST by another name.
            curl.setopt(pycurl.POST, 1)
        elif method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        else:
            curl.setopt(pycurl.HTTPGET, 1)

    def _secure(self, tls: Tls) -> None:
        self.special = True
        if tls.authorities is not None:
            self.curl.setopt(pycurl.CAINFO_BLOB, tls.authorities)
        if tls.certificate is not None and tls.key is not None:
            self.curl.setopt(pycurl.SSLCERT_BLOB, tls.certificate)
            self.curl.setopt(pycurl.SSLKEY_BLOB, tls.key)

    def dial(self, found: Resolved, *, load: bool) -> None:
        """Set the addresses of the target's name, and subtract the time of the look-up from the time limit. `load`:
        libcurl may not know the addresses of this alias yet.
        """
        curl = self.curl
        if found is not self._found:
            self._found = found
            curl.setopt(pycurl.CONNECT_TO, [f"::{found.alias}:"])
        if load:
            self._load(found)
        spent = time.monotonic() - self.began
        if spent > 0.001:
            curl.setopt(pycurl.TIMEOUT_MS, max(1, int((self.timeout_seconds - spent) * 1000)))
            self._limit = 0.0

    def _load(self, found: Resolved) -> None:
        self.loads = found.alias
        addresses = ",".join(f"[{text}]" if ":" in text else text for text in found.addresses[:ADDRESSES_MAX])
        self.curl.setopt(pycurl.RESOLVE, [f"+{found.alias}:{self.target.port}:{addresses}"])

    def look_first(self) -> None:
        """Before the request leaves, check whether the reused connection was closed by the other side."""
        if not self._looks:
            self._looks = True
            self.curl.setopt(pycurl.PREREQFUNCTION, self._on_connection)

    def stayed_here(self, number: int) -> bool:
        """Whether no byte of the request left, because the reused connection was dead."""
        if self._fresh:
            return False
        if number == pycurl.E_ABORTED_BY_CALLBACK:
            return self._stale or self._forgot
        # If the first write fails, nothing was sent.
        lost = number in (pycurl.E_SEND_FAIL_REWIND, pycurl.E_SEND_ERROR)
        return lost and not self.curl.getinfo(pycurl.REQUEST_SIZE) and not self.curl.getinfo(pycurl.NUM_CONNECTS)

    def renew(self) -> None:
        """Prepare to send on a new connection."""
        self._fresh, self._stale, self._sent = True, False, 0
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        if self._forgot and self._found is not None:
            self._load(self._found)

    def rest(self) -> None:
        """Release everything until the next request."""
        self.serial += 1
        self.done, self.waits, self.added = _nobody, None, False
        self.head_at = self.loads = None
        self._body = b""
        self._answer.clear()

    def reply(self, number: int, message: str) -> Reply:
        """The result; `number` and `message` are libcurl's, 0 on success."""
        code: int = self.curl.getinfo(pycurl.RESPONSE_CODE)
        if self.head_at is not None:
            if not number:
                return Reply(code, self._headers, bytes(self._answer), int((time.monotonic() - self.began) * 1000))
            waited = round(time.monotonic() - self.head_at, 1)
            return self._reply(code, replies.body_failure(number, self._read, self.wanted.read_bytes, waited))
        status = code if code >= 200 else None
        if number and status is not None and self._headers and replies.is_malformed(number, message):
            # The status line is complete; what follows it says nothing about the message.
            why = replies.failure(number, message, 0).reason
            del self._headers[1:]
            return self._reply(status, TransportFailure("head", f"Only its status line was read. {why}"))
        # libcurl accepts a head that breaks off.
        return self._reply(status, self._failure(number or pycurl.E_PARTIAL_FILE, message))

    def unresolved(self, problem: str | None) -> Reply:
        """The reply if the name has no address."""
        name, host = self.target.name, self.target.host
        if problem == "unknown":
            reason = replies.CANNOT_USE if self._hides else f"The name {host} does not exist, or has no address."
            if self._hides:
                log.info("%s, a name of tenant %s, does not exist or has no address", name, self.tenant)
        elif problem == "silent":
            reason = f"The name did not resolve within {min(LOOKUP_SECONDS, self.timeout_seconds):g} s."
        else:
            reason = "The name could not be looked up: the name servers gave no usable answer."
        return self._reply(None, TransportFailure("name", reason))

    def refused(self, found: Resolved | None) -> Reply | None:
        """The reply if a known address of the target may not be called."""
        known = [self.target.address or ""] if self.target.name is None else found.addresses if found else ()
        self._refused = next((why for why in map(self._against, known) if why is not None), None)
        return None if self._refused is None else self._reply(None, self._refusal_failure(self._refused))

    def _against(self, ip: str) -> str | None:
        """Why this request may not call an address; None if it may."""
        return None if self.opens and address.refusal(ip, self.opens) is None else self._refusal(ip)

    @property
    def _hides(self) -> bool:
        """Whether the name's addresses are hidden from the reader of the reply."""
        return self.tenant is not None and self.target.name is not None and not self.target.local

    def _reply(self, status: int | None, failure: TransportFailure | None = None) -> Reply:
        duration_ms = int((time.monotonic() - self.began) * 1000)
        return Reply(status, self._headers, bytes(self._answer), duration_ms, failure)

    def _failure(self, number: int, message: str) -> TransportFailure:
        curl = self.curl
        if number == pycurl.E_COULDNT_RESOLVE_HOST and self.target.address is not None:
            # Without a route for its family, curl gives an address up before it asks us.
            self.refused(None)
        if self._refused is not None and not self._dialled:
            return self._refusal_failure(self._refused)
        if self._proxied and (said := replies.proxy_failure(number, message)) is not None:
            return said
        if number == pycurl.E_OPERATION_TIMEDOUT:
            if curl.getinfo(pycurl.REQUEST_SIZE):
                return TransportFailure("timeout", f"No complete response arrived within {self.timeout_seconds:g} s.")
            # The request never left. (PRETRANSFER_TIME does not show that: curl also sets it when it gives up.)
            limit = min(CONNECT_SECONDS, self.timeout_seconds)
            if self._proxied:
                return TransportFailure("connection", f"The outbound proxy did not connect within {limit:g} s.")
            if curl.getinfo(pycurl.CONNECT_TIME):
                return TransportFailure("tls", f"The TLS handshake did not finish within {limit:g} s.")
            return TransportFailure("connection", f"No connection could be made within {limit:g} s.")
        log.debug("%s: curl %d: %s", self.target.host, number, message)
        if number == pycurl.E_SEND_ERROR and self.target.tls and not curl.getinfo(pycurl.REQUEST_SIZE):
            return TransportFailure("tls", replies.CLOSED_AFTER_HANDSHAKE)
        return replies.failure(number, message, curl.getinfo(pycurl.OS_ERRNO))

    def _refusal_failure(self, why: str) -> TransportFailure:
        if not self._hides:
            return TransportFailure("address", why)
        log.info("%s, a name of tenant %s: %s", self.target.name, self.tenant, why)
        return TransportFailure("name", replies.CANNOT_USE)

    def _on_header(self, line: bytes) -> None:
        if self.head_at is not None:
            # A trailer.
            return
        if line in (b"\r\n", b"\n"):
            if self._headers and self._headers[0][8:10] == b" 1" and self._headers[0][9:12] != b"101":
                # An interim answer, such as 103 Early Hints.
                self._headers.clear()
            else:
                self.head_at = time.monotonic()
        elif len(self._headers) < HEADERS_KEPT:
            self._headers.append(line)

    def _on_body(self, chunk: bytes) -> int | None:
        self._read += len(chunk)
        wanted = self.wanted
        room = wanted.keep_bytes - len(self._answer)
        if room > 0:
            self._answer += chunk[:room]
        return 0 if self._read > wanted.read_bytes else None

    def _on_read(self, size: int) -> bytes:
        begin, self._sent = self._sent, self._sent + size
        return self._body[begin : self._sent]

    def _on_open(self, purpose: int, peer: tuple[int, int, int, tuple[object, ...]]) -> socket.socket | int:
        family, kind, protocol, where = peer
        host = where[0].decode() if isinstance(where[0], bytes) else str(where[0])
        # A proxy is the operator's choice; its destination was checked as far as we can.
        refused = None if self._proxied else self._against(host)
        if refused is not None:
            self._refused = self._refused or refused
            return int(pycurl.SOCKET_BAD)
        self._dialled = True
        self._opens_socket()
        return socket.socket(family, kind, protocol)

    def _on_connection(self, _remote_ip: str, _local_ip: str, _remote_port: int, local_port: int) -> int:
        if not self._fresh and self._is_hung(local_port):
            self._stale = True
            return int(pycurl.PREREQFUNC_ABORT)
        return int(pycurl.PREREQFUNC_OK)

    def _on_look_up(self) -> int:
        """libcurl wants to look a name up itself: never, so that every name takes its turn."""
        self._forgot = (self.target.name is not None or self._found is not None) and not self._proxied
        return int(self._forgot)


def _nobody(reply: Reply) -> None:
    """Nothing waits for it."""


def _refuse_to_rewind(offset: int, origin: int) -> int:
    return int(pycurl.SEEKFUNC_FAIL)
