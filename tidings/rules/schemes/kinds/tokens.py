"""Schemes in which the secret itself comes with the request; it is compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.crypto import decode
from tidings.rules.schemes.form import Basic, Token
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import Source, encoded
from tidings.rules.schemes.verdict import Found, Unfit, refusal

CREDENTIALS_CHARS_MAX = 4_096
_NOT_BASIC = refusal("malformed_header", "The header Authorization does not contain HTTP Basic credentials.")
_WRONG_CREDENTIALS = refusal("wrong_secret", "The credentials in the header Authorization are not those of this hook.")


class TokenCheck:
    """A compiled `Token`. If its source yields several values, each of them must be a secret."""

    def __init__(self, form: Token, secrets: Sequence[tuple[int, str]]) -> None:
        self._source, self._prefix = Source(form.source), form.prefix
        self._secrets = [(index, secret.encode()) for index, secret in secrets]
        said, prefix = self._source.said(), form.prefix.strip()
        self._malformed = refusal("malformed_header", f"{said} does not begin with {prefix!r}.")
        self._wrong = refusal("wrong_secret", f"{said} is not one of this hook's secrets.")

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Found:
        """The result of the check. Raises Unfit."""
        values = self._source.all(request, ())
        if not values or not any(values):
            raise Unfit("missing_header", f"{self._source.said()} is missing.")
        if not self._secrets:
            raise Unfit("bad_secret", "There is no secret yet, so nothing can be verified.")
        prefix, indexes = self._prefix, []
        for value in values:
            if value[: len(prefix)].lower() != prefix.lower():
                return self._malformed
            index = self._known(encoded(value[len(prefix) :]))
            if index is None:
                return self._wrong
            indexes.append(index)
        return min(indexes)

    def _known(self, given: bytes) -> int | None:
        for index, secret in self._secrets:
            if hmac.compare_digest(given, secret):
                return index
        return None


class BasicCheck:
    """A compiled `Basic`. Raises Refused for a secret without a password. Some senders have no user."""

    def __init__(self, _: Basic, secrets: Sequence[tuple[int, str]]) -> None:
        for index, secret in secrets:
            if not secret.partition(":")[2].strip():
                raise Refused(f"/{index}", "secret", "A secret for HTTP Basic must have the form user:password.")
        self._secrets = [(index, *_halves(secret.encode())) for index, secret in secrets]

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Found:
        """The result of the check. Raises Unfit."""
        value = request.headers.get("authorization", "")
        if not value:
            raise Unfit("missing_header", "The header Authorization is missing.")
        if not self._secrets:
            raise Unfit("bad_secret", "There is no secret yet, so nothing can be verified.")
        kind, _, text = value.partition(" ")
        raw = decode(encoded(text.strip()), "base64") if len(text) <= CREDENTIALS_CHARS_MAX else None
        if kind.lower() != "basic" or raw is None or b":" not in raw:
            return _NOT_BASIC
        user, password = _halves(raw)
        for index, right_user, right_password in self._secrets:
            # Both are always compared, so that the time does not distinguish a known user from an unknown one.
            if hmac.compare_digest(user, right_user) & hmac.compare_digest(password, right_password):
                return index
        return _WRONG_CREDENTIALS


def _halves(credentials: bytes) -> tuple[bytes, bytes]:
    user, _, password = credentials.partition(b":")
    return user, password
