"""Requests as HTTP/1.1 writes them: to be read from a file that somebody kept, or to be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tidings.model.digits import index_of
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.request import HookRequest

_LINE = re.compile(r"([A-Za-z]+) (\S+) HTTP/[0-9.]+")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")


def read_request(raw: bytes, url: str = "") -> HookRequest:
    """A request from its bytes: a request line, headers, an empty line, the body. Line ends may be LF.

    `url` is the public URL that the sender called; without it, it is made of https, the header Host and the target.
    Bytes after the body that Content-Length announces are left out. Raises Refused for what is not a request.
    """
    head, body = _halves(raw)
    lines = head.decode("latin-1").split("\n")
    found = _LINE.fullmatch(lines[0].rstrip("\r"))
    if found is None:
        detail = f"The first line must be a request line, such as 'POST /in HTTP/1.1', not {lines[0][:80]!r}."
        raise Refused("/0", "syntax", detail)
    method, target = found.groups()
    headers = [_header(line.rstrip("\r"), number) for number, line in enumerate(lines[1:], 1) if line.rstrip("\r")]
    request = HookRequest(method.upper(), "", headers, body)
    return request.but(body=_measured(request), url=url or _url(target, request.headers.get("host", "")))


def write_request(request: HookRequest) -> bytes:
    """A request as bytes, with the host of its URL and the length of its body."""
    split = urlsplit(request.url)
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    headers = {"host": split.netloc, **request.headers}
    if request.body:
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + request.body


def _halves(raw: bytes) -> tuple[bytes, bytes]:
    found = re.search(rb"\r?\n\r?\n", raw)
    return (raw[: found.start()], raw[found.end() :]) if found else (raw.rstrip(b"\r\n"), b"")


def _header(line: str, number: int) -> tuple[str, str]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise Refused(f"/{number}", "syntax", f"Line {number + 1} is not a header: {line[:80]!r}.")
    name, value = found.groups()
    try:
        return name, value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return name, value


def _measured(request: HookRequest) -> bytes:
    if "chunked" in request.headers.get("transfer-encoding", ""):
        raise Refused("/body", "syntax", "The body is chunked: save the decoded bytes, without the chunk sizes.")
    text = request.headers.get("content-length", "")
    if not text:
        return request.body
    if not (text.isascii() and text.isdigit()):
        raise Refused("/content-length", "syntax", f"Content-Length is not a number: {text[:40]!r}.")
    said = index_of(text)
    if said is None or said > len(request.body):
        says = text[:40] if said is None else f"{said:,}"
        detail = f"The body has {len(request.body):,} bytes, but Content-Length is {says}: some bytes are missing."
        raise Refused("/body", "syntax", detail)
    return request.body[:said]


def _url(target: str, host: str) -> str:
    if "://" in target:
        return target
    return f"https://{host}{target}" if host else ""
