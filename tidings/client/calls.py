"""The calls of the API as requests, made once for both clients."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tidings.client.exchange import ClientRequest, new_idempotency_key

When = str | datetime
"""A time: RFC 3339 text, or an aware datetime."""
BATCH_BYTES_MAX = 900_000
"""The maximum size of a batch to send. It is below both default limits of a server: `max_body_bytes` and
`max_batch_bytes`.
"""


def publish(
    type: str,
    data: Any,
    *,
    subject: str | None = None,
    id: str | None = None,
    time: When | None = None,
    tenant: str | None = None,
    idempotency_key: str | None = None,
) -> ClientRequest:
    """`POST /v1/events`."""
    event = {"type": type, "data": data, **given(subject=subject, id=id, time=moment(time), tenant=tenant)}
    return create("/v1/events", event, idempotency_key)


def publish_batch(events: Sequence[Mapping[str, Any]], idempotency_key: str | None = None) -> ClientRequest:
    """`POST /v1/events:batch`."""
    return create("/v1/events:batch", {"events": list(events)}, idempotency_key)


def event_text(fields: Mapping[str, Any], data: str) -> bytes:
    """An event as JSON. `data` is JSON text that is inserted unchanged, so that numbers keep every digit."""
    return f'{json.dumps(fields)[:-1]}, "data": {data}}}'.encode()


def create(path: str, body: Any, idempotency_key: str | None = None) -> ClientRequest:
    """A POST that creates something, with an idempotency key, so that a repeat creates nothing twice."""
    return ClientRequest("POST", path, body=body, headers={"Idempotency-Key": idempotency_key or new_idempotency_key()})


def read(path: str, **query: Any) -> ClientRequest:
    """A GET."""
    return ClientRequest("GET", path, {name: moment(value) for name, value in query.items()})


def catch_up(after: str, wait_seconds: int, limit: int, **query: Any) -> ClientRequest:
    """`GET /v1/events?after=`, the long poll."""
    fields = {"after": after, "wait": wait_seconds, "limit": limit, **query}
    return ClientRequest("GET", "/v1/events", fields, extra_seconds=wait_seconds)


def edit(path: str, changes: Mapping[str, Any], revision: int | None) -> ClientRequest:
    """A PATCH. With a revision it is repeatable: the second one changes nothing."""
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    return ClientRequest("PATCH", path, body=dict(changes), headers=headers, repeatable=revision is None)


def put(path: str, body: Mapping[str, Any], revision: int | None) -> ClientRequest:
    """A PUT, which is repeatable."""
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    return ClientRequest("PUT", path, body=dict(body), headers=headers)


def delete(path: str) -> ClientRequest:
    """A DELETE."""
    return ClientRequest("DELETE", path)


def verb(path: str, name: str, body: Any = None, *, repeatable: bool = True) -> ClientRequest:
    """A custom verb: `POST /v1/deliveries/{id}:retry`."""
    return ClientRequest("POST", f"{path}:{name}", body=body, repeatable=repeatable)


def at(collection: str, id: str, *more: str) -> str:
    """The path of one object; its id may be any text."""
    return "/".join([f"/v1/{collection}", quote(id, safe=""), *more])


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def moment(value: Any) -> Any:
    """A datetime as RFC 3339 text; anything else unchanged. Raises ValueError for a datetime without a zone."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a datetime needs a time zone, as in datetime.now(UTC)")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
