"""The check of a received webhook after Standard Webhooks 1.0."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidings.rules.schemes import standard_verify as rules
from tidings.rules.schemes.standard_verify import TOLERANCE_SECONDS, BadSignature


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: Callable[[], float] = time.time,
) -> Any:
    """The webhook's JSON value, once it is proven to be genuine and recent.

    `headers` in any case, `body` the bytes as they came, `secrets` what `GET /v1/endpoints/{id}/secret` answers, or
    several during a rotation, or a `whpk_` public key. Raises BadSignature. The same webhook may come more than once:
    its `webhook-id` header is the same each time.
    """
    rules.verify(headers, body, secrets, now(), tolerance_seconds)
    try:
        return json.loads(body)
    except ValueError:
        raise BadSignature("bad_body", "The body is correctly signed, but not valid JSON.") from None


__all__ = ["BadSignature", "verify"]
