"""Whether a request is genuine: with its body as received or unpacked, and with keys that its sender publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tidings.intake.beside import Beside
from tidings.intake.hooks.fetched import Fetched
from tidings.model.errors import TooLarge
from tidings.rules import schemes
from tidings.rules.hooks.packed import SMALL_BYTES, unpacked
from tidings.rules.schemes import HookRequest, Verdict

BESIDE_BYTES = 128 * 1024
"""Bodies larger than this are verified and parsed in a thread."""


class Judged(NamedTuple):
    """The result of checking a request."""

    verdict: Verdict
    request: HookRequest
    """The request with the body that was signed: the body as received, or decompressed if it was compressed."""
    body: bytes
    """The body without its Content-Encoding."""
    fetched: Mapping[str, bytes]
    unknown: bool = False
    """Whether keys that are needed for a verdict could not be fetched, so that the sender may try again."""


async def judge(
    verifier: schemes.Verifier,
    request: HookRequest,
    now: float,
    fetched: Fetched,
    beside: Beside,
    tenant: str | None,
    most_bytes: int,
) -> Judged:
    """Check a request as of `now`, in seconds since 1970.

    Raises TooLarge if it has more than `most_bytes` when decompressed.
    """
    encoding = request.headers.get("content-encoding")
    large = len(request.body) > BESIDE_BYTES
    needed = await beside.run(large, verifier.needs, request)
    found = await fetched.all(needed, tenant) if needed else {}
    verdict = await beside.run(large, verifier.verify, request, now, found)
    if needed and verdict.reason in ("no_key", "no_match") and found:
        # The sender may have changed its keys since they were fetched.
        fresh = await fetched.all(needed, tenant, again=True)
        if fresh != found:
            verdict = await beside.run(large, verifier.verify, request, now, fresh)
            found = fresh
    body = request.body if encoding is None else await _plain(request.body, encoding, beside, most_bytes)
    if not verdict.ok and body is not request.body:
        plain = request.but(body=body)
        second = await beside.run(len(body) > BESIDE_BYTES, verifier.verify, plain, now, found)
        if second.ok:
            return Judged(second, plain, body, found)
    return Judged(verdict, request, body, found, verdict.reason == "no_key" and len(found) < len(needed))


async def _plain(body: bytes, encoding: str, beside: Beside, most_bytes: int) -> bytes:
    """The body without its Content-Encoding; if it is large, it is decompressed in a thread."""
    try:
        return unpacked(body, encoding, min(SMALL_BYTES, most_bytes))
    except TooLarge:
        return await beside.run(True, unpacked, body, encoding, most_bytes)
