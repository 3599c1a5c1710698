"""The calls on collections and their items as requests, made once for both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tidings.client.calls import at, given, moment
from tidings.client.errors import BadAnswer
from tidings.client.exchange import ClientRequest, Loads, new_idempotency_key
from tidings.client.uploads import MEDIA, Upload

IMPORT_SECONDS = 3600.0
"""How many seconds longer than usual the response to an import may take: it is sent once everything is stored."""

Json = dict[str, Any]


class ItemCalls:
    """The requests on one collection's items. `tenant`: whose items, for keys without a tenant."""

    def __init__(self, collection: str, tenant: str | None) -> None:
        self._path = f"/v1/items/{quote(collection, safe='')}"
        self._tenant = given(tenant=tenant)

    def page(self, query: Mapping[str, Any], cursor: str | None, question: str | None = None) -> ClientRequest:
        """A page of a list, or of a question's result."""
        path = self._path if question is None else f"{self._path}:{quote(question, safe='')}"
        return ClientRequest("GET", path, {**self._query(query), **given(cursor=cursor)})

    def get(self, id: str, query: Mapping[str, Any]) -> ClientRequest:
        """One item."""
        return ClientRequest("GET", self._at(id), self._query(query))

    def create(self, data: Mapping[str, Any], idempotency_key: str | None) -> ClientRequest:
        """A new item."""
        return self._change("POST", self._path, dict(data), None, idempotency_key)

    def put(self, id: str, data: Mapping[str, Any], revision: int | None, idempotency_key: str | None) -> ClientRequest:
        """The item at this id, created or replaced."""
        return self._change("PUT", self._at(id), dict(data), revision, idempotency_key)

    def edit(
        self, id: str, changes: Mapping[str, Any], revision: int | None, idempotency_key: str | None
    ) -> ClientRequest:
        """Some fields of an item."""
        return self._change("PATCH", self._at(id), dict(changes), revision, idempotency_key)

    def delete(self, id: str, revision: int | None, idempotency_key: str | None) -> ClientRequest:
        """Delete an item."""
        return self._change("DELETE", self._at(id), None, revision, idempotency_key)

    def batch(self, operations: Sequence[Mapping[str, Any]], idempotency_key: str | None) -> ClientRequest:
        """Many operations, all or none."""
        return self._change(
            "POST", f"{self._path}:batch", {"operations": [dict(each) for each in operations]}, None, idempotency_key
        )

    def import_(self, upload: Upload, query: Mapping[str, Any], idempotency_key: str | None) -> ClientRequest:
        """A file of items."""
        headers = {"Content-Type": upload.media, "Idempotency-Key": idempotency_key or new_idempotency_key()}
        return ClientRequest(
            "POST",
            f"{self._path}:import",
            self._query(query),
            headers=headers,
            extra_seconds=IMPORT_SECONDS,
            upload=upload,
        )

    def export(self, format: str, query: Mapping[str, Any]) -> ClientRequest:
        """Items as a file."""
        if format not in MEDIA:
            raise ValueError(f"The format must be csv or ndjson, not {format!r}.")
        query = {**self._query(query), "format": format}
        return ClientRequest(
            "GET", f"{self._path}:export", query, headers={"Accept": f"{MEDIA[format]}, application/json"}
        )

    def _at(self, id: str) -> str:
        return f"{self._path}/{quote(id, safe='')}"

    def _query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._tenant, **{name: _plain(value) for name, value in query.items()}}

    def _change(
        self, method: str, path: str, body: Any, revision: int | None, idempotency_key: str | None
    ) -> ClientRequest:
        """A change, with an idempotency key, so that a repeat gets the same response as the first time."""
        headers = {"Idempotency-Key": idempotency_key or new_idempotency_key()}
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        return ClientRequest(method, path, self._tenant, body, headers)


def results_of(value: Any) -> list[Json]:
    """The results of a batch. Raises BadAnswer."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        raise BadAnswer("The response is not a batch result. Is this the URL of a Tidings server?")
    return list(value["results"])


def create_at(id: str, data: Mapping[str, Any]) -> list[Json]:
    """The batch that creates an item with the caller's own id, and never changes an existing one."""
    return [{"op": "create", "id": id, "data": dict(data)}]


class Rows:
    """Takes the chunks of an NDJSON file and returns the complete rows."""

    def __init__(self, loads: Loads) -> None:
        self._loads, self._rest = loads, b""

    def feed(self, piece: bytes) -> list[Json]:
        """The rows that end in this chunk. Raises BadAnswer."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        try:
            return [self._loads(line) for line in lines if line]
        except ValueError:
            raise BadAnswer("The response is not NDJSON. Is this the URL of a Tidings server?") from None


# --- collections ------------------------------------------------------------------------------------------------------

COLLECTIONS = "/v1/collections"
DECLARE_SECONDS = 3600.0
"""How many seconds longer a response may take if the server first goes through all items."""


def put_collection(name: str, declaration: Mapping[str, Any], revision: int | None) -> ClientRequest:
    """`PUT /v1/collections/{name}`."""
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    return ClientRequest(
        "PUT", at("collections", name), body=dict(declaration), headers=headers, extra_seconds=DECLARE_SECONDS
    )


def plan(collections: Mapping[str, Any], *, prune: bool) -> ClientRequest:
    """`POST /v1/collections:plan`, which changes nothing."""
    return declared("plan", {"collections": dict(collections), "prune": prune}, repeatable=True)


def apply(collections: Mapping[str, Any], *, prune: bool, plan: str | None, drop_values: bool) -> ClientRequest:
    """`POST /v1/collections:apply`. If it is repeated, the second one changes nothing."""
    body = {"collections": dict(collections), "prune": prune, **given(plan=plan)}
    if drop_values:
        body["drop_values"] = True
    return declared("apply", body, repeatable=plan is None)


def declared(verb: str, body: dict[str, Any], *, repeatable: bool) -> ClientRequest:
    """`POST /v1/collections:plan` or `:apply`."""
    path = f"{COLLECTIONS}:{verb}"
    return ClientRequest("POST", path, body=body, repeatable=repeatable, extra_seconds=DECLARE_SECONDS)


def declared_links(verb: str, body: dict[str, Any], *, repeatable: bool) -> ClientRequest:
    """`POST /v1/links:plan` or `:apply`."""
    return ClientRequest("POST", f"/v1/links:{verb}", body=body, repeatable=repeatable)


def _plain(value: Any) -> Any:
    """A query value: times as text, lists one value at a time."""
    if isinstance(value, list | tuple):
        return [moment(each) for each in value]
    return moment(value)
