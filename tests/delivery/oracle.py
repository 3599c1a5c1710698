"""Signatures judged by others: the official `standardwebhooks` and `svix` packages, and plain ed25519."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import standardwebhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tidings.testing import Received

TOLERANCE_SECONDS = 300


def signatures(received: Received) -> list[str]:
    """The signatures of a request, in their order."""
    return received.headers["webhook-signature"].split(" ")


def signed_by(received: Received, secret: str) -> bool:
    """Whether both packages find this secret's signature. Where the clock was moved, they sign again and compare."""
    # Loaded here, for it takes half a second, and every process that runs tests reads this file.
    import svix.webhooks

    headers, body = dict(received.headers), received.body.decode()
    if abs(datetime.now(UTC).timestamp() - received.timestamp) < TOLERANCE_SECONDS:
        try:
            standardwebhooks.Webhook(secret).verify(body, headers)
            svix.webhooks.Webhook(secret).verify(body, headers)
        except standardwebhooks.WebhookVerificationError:
            return False
        return True
    at = datetime.fromtimestamp(received.timestamp, UTC)
    theirs = {
        standardwebhooks.Webhook(secret).sign(received.id, at, body),
        svix.webhooks.Webhook(secret).sign(received.id, at, body),
    }
    return theirs <= set(signatures(received))


def signed_with_key(received: Received, public_key: str) -> bool:
    """Whether one of its `v1a` signatures belongs to a `whpk_` key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    content = f"{received.id}.{received.timestamp}.".encode() + received.body
    for signature in signatures(received):
        version, _, encoded = signature.partition(",")
        if version == "v1a":
            try:
                key.verify(base64.b64decode(encoded), content)
            except InvalidSignature:
                continue
            return True
    return False
