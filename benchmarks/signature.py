"""Verifies a webhook as its receiver would: with the official Standard Webhooks library."""

from __future__ import annotations

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verify(secret: str, head: bytes, body: bytes) -> bool:
    """True when the signature in the raw head fits the body. `secret` is `whsec_...`."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    try:
        Webhook(secret).verify(body.decode(), headers)
    except WebhookVerificationError:
        return False
    return True
