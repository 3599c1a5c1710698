"""Signing outgoing requests: a link's calls are signed with the schemes that verify incoming ones, run backwards.

The schemes are loaded when the first link needs them: most servers sign only their own webhooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidings.model.link import SignRule
from tidings.rules.schemes.request import HookRequest

if TYPE_CHECKING:
    from tidings.rules.schemes.form import Scheme


def scheme_of(rule: SignRule) -> Scheme:
    """The scheme of a call's `sign`. Raises Refused."""
    from tidings.rules.schemes.catalogue import named
    from tidings.rules.schemes.form import read

    return named(rule.scheme) if isinstance(rule.scheme, str) else read(rule.scheme)


def try_signing(rule: SignRule, secrets: Sequence[str]) -> None:
    """Sign a sample. Raises Refused for secrets or settings that cannot sign."""
    from tidings.rules.schemes.signing.sign import sample, sign

    scheme = scheme_of(rule)
    sign(scheme, secrets, sample(scheme), 0.0, settings=rule.settings)


class CallSigner:
    """Signs one link's requests. Used by one thread at a time."""

    def __init__(self, rule: SignRule, secrets: Sequence[str]) -> None:
        self._rule, self._secrets = rule, tuple(secrets)
        self._scheme: Scheme | None = None

    def sign(self, request: HookRequest, now: float, ident: str) -> tuple[HookRequest, dict[str, str]]:
        """The signed request, and the headers that this added. `now`: seconds since 1970. Raises Refused."""
        from tidings.rules.schemes.signing.sign import sign

        if self._scheme is None:
            self._scheme = scheme_of(self._rule)
        signed = sign(self._scheme, self._secrets, request, now, settings=self._rule.settings, ident=ident)
        before = request.headers
        return signed, {name: value for name, value in signed.headers.items() if before.get(name) != value}

    @property
    def shows_secret(self) -> bool:
        """Whether the proof is the secret itself, which must not be shown."""
        from tidings.rules.schemes.form import Basic, Token

        return self._scheme is not None and any(isinstance(check, Basic | Token) for check in self._scheme.checks)
