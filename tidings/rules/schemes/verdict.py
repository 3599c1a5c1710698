"""The result of checking a request: a closed list of reasons, each with what to do about it."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Reason = Literal[
    "genuine",
    "missing_header",
    "malformed_header",
    "unsupported_version",
    "bad_timestamp",
    "too_old",
    "too_new",
    "no_match",
    "wrong_secret",
    "changed_body",
    "wrong_url",
    "wrong_claim",
    "bad_body",
    "bad_secret",
    "untrusted_url",
    "no_key",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

MEANINGS: dict[Reason, str] = {
    "genuine": "The request is from the claimed sender.",
    "missing_header": "A header, parameter or field that the scheme reads is missing.",
    "malformed_header": "The signature (or a value next to it) is not in the scheme's format.",
    "unsupported_version": "The signature has a version or algorithm that the scheme does not accept.",
    "bad_timestamp": "The timestamp cannot be read.",
    "too_old": (
        "The request was signed longer ago than is permitted: either it is an old request sent again, or the sender's "
        "clock or this server's clock is wrong."
    ),
    "too_new": "The request was signed in the future: the sender's clock or this server's clock is wrong.",
    "no_match": "No signature matches: the secret is wrong, the body was changed, or the sender is an impostor.",
    "wrong_secret": "The secret is not the one that the sender uses; nothing else is wrong.",
    "changed_body": "The signature is genuine, but the body is not the one that was signed.",
    "wrong_url": "The signature is genuine, but for a URL other than the one that the request was checked with.",
    "wrong_claim": "The token is genuine, but was issued for someone or something else.",
    "bad_body": "The scheme reads the signature from the body, but the body cannot be parsed.",
    "bad_secret": "One of the secrets is malformed.",
    "untrusted_url": "The certificate or key is at a URL that the scheme does not trust.",
    "no_key": "The certificate or key that the request names could not be obtained.",
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a request is genuine, and if not, why.

    `detail` is a sentence for people. `secret` is the index of the secret that fitted. `signed` shows what was
    expected to be signed, cut if it is long. None of them ever holds a secret or the signature that would have
    been right.
    """

    reason: Reason
    detail: str
    secret: int | None = None
    signed: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the request is genuine."""
        return self.reason == "genuine"


Found = int | Verdict | None
"""What a check returns: the index of the secret that fits, None if it needs none, or why the request is refused.

The usual results for forged requests are made in advance and returned: raising Unfit costs more than comparing.
"""


def refusal(reason: Reason, detail: str) -> Verdict:
    """The verdict on a request that is not genuine."""
    return Verdict(reason=reason, detail=detail)


class Unfit(Exception):
    """Ends a check: the request is not genuine."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


def genuine(secret: int | None) -> Verdict:
    """The verdict on a request that the secret of this index fits."""
    return _GENUINE[secret] if secret is not None and secret < len(_GENUINE) else _genuine(secret)


def _genuine(secret: int | None) -> Verdict:
    return Verdict(reason="genuine", detail=MEANINGS["genuine"], secret=secret)


_GENUINE = tuple(_genuine(index) for index in range(8))

_TELLING: tuple[Reason, ...] = ("missing_header", "unsupported_version", "malformed_header", "bad_secret", "no_match")


def more_telling(one: Verdict, other: Verdict) -> Verdict:
    """The more informative one of the refusals by two alternative checks of a scheme."""
    return other if _rank(other.reason) > _rank(one.reason) else one


def _rank(reason: Reason) -> int:
    return _TELLING.index(reason) if reason in _TELLING else len(_TELLING)
