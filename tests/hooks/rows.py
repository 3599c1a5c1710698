"""Refused requests as rows, for what is tried with many of them."""

from __future__ import annotations

import os
from typing import Any

from tidings.model.hook import Receipt
from tidings.model.ids import new_id
from tidings.store.receipts import ReceiptHeads
from tidings.store.seal import Sealer


def refusal_rows(hook: str, client: str, count: int, *, at: int = 2, body: bytes = b"{}") -> list[dict[str, Any]]:
    """What is stored of `count` requests that an address sent at `at` seconds."""
    heads = ReceiptHeads(Sealer(os.urandom(32)))
    receipts = [
        Receipt(
            id=new_id("rcp", at * 1_000_000),
            hook=hook,
            tenant=None,
            state="refused",
            received=at * 1_000_000,
            client=client,
            method="POST",
            target="/in/x",
            headers=(),
            body=body,
            reason="no_match",
        )
        for _ in range(count)
    ]
    return [heads.fields(receipt, sealed=False) for receipt in receipts]
