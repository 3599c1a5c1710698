"""Adyen's payment notifications: a body holds items, and each carries a signature over its fields."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import ItemSignatures, SecretForm
from tidings.rules.schemes.kinds.signed import key_bytes
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import as_text, encoded
from tidings.rules.schemes.verdict import Unfit

ITEMS_MAX = 1_000
SIGNATURE_CHARS = 44
SIGNED = (
    ("pspReference",),
    ("originalReference",),
    ("merchantAccountCode",),
    ("merchantReference",),
    ("amount", "value"),
    ("amount", "currency"),
    ("eventCode",),
    ("success",),
)
"""The members that are signed, in this order, joined by colons. Current libraries of Adyen escape nothing."""


class ItemsCheck:
    """A compiled `ItemSignatures`. Every item must be genuine."""

    def __init__(self, _: ItemSignatures, secrets: Sequence[tuple[int, str]]) -> None:
        self._keys = [
            (index, crypto.primed(key_bytes(text, SecretForm(encoding="hex"), index), "sha256"))
            for index, text in secrets
        ]

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> int | None:
        """The index of the secret that fits (if items differ, the last one used). Raises Unfit."""
        found = items(request)
        if not self._keys:
            raise Unfit("bad_secret", "There is no secret yet, so nothing can be verified.")
        return max(self._fitting(item, number) for number, item in enumerate(found))

    def _fitting(self, item: dict[str, Any], number: int) -> int:
        extra = item.get("additionalData")
        given = extra.get("hmacSignature") if isinstance(extra, dict) else None
        if not isinstance(given, str) or not given:
            raise Unfit("missing_header", f"Item {number} has no additionalData.hmacSignature.")
        if len(given) != SIGNATURE_CHARS:
            raise Unfit("malformed_header", f"The hmacSignature of item {number} is not 32 bytes in base64.")
        message = signed_text(item)
        for index, states in self._keys:
            if hmac.compare_digest(encoded(given), crypto.ENCODE["base64"](crypto.hmac_digest(states, message))):
                return index
        raise Unfit(
            "no_match",
            f"The hmacSignature of item {number} was not made with any of the secrets, or the item was changed.",
        )

    def shown(self, request: HookRequest) -> bytes:
        """What is signed of the first item."""
        return signed_text(items(request)[0])


def items(request: HookRequest) -> list[dict[str, Any]]:
    """The items of a notification. Raises Unfit if the body holds none."""
    try:
        value = request.json()
    except ValueError as error:
        raise Unfit("bad_body", f"The body cannot be read as JSON: {error}.") from None
    listed = value.get("notificationItems") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= ITEMS_MAX:
        raise Unfit("bad_body", f"The body must have a list named notificationItems, with 1 to {ITEMS_MAX:,} items.")
    found = [each.get("NotificationRequestItem") if isinstance(each, dict) else None for each in listed]
    if not all(isinstance(item, dict) for item in found):
        raise Unfit(
            "bad_body", "Each element of notificationItems must contain an object named NotificationRequestItem."
        )
    return [item for item in found if isinstance(item, dict)]


def signed_text(item: Mapping[str, Any]) -> bytes:
    """The members that are signed, joined by colons; what is missing is empty."""
    return encoded(":".join(_member(item, path) for path in SIGNED))


def _member(item: Any, path: tuple[str, ...]) -> str:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return as_text(item) or ""
