"""A server with hooks, and the other side: whoever sends to them, genuine or not."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tidings.model.moment import SECOND
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest
from tidings.testing import Api, ApiReply, FakeClock, TestServer
from tidings.web.parts import Parts

PUBLIC = "https://hooks.example.com"
DEADLINE_SECONDS = 20.0
SECRET = "a-secret-that-nobody-guesses-0123456789"

T = TypeVar("T")
_numbers = itertools.count(1)


class Declared:
    """A hook, and its sender."""

    def __init__(self, server: TestServer, clock: FakeClock, view: dict[str, Any], secrets: Sequence[str]) -> None:
        self.server, self.clock, self.view, self.secrets = server, clock, view, tuple(secrets)
        self.id: str = view["id"]
        self.path: str = view["path"]
        self.url: str = view["url"]

    @property
    def scheme(self) -> schemes.Scheme:
        given = self.view["scheme"]
        return schemes.named(given) if isinstance(given, str) else schemes.read(given)

    @property
    def api(self) -> Api:
        return self.server.api

    def signed(
        self,
        body: bytes = b'{"n":1}',
        headers: Mapping[str, str] | None = None,
        *,
        secret: str | None = None,
        method: str = "POST",
        query: str = "",
        ago: float = 0.0,
    ) -> HookRequest:
        """A request as the sender signs it, some seconds ago."""
        url = f"{self.url}?{query}" if query else self.url
        request = HookRequest(method, url, {"Content-Type": "application/json", **(headers or {})}, body)
        settings = self.view["settings"]
        now = self.clock.now() / SECOND - ago
        return schemes.sign(self.scheme, secret or self.secrets[0], request, now, settings=settings)

    def send(self, request: HookRequest) -> ApiReply:
        """Send it as it is; `url` is the public one, as a proxy would hand it on."""
        return send(self.server.url, request)

    def events(self) -> list[dict[str, Any]]:
        """The events of this hook, the oldest first."""
        every = self.api.pages("/v1/events", limit=1000)
        return [event for event in reversed(every) if event["actor"] == self.id]

    def receipts(self) -> list[dict[str, Any]]:
        """What came to it, the newest first."""
        return self.api.pages("/v1/receipts", hook=self.id, limit=1000)

    def refusals(self, count: int = 1) -> list[dict[str, Any]]:
        """What it refused, the newest first, once there are that many: they are written a moment after the answer."""
        return until(
            lambda: found if len(found := self.api.pages("/v1/refusals", hook=self.id)) >= count else None,
            f"{count} refusals of {self.path}",
        )

    def refused(self) -> dict[str, Any]:
        """The newest refusal, whole."""
        found: dict[str, Any] = self.api.get(f"/v1/receipts/{self.refusals()[0]['id']}")
        return found

    def edit(self, **changes: Any) -> None:
        self.view = self.api.patch(f"/v1/hooks/{self.id}", changes)
        self.secrets = tuple(changes.get("secrets", self.secrets))


class HookWorld:
    """A server whose public URL is PUBLIC."""

    def __init__(self, server: TestServer, clock: FakeClock) -> None:
        self.server, self.clock = server, clock
        self.api = server.api

    @property
    def parts(self) -> Parts:
        """The parts of the server."""
        assert self.server.server is not None
        return self.server.server.parts

    def rows(self, sql: str, **params: Any) -> list[Any]:
        """What the database holds."""
        return self.parts.writer.wait(lambda db: db.query(sql, params))

    def hook(
        self, scheme: str | dict[str, Any] = "github", secrets: Sequence[str] = (SECRET,), **more: Any
    ) -> Declared:
        """Declare a hook at its own path."""
        given = {"path": f"hook-{next(_numbers)}", "scheme": scheme, "secrets": list(secrets), **more}
        api = self.api if "key" not in given else self.api.with_key(given.pop("key"))
        return Declared(self.server, self.clock, api.post("/v1/hooks", given), secrets)


def send(server_url: str, request: HookRequest) -> ApiReply:
    """Send a request to whoever listens at `server_url`, as the host that its own URL names."""
    host, _, rest = request.url.partition("://")[2].partition("/")
    connection = http.client.HTTPConnection(server_url.partition("://")[2], timeout=60)
    try:
        connection.putrequest(request.method, f"/{rest}", skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", host)
        for name, value in request.headers.items():
            connection.putheader(name, value.encode())
        if "content-length" not in request.headers and (request.body or request.method not in ("GET", "HEAD")):
            connection.putheader("content-length", str(len(request.body)))
        connection.endheaders(request.body)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return ApiReply(status=answer.status, headers=named, body=answer.read())
    finally:
        connection.close()


def until(look: Callable[[], T | None], what: str) -> T:
    """What `look` finds, once it does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"there is still no sign of {what}"
        time.sleep(0.02)
    return found


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
