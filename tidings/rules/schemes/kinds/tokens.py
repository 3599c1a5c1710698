"""Schemes in which the secret itself comes with the request; it is compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.crypto import decode
from tidings.rules.schemes.form import Basic, Token
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import Source, encoded
from tidings.rules.schemes.verdict import Unfit

CREDENTIALS_CHARS_MAX = 4_096


class TokenCheck:
    """A compiled `Token`. Where its source yields several values, each of them must be a secret."""

    def __init__(self, form: Token, secrets: Sequence[tuple[int, str]]) -> None:
        self._source, self._prefix = Source(form.source), form.prefix
        self._secrets = [(index, secret.encode()) for index, secret in secrets]

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> int | None:
        """The index of the secret that was sent. Raises Unfit."""
        values = self._source.all(request, ())
        if not values or not any(values):
            raise Unfit("missing_header", f"{self._source.said()} is missing.")
        if not self._secrets:
            raise Unfit("bad_secret", "There is no secret yet to verify with.")
        return min(self._known(value) for value in values)

    def _known(self, value: str) -> int:
        prefix = self._prefix
        if value[: len(prefix)].lower() != prefix.lower():
            raise Unfit("malformed_header", f"{self._source.said()} does not begin with {prefix.strip()!r}.")
        given = encoded(value[len(prefix) :])
        for index, secret in self._secrets:
            if hmac.compare_digest(given, secret):
                return index
        raise Unfit("wrong_secret", f"{self._source.said()} is none of the secrets of this hook.")


class BasicCheck:
    """A compiled `Basic`. Raises Refused for a secret without a colon."""

    def __init__(self, _: Basic, secrets: Sequence[tuple[int, str]]) -> None:
        for index, secret in secrets:
            if ":" not in secret:
                raise Refused(f"/{index}", "secret", "A secret of HTTP Basic is user:password.")
        self._secrets = [(index, *_halves(secret.encode())) for index, secret in secrets]

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> int | None:
        """The index of the credentials that were sent. Raises Unfit."""
        value = request.headers.get("authorization", "")
        if not value:
            raise Unfit("missing_header", "The header Authorization is missing.")
        if not self._secrets:
            raise Unfit("bad_secret", "There is no secret yet to verify with.")
        kind, _, text = value.partition(" ")
        raw = decode(encoded(text.strip()), "base64") if len(text) <= CREDENTIALS_CHARS_MAX else None
        if kind.lower() != "basic" or raw is None or b":" not in raw:
            raise Unfit("malformed_header", "The header Authorization does not hold credentials of HTTP Basic.")
        user, password = _halves(raw)
        for index, right_user, right_password in self._secrets:
            # Both are compared, always, so that the time does not tell a known user from an unknown one.
            if hmac.compare_digest(user, right_user) & hmac.compare_digest(password, right_password):
                return index
        raise Unfit("wrong_secret", "The credentials of the header Authorization are not those of this hook.")


def _halves(credentials: bytes) -> tuple[bytes, bytes]:
    user, _, password = credentials.partition(b":")
    return user, password
