"""Verifying a webhook after Standard Webhooks 1.0, for those who receive ours: the scheme `standard-webhooks`.

The encoded text of a signature is what is compared, so that an altered last character of the base64 does not match.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard
from tidings.rules.schemes.crypto import SEED_BYTES

if TYPE_CHECKING:
    from tidings.rules.schemes.verdict import Reason
    from tidings.rules.schemes.verifier import Verifier

SCHEME = "standard-webhooks"
TOLERANCE_SECONDS = 300
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
VERIFIERS_KEPT = 64
# A signature in a different format has the same code here as one that does not match, as it always had.
_NO_MATCH: tuple[Reason, ...] = ("malformed_header", "unsupported_version")


class BadSignature(ValueError):
    """The webhook is not from its claimed sender, or too old. `code`: which check failed; `detail`: a sentence."""

    def __init__(self, code: Reason, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> str:
    """The id of a genuine webhook, which is the same in every attempt, so that repeats can be dropped.

    `headers` in any case; `body` the bytes as received; `secrets` one or several of `whsec_`, `whpk_` and `whsk_`;
    `now` in seconds since the epoch. Raises BadSignature, whatever the request contains; ValueError for secrets or a
    body with which no request could be checked.
    """
    # Imported here: all the schemes take longer to load than the rest of a client, and many never verify.
    from tidings.rules.schemes.request import HookRequest

    if not isinstance(body, bytes):
        raise ValueError("body: Pass the raw bytes as received, before any parsing.")
    try:
        verifier = _verifier(_verifying(secrets), tolerance_seconds)
    except Refused as refused:
        raise ValueError(f"secrets: A secret to verify with is malformed: {refused.detail}") from None
    given = {str(name).lower(): value for name, value in headers.items()}
    read = {name: _header(given, name) for name in HEADERS}
    verdict = verifier.verify(HookRequest("POST", "", read, body), now)
    if not verdict.ok:
        raise BadSignature("no_match" if verdict.reason in _NO_MATCH else verdict.reason, verdict.detail)
    return read["webhook-id"]


@lru_cache(VERIFIERS_KEPT)
def _verifier(secrets: tuple[str, ...], tolerance_seconds: float) -> Verifier:
    from tidings.rules.schemes.catalogue import named
    from tidings.rules.schemes.verifier import Verifier

    return Verifier(named(SCHEME), secrets, tolerance_seconds=tolerance_seconds)


def _header(given: Mapping[str, str], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise BadSignature("missing_header", f"The header {name} is missing.")
    return value


def _verifying(secrets: str | Sequence[str]) -> tuple[str, ...]:
    """The secrets as the scheme has them: the private half of a key pair verifies by its public one."""
    try:
        found = tuple(_one(text) for text in ([secrets] if isinstance(secrets, str) else secrets))
    except (Refused, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"secrets: One of the secrets is malformed: {error}") from None
    if not found:
        raise ValueError("secrets: At least one secret is needed to verify.")
    return found


def _one(text: str) -> str:
    if text.startswith(standard.SIGNING_KEY):
        return standard.public_key(text)
    if text.startswith(standard.PUBLIC_KEY):
        if len(b64decode(text[len(standard.PUBLIC_KEY) :], validate=True)) != SEED_BYTES:
            raise ValueError("A whpk_ key must have 32 bytes.")
    else:
        standard.secret_key(text)
    return text
