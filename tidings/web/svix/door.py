"""The door for Svix's SDKs: `/svix/api/v1`. It treats callers, limits and large bodies as the API's door does.

Two things are as at Svix: refusals have its form, and a key may end with a region, as its SDKs' keys do. Unlike there,
unknown members and parameters are refused.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from tidings.control.svix.tokens import PREFIX as TOKEN
from tidings.model.access import Key, key_hash
from tidings.model.errors import Invalid, NotFound, Place, TidingsError, Unauthorized
from tidings.rules.network.origin import origins_of, public_url
from tidings.web.api.door import ANYBODY, JSON, ApiDoor, Exchange, send_refusal
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts
from tidings.web.svix import problems, unknown
from tidings.web.svix.table import TABLE
from tidings.web.wire import query
from tidings.web.wire.bodies import body
from tidings.web.wire.bodies.work import LARGE_BYTES
from tidings.web.wire.cors import Cors
from tidings.web.wire.routes import Routes

SDK_HEADERS = ("Svix-Req-Id", "Svix-Retry-Count", "User-Agent")
"""The headers that Svix's SDK for JavaScript sends from a page, in addition to ours."""
REGIONS = (".us", ".eu", ".in", ".ca", ".au")
ELSEWHERE = {
    "transformations": ("transformation", "app/X/endpoint/X/transformation"),
    "integrations": ("integration", "app/X/integration"),
    "connectors": ("connector", "app/X/auto-config", "app/X/autoconfig", "app/X/destination"),
    "ingest": ("ingest",),
    "streams": ("stream", "streaming"),
    "polling": ("app/X/poller", "app/X/endpoint/X/msg/poll"),
    "operational webhooks": ("operational-webhook",),
    "background tasks": ("background-task",),
    "environments": ("environment", "event-type/import/openapi"),
    "statistics of applications and attempts": ("stats", "app/X/endpoint/X/attempt-stats"),
    "checking a message before it is sent": ("app/X/msg/precheck/active",),
    "expunging content": (
        "app/X/msg/bulk-expunge",
        "app/X/msg/expunge-all-contents",
        "app/X/msg/X/content",
        "app/X/msg/X/attempt/X/content",
    ),
    "bulk replays": ("app/X/endpoint/X/bulk-replay", "app/X/endpoint/X/replay-missing"),
    "all calls about tokens": ("auth",),
}
"""Paths that Svix's SDKs can call and this door does not offer, by their names in docs/howto/from-svix.md. X: an id."""
_ELSEWHERE = re.compile(
    rf"(?:/svix)?/api/v1/(?:{'|'.join(each for all_ in ELSEWHERE.values() for each in all_)})(?:/.*)?".replace(
        "X", "[^/]+"
    )
)


@functools.cache
def _routes(prefix: str) -> Routes:
    return Routes(TABLE, prefix)


class NotOffered(TidingsError):
    """Svix has this operation, and this door does not."""

    code, status, title = "not_implemented", 501, "Not available here"


class SvixDoor(ApiDoor):
    """Takes everything below `/svix` and `/api`."""

    def __init__(self, parts: Parts, api: ApiDoor) -> None:
        """It shares the counts of wrong keys and of calls with the API's door."""
        public = public_url(parts.settings.public_url)
        super().__init__(parts, _routes(public.prefix if public else ""))
        self.access, self.limits = api.access, api.limits
        self._tokens = parts.svix.tokens
        self._cors = Cors(origins_of(parts.settings.cors_origins), parts.catalog, SDK_HEADERS)

    async def _run(self, operation: Operation, path: dict[str, str], at: Exchange) -> Answer | None:
        headers, scope = at.headers, at.scope
        key = ANYBODY
        if operation.scope is not None:
            key = self._known(operation, at)
            if key.limits or key.shared_limits:
                await self.count(key, at)
        given = _query(scope.query_string, operation)
        raw = b""
        if "content-encoding" in headers:
            body.check_encoding(headers["content-encoding"])
        if scope.method not in ("GET", "HEAD") or "content-length" in headers or "transfer-encoding" in headers:
            if at.raw is None:
                at.raw = await self._bodies.read(at.proto, headers, self._max_body, key.tenant)
            raw = at.raw
        request = Request(operation, key, at.request_id, path, given, headers, raw, None, self._parts.cursors)
        if len(raw) > LARGE_BYTES:
            return await self._run_large(request, at)
        self._parse(request)
        return await self._answer(request, at)

    def _known(self, operation: Operation, at: Exchange) -> Key:
        text = at.headers.get("authorization", "")
        scheme, _, token = text.partition(" ")
        if scheme.lower() == "bearer" and token.startswith(TOKEN):
            return self._of_token(operation, at, token.strip())
        if token.endswith(REGIONS) and key_hash(token.strip()) not in self._parts.catalog.now.keys_by_hash:
            at.headers["authorization"] = text[: -len(REGIONS[0])]
        return super()._known(operation, at)

    def shown_key(self, at: Exchange) -> str | None:
        """The Authorization header, without Svix's region at the end; None if it has a token for a portal."""
        scheme, _, token = at.headers.get("authorization", "").partition(" ")
        if token.startswith(TOKEN):
            return None
        return f"{scheme} {token[: -len(REGIONS[0])] if token.endswith(REGIONS) else token}"

    def _of_token(self, operation: Operation, at: Exchange, token: str) -> Key:
        try:
            key = self._tokens.open(token)
        except Unauthorized as wrong:
            raise self.access.failed(at.client, self._clock.now(), wrong) from None
        if "origin" in at.headers:
            self._cors.narrow(at.extra, at.headers["origin"], key)
        if operation.scope is not None:
            key.need(operation.scope)
        return key

    def _parse(self, request: Request) -> None:
        """Read the body; null means that a member is left out. Raises Malformed or Invalid."""
        operation, raw = request.operation, request.raw
        if operation.request is not None:
            body.check_media(request.headers.get("content-type"))
            request.body, request.value = body.read_body(raw or b"{}", operation.request)
            unknown.refuse(request.value, operation.request)

    def refuse(self, at: Exchange, wrong: Exception, operation: Operation | None) -> int:
        """Write a refusal as Svix does; returns its status."""
        if isinstance(wrong, NotFound) and operation is None and _ELSEWHERE.fullmatch(at.scope.path):
            wrong = NotOffered(
                "Tidings does not support this Svix operation. For the supported operations, see "
                "docs/reference/svix.md."
            )
        return send_refusal(at, wrong, operation, JSON, problems.body_of(operation))


def _query(text: str, operation: Operation) -> dict[str, Any]:
    """The parameters. Raises Malformed or Invalid."""
    given: dict[str, list[str]] = {}
    for name, value in query.pairs(text):
        given.setdefault(name, []).append(value)
    found: dict[str, Any] = {}
    wrong: list[Place] = []
    for name, values in given.items():
        parameter = operation.known.get(name)
        if parameter is None:
            wrong.append(Place(parameter=name, code="unknown_parameter", detail=unknown.said("parameter", name)))
        else:
            try:
                found[name] = query.convert(parameter, values)
            except ValueError as error:
                wrong.append(Place(parameter=name, code="wrong_value", detail=f"{name} must be {error}."))
    if wrong:
        raise Invalid("The query has wrong parameters.", errors=wrong)
    return found
