"""The check of webhooks, with the official library as the other side."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tidings.client import BadSignature, verify
from tidings.rules.schemes import standard as sign

BODY = b'{"type":"a.b","data":{"n":1}}'


def signed(secret: str, at: datetime) -> dict[str, str]:
    signature = Webhook(secret).sign("evt_1", at, BODY.decode())
    return {"Webhook-Id": "evt_1", "Webhook-Timestamp": str(int(at.timestamp())), "Webhook-Signature": signature}


def test_a_genuine_webhook_is_read() -> None:
    secret, now = sign.new_secret(os.urandom(32)), datetime.now(UTC)
    headers = signed(secret, now)
    assert verify(headers, BODY, secret) == {"type": "a.b", "data": {"n": 1}}
    assert verify(headers, BODY, [sign.new_secret(os.urandom(32)), secret])["type"] == "a.b"
    assert verify(headers, BODY, secret, now=lambda: now.timestamp() + 299)
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: verify(headers, BODY + b" ", secret),
        lambda: verify(headers, BODY, sign.new_secret(os.urandom(32))),
        lambda: verify(headers, BODY, secret, now=lambda: now.timestamp() + 400),
        lambda: verify({}, BODY, secret),
    )
    for wrong in attempts:
        with pytest.raises(BadSignature):
            wrong()


def test_signed_bytes_that_are_no_json_are_refused() -> None:
    secret, now = sign.new_secret(os.urandom(32)), int(datetime.now(UTC).timestamp())
    headers = {"webhook-id": "x", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = sign.Signer(secret).sign("x", now, b"no")
    with pytest.raises(BadSignature, match="not valid JSON"):
        verify(headers, b"no", secret)
