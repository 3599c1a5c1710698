"""Checks what is between callers and the server, by calling the public URL.

Even a badly configured proxy passes most calls on. So this sends what such proxies often break: a large body, a stream,
a made-up address.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import urlsplit

from tidings.cli.local.doctor_local import Finding
from tidings.client import Client, ClientError, ConnectionFailed, Forbidden, Unauthorized
from tidings.client.exchange import ClientReply, ClientRequest
from tidings.client.uploads import Upload
from tidings.model.errors import NO_KEY
from tidings.rules.network.origin import is_loopback
from tidings.settings import Settings

TIMEOUT_SECONDS = 20.0
STREAM_SECONDS = 20.0
"""How many seconds to wait for data on a stream: more than the 15 s between the server's heartbeats."""
QUIET_TYPE = "tidings_doctor"
"""An event type that nobody publishes, so the stream has only heartbeats."""
HEARTBEAT = b": still here"
HEAD_SECONDS = 1.0
"""How many seconds to wait for a proxy to refuse a body because of its length."""
PIECE_BYTES = 64 * 1024
MADE_UP, MADE_UP_FORWARDED = "192.0.2.77", "192.0.2.78"
"""Addresses that are reserved for documentation (RFC 5737), so no caller has them."""
OWN_LOGIN = (
    "The proxy requires its own password, so callers' keys do not reach the server. Remove that requirement; "
    "nginx: remove auth_basic."
)
NO_AUTHORIZATION = (
    "The proxy removes the Authorization header, so callers' keys do not reach the server. Make it pass the header on."
)
CACHES = (
    "The proxy caches responses, so a caller can get a response that only another caller may read. Turn its cache "
    "off; nginx: remove proxy_cache."
)
LONGER = (
    "Raise its timeout to 90 s; nginx: proxy_read_timeout 90s; HAProxy: timeout server 90s; Caddy: remove read_timeout"
)
NGINX_STREAM = "nginx: remove proxy_ignore_headers X-Accel-Buffering, or set proxy_buffering off"


NOT_ITS_SIZE = ("it answered 403", "it answered 405", "it answered 501")


class _Enough(Exception):
    """As much of a body was sent as was needed."""


def look_at_proxy(url: str, key: str, settings: Settings) -> Generator[Finding, None, bool]:
    """Check everything between here and the server. Stops if the remaining checks would be pointless.

    Returns False if calls of the URL do not reach the server, which is then one of the findings.
    """
    url = url.rstrip("/")
    if _is_server_itself(url, settings):
        said = f"{url} is the server itself, so no proxy was checked. Pass the URL that callers use: --url https://..."
        yield Finding("fail", "https", said)
        return True
    yield _https(url)
    yield from _past_the_proxy(settings)
    with Client(url, timeout_seconds=TIMEOUT_SECONDS, retries=0) as anybody:
        try:
            reply = anybody.exchange(ClientRequest("GET", "/healthz"))
        except ConnectionFailed as wrong:
            yield Finding("fail", "proxy", str(wrong))
            return False
    astray = _reached(reply, url, settings)
    if astray is not None:
        yield Finding("fail", "proxy", astray)
        return False
    yield Finding("ok", "proxy", f"{url} reaches the server.")
    if not key:
        said = (
            "No key was given, so how the proxy handles calls was not checked. Pass the operator's key in TIDINGS_KEY."
        )
        yield Finding("fail", "key", said)
        return True
    with Client(url, key, timeout_seconds=TIMEOUT_SECONDS, retries=0) as client:
        return (yield from _with_key(client, url, key, settings))


def _with_key(client: Client, url: str, key: str, settings: Settings) -> Generator[Finding, None, bool]:
    lines = {"X-Forwarded-For": MADE_UP, "Forwarded": f"for={MADE_UP_FORWARDED}"}
    request = ClientRequest("GET", "/v1/caller", headers=lines)
    try:
        reply = client.exchange(request)
        if (why := _keeps_the_key(reply)) is not None:
            yield Finding("fail", "proxy", why)
            return False
        seen = reply.value()
        again = client.exchange(request)
    except (Unauthorized, Forbidden) as wrong:
        yield Finding("fail", "key", f"{wrong} Pass the operator's key in TIDINGS_KEY.")
        return False
    except ClientError as wrong:
        yield Finding("fail", "proxy", f"With the key, {url}/v1/caller answers: {wrong}")
        return False
    if again.headers.get("request-id") == reply.headers.get("request-id"):
        yield Finding("fail", "proxy", CACHES)
    yield _public_url(seen, url)
    yield _address(seen)
    yield _body(client, settings)
    yield _stream(url, key)
    return True


def _keeps_the_key(reply: ClientReply) -> str | None:
    """Why a caller's key does not reach the server; None if it does."""
    if reply.status != 401:
        return None
    if not _is_ours(reply):
        return OWN_LOGIN
    return NO_AUTHORIZATION if NO_KEY.encode() in reply.body else None


def _https(url: str) -> Finding:
    if urlsplit(url).scheme == "https":
        return Finding("ok", "https", "Callers use HTTPS.")
    said = f"{url} is not encrypted: anyone on the network path can read keys. Let a proxy add HTTPS."
    return Finding("fail", "https", said)


def _past_the_proxy(settings: Settings) -> Iterator[Finding]:
    if settings.host in ("127.0.0.1", "::1", "localhost"):
        yield Finding("ok", "host", "The server listens only on this machine; others reach it through the proxy.")
    elif not settings.trusted_proxies:
        yield Finding(
            "fail",
            "trusted",
            f"The server listens on {settings.host}, and `trusted_proxies` is empty, so all callers behind a proxy "
            "seem to have the same address. List the proxy's address in `trusted_proxies`.",
        )


def _is_server_itself(url: str, settings: Settings) -> bool:
    """Whether it is where the server listens. Another port of this machine is a proxy's."""
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback(parts.hostname or "") and (parts.port or 80) == settings.port


def _is_ours(reply: ClientReply) -> bool:
    return reply.headers.get("request-id", "").startswith("req_")


def _reached(reply: ClientReply, url: str, settings: Settings) -> str | None:
    """What is wrong if the response is not the server's own response to /healthz; None if it is."""
    path = urlsplit(url).path
    if _is_ours(reply):
        if reply.status == 200:
            return None
        if reply.status == 404 and path:
            return (
                f"The proxy does not strip the prefix {path}: the server got a request for {path}/healthz. nginx: end "
                "proxy_pass with a slash; Caddy: use handle_path; HAProxy: use http-request replace-path."
            )
        return f"{url}/healthz answers {reply.status}."
    if reply.status in (502, 503, 504):
        port = settings.port or 8080
        return (
            f"The proxy answers {reply.status}: it cannot reach the server. If `tidings doctor` reaches the server at "
            f"http://127.0.0.1:{port}, make the proxy forward requests to that URL."
        )
    if 300 <= reply.status < 400:
        target = reply.headers.get("location", "another URL")
        return f"{url} redirects to {target}. Pass the target URL with --url, and set `public_url` to the same URL."
    if reply.status == 401:
        return OWN_LOGIN
    if reply.status == 403:
        return f"The proxy answers 403: its own rules forbid calls to {url} from this machine. Check these rules."
    return f"{url} reaches another program: /healthz answered {reply.status}. Check the proxy's host name and path."


def _public_url(seen: dict[str, Any], url: str) -> Finding:
    told = seen["public_url"]
    if told is None:
        said = f"`public_url` is not set, so links and Location headers lack the host. Set public_url: {url}"
        return Finding("fail", "public_url", said)
    if told.rstrip("/") != url:
        said = (
            f"`public_url` is {told}, but the server was reached at {url}. Set `public_url` to the URL that callers "
            "use."
        )
        return Finding("fail", "public_url", said)
    return Finding("ok", "public_url", f"`public_url` is {told}, the URL that was called.")


def _address(seen: dict[str, Any]) -> Finding:
    """Whether the server learns the caller's address from the proxy, and only from the proxy."""
    chain, forwarded, peer = seen["x_forwarded_for"], seen["forwarded"], seen["connected_from"]
    last = (chain or "").split(",")[-1].strip()
    if last == MADE_UP or (chain is None and MADE_UP_FORWARDED in (forwarded or "").split(",")[-1]):
        said = (
            "The proxy passes on the caller's own X-Forwarded-For header, so callers can fake their address, and all "
            "callers that send no such header seem to have the proxy's address. Make the proxy extend or replace the "
            "header; nginx: "
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; HAProxy: http-request set-header "
            "X-Forwarded-For %[src]"
        )
        return Finding("fail", "address", f"{said}.")
    if chain is None and forwarded is None:
        said = (
            "The proxy does not pass on the caller's address: no X-Forwarded-For arrives, so all callers seem to have "
            "the same address"
        )
        return Finding("fail", "address", f"{said}.")
    if not seen["connection_trusted"]:
        said = (
            f"The connection is from {peer}, which `trusted_proxies` does not list, so all callers seem to have that "
            f"address. If this is your proxy's address, set trusted_proxies: {peer}"
        )
        return Finding("fail", "address", said)
    if chain is not None and MADE_UP_FORWARDED in (forwarded or ""):
        said = (
            "The proxy passes on the caller's own Forwarded header, so the server trusts neither that nor "
            'X-Forwarded-For. Make the proxy remove Forwarded; nginx: proxy_set_header Forwarded ""; Caddy: header_up '
            "-Forwarded; HAProxy: http-request del-header Forwarded"
        )
        return Finding("fail", "address", f"{said}.")
    return Finding(
        "ok", "address", f"The server sees this caller as {last or seen['address']}, through the proxy at {peer}."
    )


def _body(client: Client, settings: Settings) -> Finding:
    """Send a batch of the maximum size, all spaces, which the server reads and refuses; then announce a file of the
    maximum size, without sending it all.
    """
    most = settings.max_batch_bytes
    refused = _too_large(_posted(client, "/v1/events:batch", "application/json", most, whole=True))
    size = most
    if refused is None:
        size = settings.max_import_bytes
        path, media = "/v1/items/tidings_doctor:import", "application/x-ndjson"
        refused = _too_large(_posted(client, path, media, size, whole=False))
    if refused is None:
        return Finding("ok", "body", f"Bodies of {most:,} bytes pass.")
    if refused in NOT_ITS_SIZE:
        said = f"The proxy does not pass on POST requests ({refused}). Allow all methods; nginx: remove limit_except."
        return Finding("fail", "proxy", said)
    return Finding(
        "fail",
        "body",
        f"The proxy refused a body of {size:,} bytes ({refused}), although the server would accept it. Remove the "
        "proxy's limit; nginx: client_max_body_size 0; Caddy: remove max_size from request_body.",
    )


def _too_large(reply: ClientReply | ConnectionFailed | None) -> str | None:
    if isinstance(reply, ConnectionFailed):
        return "it closed the connection"
    return None if reply is None or _is_ours(reply) else f"it answered {reply.status}"


def _posted(client: Client, path: str, media: str, size: int, *, whole: bool) -> ClientReply | ConnectionFailed | None:
    """The response to a body of spaces; None if there was none until the first piece, or all of it, was sent."""
    until = time.monotonic() + HEAD_SECONDS

    def pieces() -> Iterator[bytes]:
        left = size
        while left > 0:
            yield b" " * min(left, PIECE_BYTES)
            left -= PIECE_BYTES
            while not whole:
                if time.monotonic() > until:
                    raise _Enough
                time.sleep(0.05)
                yield b""

    upload = Upload(pieces, "ndjson", again=False, length=size)
    try:
        return client.exchange(ClientRequest("POST", path, headers={"Content-Type": media}, upload=upload))
    except ConnectionFailed as wrong:
        return wrong
    except _Enough:
        return None


def _stream(url: str, key: str) -> Finding:
    """Whether a stream's first line arrives at once, and its heartbeat later: no proxy buffers or cuts it."""
    lines = {"Accept": "text/event-stream"}
    request = ClientRequest("GET", "/v1/events/stream", query={"type": QUIET_TYPE}, headers=lines, streamed=True)
    first = None
    with Client(url, key, timeout_seconds=STREAM_SECONDS, retries=0) as patient:
        began = time.monotonic()
        try:
            reply = patient.exchange(request)
            if reply.status != 200:
                return Finding(
                    "fail", "stream", f"The response to a stream request was {reply.status}. See {url}/v1/events/stream"
                )
            said = next(reply.rest)
            first = time.monotonic() - began
            while HEARTBEAT not in said:
                said += next(reply.rest)
        except (ConnectionFailed, StopIteration):
            return Finding("fail", "stream", _stream_broke(first, time.monotonic() - began))
    beat = time.monotonic() - began
    return Finding(
        "ok", "stream", f"A stream's first byte arrived after {first:.1f} s, and its heartbeat after {beat:.0f} s."
    )


def _stream_broke(first: float | None, ended: float) -> str:
    """Why no heartbeat arrived. `first`: the seconds until the first byte, if there was one; `ended`: until the end."""
    if first is None:
        return (
            f"No data arrived on a stream within {STREAM_SECONDS:.0f} s: the proxy buffers responses. {NGINX_STREAM}."
        )
    if ended - first >= STREAM_SECONDS:
        return (
            f"No heartbeat arrived on a stream within {STREAM_SECONDS:.0f} s: the proxy buffers the stream. "
            f"{NGINX_STREAM}."
        )
    return f"The proxy cut off an idle stream after {ended:.1f} s, before the server sent a heartbeat. {LONGER}."
