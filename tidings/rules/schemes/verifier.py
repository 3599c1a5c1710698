"""A scheme and the secrets of a hook, compiled once: checks any number of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.schemes.catalogue import signs_for_anybody
from tidings.rules.schemes.form import (
    Basic,
    Certificate,
    Check,
    ItemSignatures,
    Jwt,
    Scheme,
    Signature,
    SortedParameters,
    Token,
)
from tidings.rules.schemes.kinds.certificates import CertificateCheck
from tidings.rules.schemes.kinds.item_signatures import ItemsCheck
from tidings.rules.schemes.kinds.jwks import Needed
from tidings.rules.schemes.kinds.jwt import JwtCheck
from tidings.rules.schemes.kinds.signed import Signed, fitting
from tidings.rules.schemes.kinds.sorted_parameters import SortedCheck
from tidings.rules.schemes.kinds.tokens import BasicCheck, TokenCheck
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.verdict import Found, Unfit, Verdict, genuine, more_telling, refusal

SECRETS_MAX = 32
_NOTHING: Mapping[str, bytes] = {}


class Compiled(Protocol):
    """A check with its secrets."""

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Found:
        """The result of the check. Raises Unfit."""
        ...


class Verifier:
    """Tells genuine requests from others. Safe to share between threads.

    `secrets` are all that are valid now, in any order; the scheme says what a secret is. `settings` are the other
    values that the scheme requires. `tolerance_seconds` takes precedence over the scheme's own. It can be made without
    secrets (some senders hand them over later), but then nothing that needs one is genuine. Raises Refused, with the
    place (`/secrets/0`, `/settings/audience`), for a secret or setting that cannot be used.
    """

    __slots__ = ("_checks", "scheme", "secrets", "settings", "tolerance_seconds")

    def __init__(
        self,
        scheme: Scheme,
        secrets: str | Sequence[str] = (),
        *,
        settings: Mapping[str, str] | None = None,
        tolerance_seconds: float | None = None,
    ) -> None:
        self.scheme = scheme
        self.secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        self.settings = _settings(scheme, settings or {})
        self.tolerance_seconds = tolerance_seconds
        if len(self.secrets) > SECRETS_MAX:
            raise Refused("/secrets", "too_many", f"A hook may have at most {SECRETS_MAX} secrets.")
        for index, secret in enumerate(self.secrets):
            if not secret.strip():
                raise Refused(f"/secrets/{index}", "secret", "This secret is empty.")
        self._checks = self._compiled()

    def verify(self, request: HookRequest, now: float, fetched: Mapping[str, bytes] = _NOTHING) -> Verdict:
        """Whether a request is genuine at `now` (seconds since 1970). Never raises, whatever the request holds.

        `fetched` maps the keys of what `needs` returned to the fetched bodies.
        """
        worst: Verdict | None = None
        for check in self._checks:
            try:
                found = check(request, now, fetched)
            except Unfit as unfit:
                found = refusal(unfit.reason, unfit.detail)
            if not isinstance(found, Verdict):
                return genuine(found)
            worst = found if worst is None else more_telling(worst, found)
        assert worst is not None, "a scheme has at least one check"
        return worst

    def needs(self, request: HookRequest) -> tuple[Needed, ...]:
        """What must be fetched to check this request: certificates or keys on hosts that the scheme trusts.

        Empty for most schemes, and for requests that will be refused anyway.
        """
        found: dict[str, Needed] = {}
        for check in self._checks:
            needs = getattr(check, "needs", None)
            try:
                for needed in needs(request) if needs else ():
                    found[needed.key] = needed
            except Unfit:
                continue
        return tuple(found.values())

    def shown(self, request: HookRequest) -> bytes | None:
        """What the scheme expects to be signed, with the secret masked; None if nothing, or if it is unknown."""
        for check in self._checks:
            shown = getattr(check, "shown", None)
            try:
                if shown:
                    return bytes(shown(request))
            except Unfit:
                continue
        return None

    def but(self, *, secrets: Sequence[str] | None = None, tolerance_seconds: float | None = None) -> Verifier:
        """The same with other secrets or another tolerance."""
        return Verifier(
            self.scheme,
            self.secrets if secrets is None else secrets,
            settings=self.settings,
            tolerance_seconds=self.tolerance_seconds if tolerance_seconds is None else tolerance_seconds,
        )

    def _compiled(self) -> list[Compiled]:
        numbered = list(enumerate(self.secrets))
        for index, secret in numbered:
            starts = [check.secret.only for check in self.scheme.checks if isinstance(check, Signature)]
            if starts and all(starts) and not secret.startswith(tuple(starts)):
                raise Refused(
                    f"/secrets/{index}", "secret", f"A secret of this scheme must begin with {' or '.join(starts)}."
                )
        try:
            meant = [(check, _meant_for(check, numbered, self.scheme)) for check in self.scheme.checks]
            # If a check has no secret of its kind and there are other checks, it is left out.
            usable = [(check, secrets) for check, secrets in meant if secrets] or meant
            return [compiled(check, secrets, self) for check, secrets in usable]
        except Refused as refused:
            raise refused.under("/secrets") from None
        except Unfit as unfit:
            raise Refused("/settings", "wrong_value", unfit.detail) from None


def _meant_for(check: Check, secrets: Sequence[tuple[int, str]], scheme: Scheme) -> Sequence[tuple[int, str]]:
    """The secrets of a check: those that have its prefix, or no other check's prefix."""
    if not isinstance(check, Signature):
        return secrets
    others = tuple(each.secret.only for each in scheme.checks if isinstance(each, Signature) and each.secret.only)
    if check.secret.only or not others:
        return fitting(secrets, check.secret)
    return [(index, text) for index, text in secrets if not text.startswith(others)]


def compiled(check: Check, secrets: Sequence[tuple[int, str]], verifier: Verifier) -> Compiled:
    """One check with its secrets. Raises Refused for a secret that it cannot use."""
    tolerance, settings = verifier.tolerance_seconds, verifier.settings
    match check:
        case Signature():
            anybody = signs_for_anybody(verifier.scheme)
            return Signed(check, secrets, tolerance, settings, signs_for_anybody=anybody)
        case Token():
            return TokenCheck(check, secrets)
        case Basic():
            return BasicCheck(check, secrets)
        case SortedParameters():
            return SortedCheck(check, secrets, tolerance)
        case Certificate():
            return CertificateCheck(check, secrets, settings, tolerance)
        case Jwt():
            return JwtCheck(check, secrets, settings, tolerance)
        case ItemSignatures():
            return ItemsCheck(check, secrets)


def _settings(scheme: Scheme, given: Mapping[str, str]) -> dict[str, str]:
    """The given settings, and the defaults of the others. Raises Refused for what is unknown or missing."""
    for name in given:
        if name not in scheme.settings:
            known = f"It has: {', '.join(scheme.settings)}." if scheme.settings else "It has none."
            detail = f"The scheme {scheme.name!r} has no setting {name!r}. {known}"
            raise Refused(f"/settings/{escaped(name)}", "unknown_field", detail)
    filled = {name: given.get(name) or setting.default for name, setting in scheme.settings.items()}
    for name, setting in scheme.settings.items():
        if setting.required and not filled[name]:
            detail = f"The scheme {scheme.name!r} needs the setting {name}: {setting.help}"
            raise Refused(f"/settings/{escaped(name)}", "missing", detail)
    return filled
