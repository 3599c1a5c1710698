"""The items of one collection, through the async client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from tidings.client import calls
from tidings.client.exchange import ClientRequest, Loads, object_of, page_of
from tidings.client.item_calls import ItemCalls, Json, Rows, create_at, results_of
from tidings.client.uploads import AsyncSource, Sent, upload_of


class AsyncSends(Protocol):
    """What items need from a client."""

    loads: Loads

    async def send(self, request: ClientRequest) -> Any:
        """Make any call; returns the response's JSON value. Raises ClientError."""

    def download(self, request: ClientRequest) -> AsyncGenerator[bytes]:
        """Make a call that returns a file; yields it in chunks. Raises ClientError."""


class AsyncSendsPages(AsyncSends, Protocol):
    """What links and forms need from the client."""

    def pages(self, path: str, **query: Any) -> AsyncIterator[Json]:
        """Every entry of a list, page after page. Raises ClientError."""


class AsyncItems:
    """`client.items("tasks")`: read, ask, change, import and export.

    Each change has an idempotency key, so a retry changes nothing twice. An outdated `revision` raises Stale; a unique
    value that another item already has raises UniqueTaken.
    """

    def __init__(self, client: AsyncSends, collection: str, tenant: str | None = None) -> None:
        self._client = client
        self._calls = ItemCalls(collection, tenant)
        self.collection = collection

    def list(self, /, **query: Any) -> AsyncIterator[Json]:
        """Items, newest first, page after page. Filter by fields: `done=False`, `price__gte=10`, `q="..."`.

        Also `sort`, `fields`, `expand`, and `limit`, the number per call.
        """
        return self._pages(query, None)

    def ask(self, question: str, /, **parameters: Any) -> AsyncIterator[Json]:
        """The items that match one of the collection's questions. All of its parameters are required."""
        return self._pages(parameters, question)

    async def get(self, id: str, **query: Any) -> Json:
        """One item. `expand="owner"` also returns the item behind a reference; `fields` limits the members returned."""
        return object_of(await self._client.send(self._calls.get(id, query)))

    async def create(
        self, data: Mapping[str, Any], id: str | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        """Create an item, optionally with your own `id`. Raises IdTaken if an item has that id."""
        if id is None:
            return object_of(await self._client.send(self._calls.create(data, idempotency_key)))
        [result] = await self.batch(create_at(id, data), idempotency_key=idempotency_key)
        return object_of(result["item"])

    async def put(
        self, id: str, data: Mapping[str, Any], revision: int | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        """Create or replace the item with this id: fields missing from `data` get their defaults."""
        return object_of(await self._client.send(self._calls.put(id, data, revision, idempotency_key)))

    async def edit(
        self, id: str, changes: Mapping[str, Any], revision: int | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        """Change some fields (merge patch): omitted fields are kept, None removes a value."""
        return object_of(await self._client.send(self._calls.edit(id, changes, revision, idempotency_key)))

    async def delete(self, id: str, revision: int | None = None, *, idempotency_key: str | None = None) -> None:
        """Delete an item. Raises Referenced while other items refer to it."""
        await self._client.send(self._calls.delete(id, revision, idempotency_key))

    async def batch(
        self, operations: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> Sequence[Json]:
        """Up to 1,000 operations, all or none: `{"op": "edit", "id": ..., "data": {...}}`, also create, put, delete.

        The result has a `status` and an `item` for each.
        """
        return results_of(await self._client.send(self._calls.batch(operations, idempotency_key)))

    async def import_(
        self,
        source: AsyncSource,
        format: str | None = None,
        *,
        partial: bool = False,
        on_conflict: str = "refuse",
        sent: Sent | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Import a file (a path, an open binary file, or bytes; CSV or NDJSON) or rows (dicts, from any iterable).

        Either everything is imported or nothing, unless `partial`. `on_conflict` says what to do with rows whose `id`
        already exists: `refuse`, `replace`, `merge` or `skip`. `sent` is called with the number of bytes sent so far.
        The result counts what was created, replaced and so on. Raises ImportRefused with the first bad lines.
        """
        query = {"partial": partial, "on_conflict": on_conflict}
        request = self._calls.import_(upload_of(source, format, sent), query, idempotency_key)
        return object_of(await self._client.send(request))

    async def export(self, /, **query: Any) -> AsyncIterator[Json]:
        """Every item, oldest first, in one response that is read as it arrives. Accepts the same filters as `list`."""
        rows = Rows(self._client.loads)
        async with aclosing(self.export_file("ndjson", **query)) as pieces:
            async for piece in pieces:
                for row in rows.feed(piece):
                    yield row

    def export_file(self, format: str = "csv", /, **query: Any) -> AsyncGenerator[bytes]:
        """Every item, like `export`, as the bytes of a `csv` or `ndjson` file that `import_` accepts.

        May raise ConnectionFailed midway.
        """
        return self._client.download(self._calls.export(format, query))

    async def _pages(self, query: Mapping[str, Any], question: str | None) -> AsyncIterator[Json]:
        cursor: str | None = None
        while True:
            items, cursor = page_of(await self._client.send(self._calls.page(query, cursor, question)))
            for item in items:
                yield item
            if cursor is None:
                return


class AsyncConnectionCalls:
    """`client.connections`: how links reach other systems. Secrets are shown as `***`; sending `***` keeps a secret."""

    def __init__(self, client: AsyncSendsPages) -> None:
        self._client = client

    def list(self, /, **query: Any) -> AsyncIterator[Json]:
        """Connections, by name, page after page."""
        return self._client.pages("/v1/connections", **query)

    async def get(self, name: str) -> Json:
        """One connection."""
        return object_of(await self._client.send(calls.read(calls.at("connections", name))))

    async def put(self, name: str, declaration: Mapping[str, Any], revision: int | None = None) -> Json:
        """Declare a connection, or replace its declaration."""
        return object_of(await self._client.send(calls.put(calls.at("connections", name), declaration, revision)))

    async def delete(self, name: str) -> None:
        """Delete a connection that no link uses."""
        await self._client.send(calls.delete(calls.at("connections", name)))

    async def test(self, name: str, path: str | None = None) -> Json:
        """Test whether the other system can be reached and accepts the credentials, with a GET of `path` if given."""
        body = {} if path is None else {"path": path}
        return object_of(await self._client.send(calls.verb(calls.at("connections", name), "test", body)))


class AsyncLinkCalls:
    """`client.links`: links edit items or call other systems. Declare them here, or in a file with `tidings apply`."""

    def __init__(self, client: AsyncSendsPages) -> None:
        self._client = client

    def list(self, /, **query: Any) -> AsyncIterator[Json]:
        """Links, by name, page after page. Filter by `state` and `tenant`."""
        return self._client.pages("/v1/links", **query)

    async def get(self, name: str, **query: Any) -> Json:
        """One link. `counts=True` also returns how many deliveries are waiting for it."""
        return object_of(await self._client.send(calls.read(calls.at("links", name), **query)))

    async def put(self, name: str, declaration: Mapping[str, Any], revision: int | None = None) -> Json:
        """Declare a link, or replace its declaration."""
        return object_of(await self._client.send(calls.put(calls.at("links", name), declaration, revision)))

    async def delete(self, name: str) -> None:
        """Delete a link; its waiting deliveries are cancelled."""
        await self._client.send(calls.delete(calls.at("links", name)))

    async def pause(self, name: str, reason: str | None = None) -> Json:
        """Pause a link; deliveries wait in the meantime."""
        body = calls.given(reason=reason)
        return object_of(await self._client.send(calls.verb(calls.at("links", name), "pause", body)))

    async def resume(self, name: str, missed: str = "send") -> Json:
        """Resume a link. `missed`: `send` the deliveries that waited, or `cancel` them."""
        body = {"missed": missed}
        return object_of(await self._client.send(calls.verb(calls.at("links", name), "resume", body)))

    async def test(self, name: str, *, event_id: str | None = None, event: Mapping[str, Any] | None = None) -> Json:
        """The exact edit or call that a link would make for a stored event, or for the given one. Nothing is changed.

        A link with a timer needs neither.
        """
        body = calls.given(event_id=event_id, event=event)
        return object_of(await self._client.send(calls.verb(calls.at("links", name), "test", body)))

    async def reset(self, name: str, *, mirror: bool = False, kept: bool = False, subject: str | None = None) -> Json:
        """Reset a link that polls; with `mirror`, as if it had never read anything.

        `kept`: instead delete the values that it has kept from responses, for one `subject` or for all.
        """
        body = calls.given(mirror=mirror or None, kept=kept or None, subject=subject)
        return object_of(await self._client.send(calls.verb(calls.at("links", name), "reset", body)))

    async def secret(self, name: str) -> Json:
        """The secret that a link signs its requests with, if the server generated it."""
        return object_of(await self._client.send(calls.read(calls.at("links", name, "secret"))))

    async def kept(self, name: str, subject: str, tenant: str | None = None) -> Json:
        """The values that links through its connection have kept for a subject. Raises NotFound."""
        query = calls.given(subject=subject, tenant=tenant)
        return object_of(await self._client.send(calls.read(calls.at("links", name, "kept"), **query)))

    async def run(self, name: str) -> Json:
        """Run a link with a timer now; returns the event. This is refused until its last run has ended."""
        return object_of(await self._client.send(calls.verb(calls.at("links", name), "run", repeatable=False)))


class AsyncFormCalls:
    """`client.forms`: pages that people fill in."""

    def __init__(self, client: AsyncSendsPages) -> None:
        self._client = client

    def list(self, **query: Any) -> AsyncIterator[Json]:
        """Forms, by path. Parameters: `tenant`, `sort`, `limit`."""
        return self._client.pages("/v1/forms", **query)

    async def get(self, id: str) -> Json:
        """One form."""
        return object_of(await self._client.send(calls.read(calls.at("forms", id))))

    async def create(
        self, path: str, fields: Mapping[str, Any], *, idempotency_key: str | None = None, **options: Any
    ) -> Json:
        """Declare a form. Accepts the options of `POST /v1/forms`: `title`, `thanks`, `origins` ..."""
        body = {"path": path, "fields": dict(fields), **options}
        return object_of(await self._client.send(calls.create("/v1/forms", body, idempotency_key)))

    async def put(self, id: str, form: Mapping[str, Any], revision: int | None = None) -> Json:
        """Replace a form; omitted settings get their defaults. Raises Stale if `revision` is not the current one."""
        return object_of(await self._client.send(calls.put(calls.at("forms", id), form, revision)))

    async def edit(self, id: str, changes: Mapping[str, Any], revision: int | None = None) -> Json:
        """Change some settings (merge patch). Raises Stale if `revision` is not the current one."""
        return object_of(await self._client.send(calls.edit(calls.at("forms", id), changes, revision)))

    async def delete(self, id: str) -> None:
        """Delete a form; its events and submissions are kept."""
        await self._client.send(calls.delete(calls.at("forms", id)))


class AsyncPortalCalls:
    """`client.portal`: links that let a tenant's people manage their own endpoints."""

    def __init__(self, client: AsyncSendsPages) -> None:
        self._client = client

    async def create_link(self, tenant: str, *, idempotency_key: str | None = None, **options: Any) -> Json:
        """Create a link. Its `url` is only in this response, and can be opened only once.

        Options: `expires_in`, `may`, `frame_origins`, `theme`, `return_url`.
        """
        path = calls.at("tenants", tenant, "portal-links")
        return object_of(await self._client.send(calls.create(path, options, idempotency_key)))

    def links(self, tenant: str, /, **query: Any) -> AsyncIterator[Json]:
        """A tenant's links, newest first, without their tokens."""
        return self._client.pages(calls.at("tenants", tenant, "portal-links"), **query)

    async def link(self, id: str) -> Json:
        """One link."""
        return object_of(await self._client.send(calls.read(calls.at("portal-links", id))))

    async def revoke_link(self, id: str) -> None:
        """Revoke a link, and end its session."""
        await self._client.send(calls.delete(calls.at("portal-links", id)))

    async def revoke_links(self, tenant: str) -> Json:
        """Revoke all links of a tenant, and end their sessions; `revoked` is the number of links."""
        path = calls.at("tenants", tenant, "portal-links")
        return object_of(await self._client.send(calls.verb(path, "revoke-all")))
