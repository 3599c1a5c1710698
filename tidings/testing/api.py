"""Calls a server's API from tests: one plain HTTP call at a time, with nothing kept between calls."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

TIMEOUT_SECONDS = 60.0
OPERATOR_KEY = "tdk_tests-only-operator-key-0000000000000000000"
"""The operator's key of all servers that tests start."""
LOOPBACK = "127.0.0.0/8"


class ApiReply(msgspec.Struct, frozen=True, kw_only=True):
    """A response. Header names are lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON values; None if it is empty."""
        return json.loads(self.body) if self.body else None


class ApiError(Exception):
    """A response with a status other than 2xx. `problem` contains the problem details (RFC 9457), if there were any."""

    def __init__(self, call: str, reply: ApiReply) -> None:
        self.status = reply.status
        self.reply = reply
        try:
            self.problem: dict[str, Any] = reply.json or {}
        except ValueError:
            self.problem = {}
        super().__init__(f"{call}: {reply.status} {self.problem.get('detail') or reply.body[:300]!r}")


class Api:
    """Calls with one key, or without one if `key` is None. `seconds`: how long a call may take."""

    def __init__(self, url: str, key: str | None, seconds: float = TIMEOUT_SECONDS) -> None:
        self.url, self.key, self._seconds = url, key, seconds
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    def with_key(self, key: str | None) -> Api:
        """The same server, called with a different key."""
        return Api(self.url, key, self._seconds)

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> ApiReply:
        """Make one call; returns the response whatever its status. `body`: JSON values, or bytes to send unchanged.

        A list in `query` repeats the parameter. Raises OSError.
        """
        lines = dict(headers or {})
        if self.key is not None:
            lines.setdefault("Authorization", f"Bearer {self.key}")
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if payload is not None:
            lines.setdefault("Content-Type", "application/json")
        target = path + ("?" + urlencode(query, doseq=True) if query else "")
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        try:
            connection.request(method, target, payload, lines)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return ApiReply(status=answer.status, headers=named, body=answer.read())
        except http.client.HTTPException as wrong:
            raise ConnectionError(f"{method} {path}: {type(wrong).__name__} {wrong}") from wrong
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        """GET; returns the JSON of the response. Raises ApiError for any status but 2xx."""
        return self._ask("GET", path, None, **query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """POST JSON; returns the JSON of the response. Raises ApiError."""
        return self._ask("POST", path, body, **query)

    def put(self, path: str, body: Any) -> Any:
        """PUT JSON; returns the JSON of the response. Raises ApiError."""
        return self._ask("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH with a merge patch; returns the JSON of the response. Raises ApiError."""
        return self._ask("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """DELETE; returns the JSON of the response, None if it is empty. Raises ApiError."""
        return self._ask("DELETE", path, None)

    def pages(self, path: str, **query: Any) -> list[Any]:
        """Every item of a list, page after page. Raises ApiError."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **query, **cursor)
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def register(self, url: str, **options: Any) -> tuple[str, str]:
        """Register an endpoint; returns its id and its signing secret. Raises ApiError."""
        endpoint: str = self.post("/v1/endpoints", {"url": url, **options})["id"]
        secret: str = self.get(f"/v1/endpoints/{endpoint}/secret")["secret"]
        return endpoint, secret

    def publish(self, type: str, data: Any = None, **more: Any) -> str:
        """Publish one event; returns its id. Raises ApiError."""
        event: str = self.post("/v1/events", {"type": type, "data": {} if data is None else data, **more})["id"]
        return event

    def _ask(self, method: str, path: str, body: Any, **query: Any) -> Any:
        reply = self.call(method, path, body, **query)
        if not 200 <= reply.status < 300:
            raise ApiError(f"{method} {path}", reply)
        return reply.json
