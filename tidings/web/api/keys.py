"""The operations on keys. A key's text is shown once, when it is made; only its hash is stored."""

from __future__ import annotations

import msgspec

from tidings.control.keys import MadeKey, NewKey
from tidings.model.access import EVERYTHING, SCOPES
from tidings.views.keys import CreatedKey, KeyView, created_key, key_view
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import PAGING, SortedPage, SortKey
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Keys"


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of keys, newest first."""

    data: list[KeyView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


SORTS: dict[str, SortKey] = {
    "created": lambda key: key.created,
    "name": lambda key: key.name,
    "id": lambda key: key.id,
}


async def list_keys(parts: Parts, request: Request) -> Answer:
    """Keys, newest first by default, revoked ones included."""
    keys = parts.keys.visible(request.caller, request.query.get("tenant"))
    page = SortedPage(request, keys, SORTS, lambda key: key.id)
    return page.answer([key_view(key) for key in page.shown])


async def create_key(parts: Parts, request: Request) -> Answer:
    """Make a key, which can do no more than the key that makes it."""

    def answer(made: MadeKey) -> Answer:
        return Answer(201, created_key(made), [("location", f"/v1/keys/{made.key.id}")])

    return await parts.keys.create(request.caller, request.body, run_once(parts, request, answer))


async def get_key(parts: Parts, request: Request) -> Answer:
    """Read one key."""
    return Answer(200, key_view(parts.keys.find(request.caller, request.path["id"])))


async def delete_key(parts: Parts, request: Request) -> Answer:
    """Revoke a key, from the next request on."""
    await parts.keys.revoke(request.caller, request.path["id"], parts.writer.call)
    return Answer(204)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_keys",
        method="GET",
        path="/v1/keys",
        scope="keys:read",
        summary="List keys",
        handler=list_keys,
        tag=TAG,
        response=KeyList,
        sorts=("-created", "created", "-name", "name", "-id", "id"),
        sorts_max=3,
        parameters=(
            Parameter(
                name="tenant", schema={"type": "string", "maxLength": 64}, help="Return only this tenant's keys."
            ),
            *PAGING,
        ),
    ),
    Operation(
        name="create_key",
        method="POST",
        path="/v1/keys",
        scope="keys:write",
        summary="Make a key",
        help=(
            "The response contains the key, which is never shown again. You can grant only scopes that your own key "
            "has. "
            f"The scopes: {', '.join(SCOPES)}; `{EVERYTHING}` means all."
        ),
        handler=create_key,
        tag=TAG,
        request=NewKey,
        response=CreatedKey,
        status=201,
        idempotent_key=True,
        secret=True,
        example={"name": "shop", "scopes": ["events:write"], "limits": [{"calls": 100, "seconds": 1}]},
    ),
    Operation(
        name="get_key",
        method="GET",
        path="/v1/keys/{id}",
        scope="keys:read",
        summary="Read a key",
        handler=get_key,
        tag=TAG,
        response=KeyView,
    ),
    Operation(
        name="delete_key",
        method="DELETE",
        path="/v1/keys/{id}",
        scope="keys:write",
        summary="Revoke a key",
        help=(
            "The revoked key is refused from the next request on. The key's entry is kept, with the time of the "
            "revocation. Your key can revoke only itself and keys that it could have created, that is, keys "
            "whose scopes, permits and tenant do not go beyond those of your key."
        ),
        handler=delete_key,
        tag=TAG,
        status=204,
    ),
)
