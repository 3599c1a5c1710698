"""The async client."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any

from tidings.client import async_items, calls, item_calls
from tidings.client.async_items import AsyncItems
from tidings.client.async_wire import AsyncWire
from tidings.client.calls import When
from tidings.client.errors import ConnectionFailed
from tidings.client.exchange import (
    DEFAULT_URL,
    RETRIES,
    TIMEOUT_SECONDS,
    ClientReply,
    ClientRequest,
    Loads,
    ServerAddress,
    delay_before_retry,
    object_of,
    page_of,
)

Json = dict[str, Any]


class AsyncClient:
    """Calls one server with one key. Belongs to one event loop; use it in an `async with`, or await `close()`.

    Results are the API's JSON values. Failures raise ClientError (client/errors.py). After a 429, a 503 or a broken
    connection, a call is retried up to `retries` times if repeating it is harmless; calls that create something have
    an idempotency key, so that they can be repeated.

    `loads` parses the JSON of responses: Python's `float` does not keep every digit of a number;
    `partial(json.loads, parse_float=Decimal)` does.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        ssl_context: ssl.SSLContext | None = None,
        loads: Loads = json.loads,
    ) -> None:
        self.loads = loads
        self._target = ServerAddress(url, key, timeout_seconds, retries)
        self._wire = AsyncWire(self._target, ssl_context)
        self.links = async_items.AsyncLinkCalls(self)
        self.connections = async_items.AsyncConnectionCalls(self)
        self.forms = async_items.AsyncFormCalls(self)
        self.portal = async_items.AsyncPortalCalls(self)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close idle connections."""
        await self._wire.close()

    async def send(self, request: ClientRequest) -> Any:
        """Make any call of the API; returns the response's JSON value. Raises ClientError."""
        reply = await self.exchange(request)
        return reply.value(self.loads)

    async def exchange(self, request: ClientRequest) -> ClientReply:
        """Make any call; returns the response with status and headers, after any retries. Raises ConnectionFailed."""
        tries = 0
        while True:
            tries += 1
            came: ClientReply | ConnectionFailed
            try:
                came = await self._wire.send(request)
            except ConnectionFailed as wrong:
                came = wrong
            delay = delay_before_retry(request, came, tries, self._target.retries, random.random())  # noqa: S311
            if delay is not None:
                await asyncio.sleep(delay)
            elif isinstance(came, ConnectionFailed):
                raise came
            else:
                return came

    async def pages(self, path: str, **query: Any) -> AsyncIterator[Json]:
        """Every item of a list, page after page."""
        cursor: str | None = None
        while True:
            items, cursor = page_of(await self.send(calls.read(path, **{**query, **calls.given(cursor=cursor)})))
            for item in items:
                yield item
            if cursor is None:
                return

    async def download(self, request: ClientRequest) -> AsyncGenerator[bytes]:
        """Make a call that returns a file; yields it in chunks. Raises ClientError, also if it breaks off midway."""
        reply = await self.exchange(replace(request, streamed=True))
        if reply.rest is None:
            reply.value()
            return
        async with aclosing(reply.rest) as pieces:
            async for piece in pieces:
                yield piece

    # --- events -------------------------------------------------------------------------------------------------------

    async def publish(
        self,
        type: str,
        data: Any,
        *,
        subject: str | None = None,
        id: str | None = None,
        time: When | None = None,
        tenant: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Publish one event; it is on disk when this returns."""
        return await self._object(
            calls.publish(type, data, subject=subject, id=id, time=time, tenant=tenant, idempotency_key=idempotency_key)
        )

    async def publish_batch(
        self, events: Sequence[Mapping[str, Any]], idempotency_key: str | None = None
    ) -> list[Json]:
        """Publish up to 1,000 events, all or none."""
        answer = await self._object(calls.publish_batch(events, idempotency_key))
        return list(answer["events"])

    async def event(self, id: str) -> Json:
        """One event, with its deliveries and why other endpoints did not get it."""
        return await self._object(calls.read(calls.at("events", id)))

    async def trail(self, id: str) -> Json:
        """The trail of an event: every event and delivery that led to it or followed from it, in order."""
        return await self._object(calls.read(calls.at("events", id, "trail")))

    def events(self, **query: Any) -> AsyncIterator[Json]:
        """Events, newest first. Accepts the parameters of `GET /v1/events`: `type`, `subject`, `time__gte` ..."""
        return self.pages("/v1/events", **query)

    async def follow(
        self, after: str = "end", *, wait_seconds: int = 30, limit: int = 100, **query: Any
    ) -> AsyncIterator[tuple[list[Json], str]]:
        """Events as they are committed, forever: page after page, each with the cursor to continue from.

        `after` is such a cursor, `start` for the oldest event kept, or `end` for new events only. A page may be empty.
        Raises Gone if events after the cursor are no longer kept.
        """
        while True:
            events, cursor = page_of(await self.send(calls.catch_up(after, wait_seconds, limit, **query)))
            after = cursor or after
            yield events, after

    # --- endpoints ----------------------------------------------------------------------------------------------------

    async def create_endpoint(self, url: str, *, idempotency_key: str | None = None, **options: Any) -> Json:
        """Register a URL. Accepts the options of `POST /v1/endpoints`: `events`, `filter`, `rate` ..."""
        return await self._object(calls.create("/v1/endpoints", {"url": url, **options}, idempotency_key))

    async def endpoint(self, id: str, **query: Any) -> Json:
        """One endpoint, with its health."""
        return await self._object(calls.read(calls.at("endpoints", id), **query))

    def endpoints(self, **query: Any) -> AsyncIterator[Json]:
        """Endpoints, newest first."""
        return self.pages("/v1/endpoints", **query)

    async def edit_endpoint(self, id: str, changes: Mapping[str, Any], revision: int | None = None) -> Json:
        """Change some fields (merge patch). Raises Stale if `revision` is not the current one."""
        return await self._object(calls.edit(calls.at("endpoints", id), changes, revision))

    async def delete_endpoint(self, id: str) -> None:
        """Delete an endpoint; its waiting deliveries are cancelled."""
        await self.send(calls.delete(calls.at("endpoints", id)))

    async def pause_endpoint(self, id: str, reason: str | None = None) -> Json:
        """Send nothing for now; deliveries wait in the meantime."""
        return await self._object(calls.verb(calls.at("endpoints", id), "pause", calls.given(reason=reason)))

    async def resume_endpoint(self, id: str, missed: str = "send") -> Json:
        """Send again. `missed`: `send` the deliveries that waited, or `cancel` them."""
        return await self._object(calls.verb(calls.at("endpoints", id), "resume", {"missed": missed}))

    async def test_endpoint(self, id: str) -> Json:
        """Send a test event to this endpoint only."""
        return await self._object(calls.verb(calls.at("endpoints", id), "test", repeatable=False))

    async def try_endpoint(self, url: str, **options: Any) -> Json:
        """Send a test event to an endpoint that is not registered; returns its response."""
        return await self._object(calls.verb("/v1/endpoints", "try", {"url": url, **options}))

    async def endpoint_secret(self, id: str) -> Json:
        """The secret that webhooks are signed with."""
        return await self._object(calls.read(calls.at("endpoints", id, "secret")))

    async def rotate_endpoint_secret(
        self,
        id: str,
        *,
        overlap_seconds: int | None = None,
        secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Sign with a new secret; the previous one also signs for `overlap_seconds`."""
        body = calls.given(overlap_seconds=overlap_seconds, secret=secret)
        return await self._object(calls.create(calls.at("endpoints", id, "secret"), body, idempotency_key))

    # --- deliveries and replays ---------------------------------------------------------------------------------------

    async def delivery(self, id: str) -> Json:
        """One delivery with every attempt."""
        return await self._object(calls.read(calls.at("deliveries", id)))

    def deliveries(self, **query: Any) -> AsyncIterator[Json]:
        """Deliveries, newest first. Parameters: `state`, `endpoint`, `event`, `type`, `outcome`, `status`, times."""
        return self.pages("/v1/deliveries", **query)

    async def retry_delivery(self, id: str) -> Json:
        """Retry a delivery now."""
        return await self._object(calls.verb(calls.at("deliveries", id), "retry", repeatable=False))

    async def cancel_delivery(self, id: str) -> Json:
        """Cancel a waiting delivery."""
        return await self._object(calls.verb(calls.at("deliveries", id), "cancel"))

    async def create_replay(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> Json:
        """Send a time range of events again, to an endpoint or a link. The body is that of `POST /v1/replays`."""
        return await self._object(calls.create("/v1/replays", dict(body), idempotency_key))

    async def replay(self, id: str) -> Json:
        """A replay and its progress."""
        return await self._object(calls.read(calls.at("replays", id)))

    def replays(self, **query: Any) -> AsyncIterator[Json]:
        """Replays, newest first."""
        return self.pages("/v1/replays", **query)

    async def cancel_replay(self, id: str) -> Json:
        """Stop a replay; deliveries already sent are not undone."""
        return await self._object(calls.verb(calls.at("replays", id), "cancel"))

    # --- hooks and requests to them -----------------------------------------------------------------------------------

    async def create_hook(
        self, path: str, scheme: str | Mapping[str, Any], *, idempotency_key: str | None = None, **options: Any
    ) -> Json:
        """Declare a URL for another system's webhooks. Accepts the options of `POST /v1/hooks`: `secrets` ..."""
        body = {"path": path, "scheme": scheme, **options}
        return await self._object(calls.create("/v1/hooks", body, idempotency_key))

    async def hook(self, id: str) -> Json:
        """One hook, without its secrets."""
        return await self._object(calls.read(calls.at("hooks", id)))

    def hooks(self, **query: Any) -> AsyncIterator[Json]:
        """Hooks, by path."""
        return self.pages("/v1/hooks", **query)

    async def edit_hook(self, id: str, changes: Mapping[str, Any], revision: int | None = None) -> Json:
        """Change some fields (merge patch). Raises Stale if `revision` is not the current one."""
        return await self._object(calls.edit(calls.at("hooks", id), changes, revision))

    async def delete_hook(self, id: str) -> None:
        """Delete a hook; its events and receipts are kept."""
        await self.send(calls.delete(calls.at("hooks", id)))

    async def receipt(self, id: str) -> Json:
        """One request to a hook or form, with headers and body."""
        return await self._object(calls.read(calls.at("receipts", id)))

    def receipts(self, **query: Any) -> AsyncIterator[Json]:
        """Requests to hooks and forms, newest first. Parameters: `hook`, `form`, `tenant`."""
        return self.pages("/v1/receipts", **query)

    def receipt_body(self, id: str) -> AsyncGenerator[bytes]:
        """The body of a request to a hook or form, byte for byte, in chunks."""
        return self.download(calls.read(calls.at("receipts", id, "body")))

    def refusals(self, **query: Any) -> AsyncIterator[Json]:
        """Requests that hooks and forms refused, newest first. Parameters: `hook`, `form`, `tenant`."""
        return self.pages("/v1/refusals", **query)

    async def retry_refusal(self, id: str, idempotency_key: str | None = None) -> Json:
        """Check a refused request again, and accept it if it is now genuine. Raises Conflict if it is still refused."""
        return await self._object(calls.create(f"{calls.at('refusals', id)}:retry", None, idempotency_key))

    def schemes(self, **query: Any) -> AsyncIterator[Json]:
        """The senders whose webhooks can be verified, by name."""
        return self.pages("/v1/schemes", **query)

    async def scheme(self, name: str) -> Json:
        """One scheme, with its form and a signed sample."""
        return await self._object(calls.read(calls.at("schemes", name)))

    # --- collections and items ----------------------------------------------------------------------------------------

    def items(self, collection: str, tenant: str | None = None) -> AsyncItems:
        """The items of a collection. `tenant`: whose items, for keys without a tenant."""
        return AsyncItems(self, collection, tenant)

    def collections(self, **query: Any) -> AsyncIterator[Json]:
        """The declarations of collections."""
        return self.pages(item_calls.COLLECTIONS, **query)

    async def collection(self, name: str) -> Json:
        """One declaration."""
        return await self._object(calls.read(calls.at("collections", name)))

    async def put_collection(self, name: str, declaration: Mapping[str, Any], revision: int | None = None) -> Json:
        """Declare a collection, or replace its declaration."""
        return await self._object(item_calls.put_collection(name, declaration, revision))

    async def delete_collection(self, name: str) -> None:
        """Delete a collection and its items."""
        await self.send(calls.delete(calls.at("collections", name)))

    async def plan(self, collections: Mapping[str, Any], *, prune: bool = False) -> Json:
        """Returns what `apply` would do with these declarations (by name). Changes nothing."""
        return await self._object(item_calls.plan(collections, prune=prune))

    async def apply(
        self,
        collections: Mapping[str, Any],
        *,
        prune: bool = False,
        plan: str | None = None,
        drop_values: bool = False,
    ) -> Json:
        """Apply these declarations. `plan`: only if it is still current. `drop_values`: even if values are lost."""
        return await self._object(item_calls.apply(collections, prune=prune, plan=plan, drop_values=drop_values))

    # --- event types, tenants and keys --------------------------------------------------------------------------------

    def event_types(self, **query: Any) -> AsyncIterator[Json]:
        """Declared event types, by name."""
        return self.pages("/v1/event-types", **query)

    async def event_type(self, name: str) -> Json:
        """One event type, with its schema."""
        return await self._object(calls.read(calls.at("event-types", name)))

    async def put_event_type(self, name: str, revision: int | None = None, **more: Any) -> Json:
        """Declare an event type, or replace its declaration. `more`: `description`, `schema`, `example`."""
        return await self._object(calls.put(calls.at("event-types", name), more, revision))

    async def delete_event_type(self, name: str) -> None:
        """Delete the declaration of an event type; its events are kept."""
        await self.send(calls.delete(calls.at("event-types", name)))

    async def create_tenant(self, id: str, *, idempotency_key: str | None = None, **more: Any) -> Json:
        """Declare a tenant. `more`: `name`, and other fields of `POST /v1/tenants`."""
        return await self._object(calls.create("/v1/tenants", {"id": id, **more}, idempotency_key))

    async def tenant(self, id: str) -> Json:
        """One tenant."""
        return await self._object(calls.read(calls.at("tenants", id)))

    def tenants(self, **query: Any) -> AsyncIterator[Json]:
        """Tenants."""
        return self.pages("/v1/tenants", **query)

    async def delete_tenant(self, id: str) -> None:
        """Delete a tenant."""
        await self.send(calls.delete(calls.at("tenants", id)))

    async def create_key(
        self, name: str, scopes: Sequence[str] = (), *, idempotency_key: str | None = None, **more: Any
    ) -> Json:
        """Create a key, which is shown only once. `more`: `permits`, `tenant`, `limits`, `expires`, `cors_origins`."""
        body = {"name": name, "scopes": list(scopes), **more}
        return await self._object(calls.create("/v1/keys", body, idempotency_key))

    def keys(self, **query: Any) -> AsyncIterator[Json]:
        """Keys, newest first. The keys themselves are not shown."""
        return self.pages("/v1/keys", **query)

    async def revoke_key(self, id: str) -> None:
        """Revoke a key."""
        await self.send(calls.delete(calls.at("keys", id)))

    async def _object(self, request: ClientRequest) -> Json:
        return object_of(await self.send(request))
