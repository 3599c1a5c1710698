"""Hooks and receipts as answers and pages show them: secrets never."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.hook import Hook, Method, Receipt, Repeats, State
from tidings.rules import schemes
from tidings.store.receipts import ReceiptRow


class HookView(msgspec.Struct, frozen=True, kw_only=True):
    """A hook. `url` is the URL to give to the sender, and `secret_count` the number of valid secrets."""

    id: str
    url: str
    path: str
    tenant: str | None
    scheme: str | dict[str, Any]
    settings: dict[str, str]
    secret_count: int
    description: str
    type: str
    subject: str
    key: str
    data: str | dict[str, Any] | None
    methods: tuple[Method, ...]
    tolerance_seconds: float | None
    max_bytes: int | None
    repeats: Repeats
    enabled: bool
    accepted: dict[str, Any] | None
    repeated: dict[str, Any] | None
    refused: dict[str, Any] | None
    revision: int
    created: str
    updated: str


class ReceiptSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a hook or form: when it arrived, from where, and the result. `bytes` is the size of its body.

    If it was refused, `reason` says why in a word, and `detail` in a sentence.
    """

    id: str
    hook_id: str | None
    form_id: str | None
    tenant: str | None
    state: State
    received: str
    client: str
    method: str
    target: str
    bytes: int
    event_id: str | None
    reason: str | None
    detail: str | None


class HeaderView(msgspec.Struct, frozen=True, kw_only=True):
    """One header of a request."""

    name: str
    value: str


class ReceiptView(ReceiptSummary, frozen=True, kw_only=True):
    """A request to a hook or form with its headers and body, byte for byte: as `text`, or in `base64` if it is not
    UTF-8.

    For a refused request, which is checked again with the hook's present secrets, `explanation` says what would have to
    change, and `signed` what should have been signed.
    """

    headers: list[HeaderView]
    text: str | None
    base64: str | None
    explanation: str | msgspec.UnsetType = msgspec.UNSET
    signed: str | msgspec.UnsetType | None = msgspec.UNSET


def hook_view(hook: Hook, base: str) -> HookView:
    """A hook. `base`: the server's public URL, without a trailing slash; empty if there is none."""
    options = hook.options
    return HookView(
        id=hook.id,
        url=f"{base}/in/{options.path}",
        path=options.path,
        tenant=hook.tenant,
        scheme=options.scheme,
        settings=options.settings,
        secret_count=len(hook.secrets),
        description=options.description,
        type=options.type,
        subject=options.subject,
        key=options.key,
        data=options.data,
        methods=options.methods,
        tolerance_seconds=options.tolerance_seconds,
        max_bytes=options.max_bytes,
        repeats=options.repeats,
        enabled=options.enabled,
        accepted=options.accepted,
        repeated=options.repeated,
        refused=options.refused,
        revision=hook.revision,
        created=moment.to_text(hook.created),
        updated=moment.to_text(hook.updated),
    )


def receipt_summary(row: ReceiptRow) -> ReceiptSummary:
    """A receipt in a list."""
    return ReceiptSummary(
        id=row.id,
        **_source(row.hook),
        tenant=row.tenant,
        state=row.state,
        received=moment.to_text(row.received),
        client=row.client,
        method=row.method,
        target=row.target,
        bytes=row.size,
        event_id=row.event,
        reason=row.reason,
        detail=row.detail,
    )


def receipt_view(receipt: Receipt, verdict: schemes.Verdict | None = None) -> ReceiptView:
    """A complete receipt. `verdict`: the result of checking it again now."""
    try:
        text, packed = receipt.body.decode(), None
    except UnicodeDecodeError:
        text, packed = None, base64.b64encode(receipt.body).decode()
    return ReceiptView(
        id=receipt.id,
        **_source(receipt.hook),
        tenant=receipt.tenant,
        state=receipt.state,
        received=moment.to_text(receipt.received),
        client=receipt.client,
        method=receipt.method,
        target=receipt.target,
        bytes=len(receipt.body),
        event_id=receipt.event,
        reason=receipt.reason,
        detail=receipt.detail,
        headers=[HeaderView(name=name, value=value) for name, value in receipt.headers],
        text=text,
        base64=packed,
        explanation=msgspec.UNSET
        if verdict is None
        else _beyond(receipt.detail or "", verdict.detail) or msgspec.UNSET,
        signed=msgspec.UNSET if verdict is None else verdict.signed,
    )


def _beyond(detail: str, explanation: str) -> str:
    """What an explanation says beyond the detail, which is shown next to it."""
    return explanation.removeprefix(detail).strip()


def _source(ident: str) -> dict[str, str | None]:
    """What received a request: a hook or a form."""
    return {"hook_id": None, "form_id": ident} if is_form(ident) else {"hook_id": ident, "form_id": None}


def is_form(ident: str) -> bool:
    """Whether a form received the request, by the id."""
    return ident.startswith("form_")
