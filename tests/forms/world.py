"""A server with forms, and whoever fills them in: people with browsers, scripts, and programs that mean no good."""

from __future__ import annotations

import http.client
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import urlencode

from tests.hooks.world import until
from tidings.testing import Api, ApiReply, FakeClock, TestServer

CONTACT: dict[str, Any] = {
    "name": {"label": "Your name", "required": True},
    "email": {"type": "email", "label": "Your email", "required": True},
    "message": {"type": "textarea", "label": "Your message", "max": 500},
}
ANN = {"name": "Ann", "email": "ann@example.com", "message": "Hello"}
BOUNDARY = "----WebKitFormBoundaryABCDEF0123456789"

_numbers = itertools.count(1)


class DeclaredForm:
    """A form, and what can be done in front of it."""

    def __init__(self, server: TestServer, view: dict[str, Any]) -> None:
        self.server, self.view = server, view
        self.id: str = view["id"]
        self.path: str = f"/f/{view['path']}"

    @property
    def api(self) -> Api:
        return self.server.api

    def request(
        self, method: str, body: bytes = b"", headers: Mapping[str, str] | None = None, path: str | None = None
    ) -> ApiReply:
        """Any request to its URL."""
        return ask(self.server.url, method, path or self.path, body, headers or {})

    def page(self, query: str = "") -> str:
        """Its page as HTML."""
        return self.request("GET", path=f"{self.path}?{query}" if query else None).body.decode()

    def token(self) -> str:
        """The token of a fresh page."""
        return token_in(self.page())

    def post(self, values: Mapping[str, Any] | Sequence[tuple[str, str]], **headers: str) -> ApiReply:
        """Send it as a browser does. A header's name has _ for -."""
        body = urlencode(values).encode()
        return self.send(body, "application/x-www-form-urlencoded", **headers)

    def post_json(self, value: Any, **headers: str) -> ApiReply:
        """Send it as a script does."""
        return self.send(json.dumps(value).encode(), "application/json", **headers)

    def post_parts(self, *parts: tuple[str, str | None, str, bytes], **headers: str) -> ApiReply:
        """Send it as a browser sends files: name, file name, media type and content of each part."""
        return self.send(multipart(*parts), f"multipart/form-data; boundary={BOUNDARY}", **headers)

    def send(self, body: bytes, content_type: str, **headers: str) -> ApiReply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", body, {"content-type": content_type, **named})

    def events(self) -> list[dict[str, Any]]:
        """Its events, the oldest first."""
        every = self.api.pages("/v1/events", limit=1000)
        return [event for event in reversed(every) if event["actor"] == self.id]

    def data(self) -> list[Any]:
        """The data of its events."""
        return [event["data"] for event in self.events()]

    def receipts(self) -> list[dict[str, Any]]:
        """What came to it, the newest first."""
        return self.api.pages("/v1/receipts", form=self.id, limit=1000)

    def refusals(self, count: int = 1) -> list[dict[str, Any]]:
        """What it refused, the newest first, once there are that many."""
        return until(
            lambda: found if len(found := self.api.pages("/v1/refusals", form=self.id)) >= count else None,
            f"{count} refusals of {self.path}",
        )


class FormWorld:
    """A server with forms."""

    def __init__(self, server: TestServer, clock: FakeClock) -> None:
        self.server, self.clock = server, clock
        self.api = server.api

    def form(self, fields: Mapping[str, Any] | None = None, **more: Any) -> DeclaredForm:
        """Declare a form at its own path."""
        given = {"path": f"form-{next(_numbers)}", "fields": dict(fields or CONTACT), "max_per_minute": 0, **more}
        api = self.api if "key" not in given else self.api.with_key(given.pop("key"))
        return DeclaredForm(self.server, api.post("/v1/forms", given))


def ask(url: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> ApiReply:
    """One request with exactly these headers, and a Content-Length."""
    connection = http.client.HTTPConnection(url.partition("://")[2], timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value.encode())
        if "content-length" not in headers and (body or method == "POST"):
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return ApiReply(status=answer.status, headers=named, body=answer.read())
    finally:
        connection.close()


def multipart(*parts: tuple[str, str | None, str, bytes]) -> bytes:
    """A body as browsers make it."""
    pieces = []
    for name, file, kind, content in parts:
        named = f'; filename="{file}"' if file is not None else ""
        head = f'Content-Disposition: form-data; name="{name}"{named}\r\n'
        head += f"Content-Type: {kind}\r\n" if file is not None else ""
        pieces.append(f"--{BOUNDARY}\r\n{head}\r\n".encode() + content + b"\r\n")
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


def token_in(page: str) -> str:
    """The token of a page."""
    found = re.search('name="_token" value="([^"]*)"', page)
    assert found, page
    return unescape(found[1])


def errors_of(reply: ApiReply) -> dict[str, str]:
    """The codes of a problem, by field."""
    return {each["pointer"].removeprefix("/"): each["code"] for each in json.loads(reply.body)["errors"]}
