"""For Python users: call a Tidings server, and verify its webhooks. The transport needs only the standard library.

    from tidings.client import Client, verify

    client = Client("https://tidings.example.com", key="tdk_...")
    client.publish("tasks.completed", {"id": 7})
    tasks = client.items("tasks")
    for task in tasks.list(done=False):
        tasks.edit(task["id"], {"done": True})

`AsyncClient` has the same methods, to be awaited. `verify` is for receivers of webhooks; `tidings.client.adapters`
has it as a decorator for FastAPI, Starlette, Django and Flask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidings.client.client import Client
from tidings.client.errors import (
    ApiError,
    BadAnswer,
    ClientError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    IdTaken,
    ImportRefused,
    Invalid,
    LimitReached,
    Malformed,
    NotFound,
    Referenced,
    ServerFault,
    Stale,
    Unauthorized,
    Unavailable,
    UniqueTaken,
)
from tidings.client.webhook import BadSignature, verify

if TYPE_CHECKING:
    from tidings.client.async_client import AsyncClient

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadAnswer",
    "BadSignature",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "Gone",
    "IdTaken",
    "ImportRefused",
    "Invalid",
    "LimitReached",
    "Malformed",
    "NotFound",
    "Referenced",
    "ServerFault",
    "Stale",
    "Unauthorized",
    "Unavailable",
    "UniqueTaken",
    "verify",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # asyncio takes longer to load than everything else, so it is not loaded unless it is needed.
    if name == "AsyncClient":
        from tidings.client.async_client import AsyncClient

        globals()[name] = AsyncClient
        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
