"""Hooks: URLs that receive other systems' webhooks, and the receipts of requests to them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.model.moment import Micros

Method = Literal["POST", "PUT", "PATCH", "GET", "DELETE"]
Repeats = Literal["delivery", "content", "accept"]
"""How a repeat is recognized: by the sender's delivery id, or by the content if the scheme has no such id; by the
content alone; or not at all, so that each request becomes a new event."""
State = Literal["accepted", "refused"]
"""The result of a request: it became an event (`accepted`), or was not let in (`refused`)."""


class HookOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a hook's owner chooses. Stored as one JSON text."""

    path: str
    """The part of the hook's URL after `/in/`."""
    scheme: str | dict[str, Any]
    """The name of a signature scheme, or the declaration of the owner's own scheme (rules/schemes/form.py)."""
    settings: dict[str, str] = {}
    """The settings that the scheme requires in addition to secrets."""
    description: str = ""
    type: str = ""
    """The type of the hook's events, or a template of it. `{type}` is replaced by the sender's name for the type."""
    subject: str = ""
    """Where requests contain the subject of the event, such as `json:data.id`."""
    key: str = ""
    """A template for the event's subject, which also identifies repeats; if empty, `subject` and `repeats` apply."""
    data: Any = None
    """A template for the data of the hook's events; None if their data is the whole body."""
    methods: tuple[Method, ...] = ("POST",)
    tolerance_seconds: float | None = None
    """The maximum age of a signature; None for the scheme's own limit."""
    max_bytes: int | None = None
    """The maximum size of a body, both as received and decompressed; None for the server's setting."""
    repeats: Repeats = "delivery"
    enabled: bool = True
    accepted: dict[str, Any] | None = None
    repeated: dict[str, Any] | None = None
    refused: dict[str, Any] | None = None
    """The response in each case, as in rules/schemes/form.py; None for the scheme's own response."""


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One hook, with the secrets that its senders sign with."""

    id: str
    tenant: str | None
    options: HookOptions
    secrets: tuple[str, ...]
    """The secrets, all of which are valid; encrypted at rest."""
    revision: int
    created: Micros
    updated: Micros


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a hook or form, as received: bytes, URL and headers."""

    id: str
    hook: str
    """The id of the hook or form that received it."""
    tenant: str | None
    state: State
    received: Micros
    client: str
    """The sender's address, without its port."""
    method: str
    target: str
    """Path and query, as received."""
    headers: tuple[tuple[str, str], ...]
    """In order, repeated ones too."""
    body: bytes
    event: str | None = None
    """The id of the event that the request became."""
    reason: str | None = None
    """Why the request was refused: a reason from rules/schemes/verdict.py, `handshake`, `schema` or `too_large`, or a
    reason for forms (intake/forms/receive.py)."""
    detail: str | None = None
    """The same as a sentence."""
    sealed: bool = False
    """Whether its URL and headers are encrypted, because they contain a credential."""
