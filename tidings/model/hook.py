"""Hooks: URLs that receive other systems' webhooks, and the receipts of requests to them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.model.moment import Micros

Method = Literal["POST", "PUT", "PATCH", "GET", "DELETE"]
Repeats = Literal["delivery", "content", "accept"]
"""How a repeat is recognized: the sender's delivery id (if its scheme has none, what was sent), what was sent alone, or
nothing, so that each is a new event."""
State = Literal["accepted", "refused"]
"""The result of a request: it became an event, or was not let in."""


class HookOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a hook's owner chooses. Stored as one JSON text."""

    path: str
    """What follows `/in/` in its URL."""
    scheme: str | dict[str, Any]
    """The name of a signature scheme, or a scheme of the owner's own (rules/schemes/form.py)."""
    settings: dict[str, str] = {}
    """What the scheme asks for besides secrets."""
    description: str = ""
    type: str = ""
    """The type of its events; `{type}` is replaced by the sender's name for it. It may be a template."""
    subject: str = ""
    """Where the subject of its events is found, such as `json:data.id`."""
    key: str = ""
    """A template of the subject that also tells repeats; if empty, `subject` and `repeats` do."""
    data: Any = None
    """A template for the data of its events; None for the whole body."""
    methods: tuple[Method, ...] = ("POST",)
    tolerance_seconds: float | None = None
    """How old a signature may be; None for the scheme's own limit."""
    max_bytes: int | None = None
    """How large a body may be, both as received and decompressed; None for the server's setting."""
    repeats: Repeats = "delivery"
    enabled: bool = True
    accepted: dict[str, Any] | None = None
    repeated: dict[str, Any] | None = None
    refused: dict[str, Any] | None = None
    """The answer in each case, if not the scheme's: an answer of rules/schemes/form.py."""


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One hook, with the secrets that its senders sign with."""

    id: str
    tenant: str | None
    options: HookOptions
    secrets: tuple[str, ...]
    """All of them are valid; sealed at rest."""
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
    """The address that sent it, without its port."""
    method: str
    target: str
    """Path and query, as received."""
    headers: tuple[tuple[str, str], ...]
    """In order, repeated ones too."""
    body: bytes
    event: str | None = None
    """The id of the event that it became."""
    reason: str | None = None
    """Why it was refused: one of the reasons of rules/schemes/verdict.py, `handshake`, `schema` or `too_large`,
    or one of those of forms (intake/forms/receive.py)."""
    detail: str | None = None
    """The same as a sentence."""
    sealed: bool = False
    """Its URL or headers hold a credential."""
