"""Somebody in front of a browser that runs no scripts: pages are read, forms are sent, cookies are kept."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from tidings.testing import Api, ApiReply

OWN = {"Sec-Fetch-Site": "same-origin"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Visitor:
    """A browser's tab. Paths are below `/console`."""

    def __init__(self, url: str) -> None:
        self._api = Api(url, None)
        self.cookies: dict[str, str] = {}

    def call(
        self, method: str, path: str, fields: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> ApiReply:
        """One request, whatever the answer; cookies are sent and kept."""
        lines = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        body = None
        if fields is not None:
            lines, body = {**lines, **FORM}, urlencode(fields).encode()
        reply = self._api.call(method, f"/console{path}", body, {**lines, **(headers or {})})
        if "set-cookie" in reply.headers:
            name, _, value = reply.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value
        return reply

    def get(self, path: str = "", headers: Mapping[str, str] | None = None) -> str:
        """A page as it is. Raises AssertionError if it is not there."""
        reply = self.call("GET", path, headers=headers)
        assert reply.status == 200, (path, reply.status, reply.body.decode().partition("<main")[2])
        return reply.body.decode()

    def send(self, path: str, **fields: str) -> ApiReply:
        """Send a form of one of our own pages."""
        return self.call("POST", path, fields, OWN)

    def act(self, path: str, **fields: str) -> str:
        """Send a form, and read the page that it leads to."""
        reply = self.send(path, **fields)
        assert reply.status == 303, (reply.status, reply.body.decode().partition("<main")[2])
        return self.get(reply.headers["location"].removeprefix("/console"))

    def sign_in(self, key: str) -> ApiReply:
        """Paste a key."""
        return self.send("/sign-in", key=key)
