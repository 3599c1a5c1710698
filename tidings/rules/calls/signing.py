"""The part `sign` of a call's declaration: the scheme and the secrets with which its requests are signed.

Standard Webhooks needs no secret in the declaration: one is generated, to be given to the receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from tidings.model.calls.connection import MASK
from tidings.model.errors import Invalid
from tidings.model.link import AnyLink, CallApi, CallSecrets, SignRule
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard
from tidings.rules.schemes.signing.calls import scheme_of, try_signing

PARTS = ("scheme", "secret", "secrets", "settings")
SECRETS_MAX = 4
SECRET_CHARS_MAX = 16 * 1024
STANDARD = "standard-webhooks"
SECRET_BYTES = 32

D = TypeVar("D", bound=msgspec.Struct)
"""The type of a link's declaration (rules/declare/links.py)."""


def read_sign(given: Any, pointer: str, wrong: Places) -> tuple[SignRule, CallSecrets] | None:
    """The scheme with its settings, and the secrets. `pointer`: that of `sign`."""
    before = len(wrong.found)
    sign: dict[str, Any] = {"scheme": given} if type(given) is str else wrong.members(given, pointer, PARTS, "`sign`")
    scheme: Any = sign.get("scheme")
    if type(scheme) not in (str, dict):
        wrong.say(
            f"{pointer}/scheme", "missing", "`sign` needs `scheme`: the name of a signature scheme, or your own scheme."
        )
        return None
    secrets = _secrets(sign, pointer, wrong)
    settings: Any = sign.get("settings") or {}
    if type(settings) is not dict or not all(type(each) is str for each in settings.values()):
        detail = f"`settings` must be an object whose values are strings, not {shown(settings)}."
        wrong.say(f"{pointer}/settings", "wrong_type", detail)
    if len(wrong.found) > before:
        return None
    rule = SignRule(scheme=scheme, settings=settings, is_made=not secrets)
    at = pointer if type(given) is str else f"{pointer}/scheme"
    try:
        found = scheme_of(rule)
        if not secrets and found.name != STANDARD:
            wrong.say(
                f"{pointer}/secret",
                "missing",
                f"{f'The scheme {found.name}' if found.name else 'Your own scheme'} needs `secret`.",
            )
        elif MASK not in secrets:
            try_signing(rule, secrets or (standard.new_secret(bytes(SECRET_BYTES)),))
    except Refused as refused:
        wrong.say(_place(refused, pointer, at, sign), refused.place.code, refused.detail)
    return None if len(wrong.found) > before else (rule, CallSecrets(sign=secrets))


def plain_sign(rule: SignRule, secrets: CallSecrets) -> Any:
    """The declaration of `sign` in its canonical form, without the secrets."""
    if rule.is_made and not rule.settings:
        return rule.scheme
    found: dict[str, Any] = {"scheme": rule.scheme}
    if len(secrets.sign) == 1 and not rule.is_made:
        found["secret"] = MASK
    elif not rule.is_made:
        found["secrets"] = [MASK] * len(secrets.sign)
    if rule.settings:
        found["settings"] = rule.settings
    return found


def with_stored(declared: D, before: AnyLink | None) -> D:
    """The declaration with the stored secrets that it keeps: those given as `***`, and generated ones.

    Raises Refused for `***` if no secret is stored, or if requests would go to a new host and could take it there.
    """
    what = getattr(declared, "what", None)
    if not isinstance(what, CallApi) or what.sign is None:
        return declared
    was = before.what if before is not None and isinstance(before.what, CallApi) else None
    stored = () if was is None or was.sign is None or was.sign.scheme != what.sign.scheme else was.sealed.sign
    if what.sign.is_made:
        secrets = stored if was is not None and was.sign is not None and was.sign.is_made else ()
    elif MASK in what.sealed.sign:
        if len(stored) != len(what.sealed.sign) or was is None or _origin(was) != _origin(what):
            detail = f'"{MASK}" keeps the secret stored for this scheme and host, but none is stored. Send the secret.'
            raise Refused("/call/sign", "unknown_value", detail)
        secrets = stored
    else:
        return declared
    kept = msgspec.structs.replace(what, sealed=CallSecrets(sign=secrets))
    return msgspec.structs.replace(declared, what=kept)


def stored_secrets(declared: dict[str, D], present: Mapping[str, AnyLink]) -> dict[str, D]:
    """`with_stored` for several declarations, by name. Raises Invalid."""
    try:
        return {name: with_stored(each, present.get(name)) for name, each in declared.items()}
    except Refused as refused:
        raise Invalid("The declaration is not valid.", errors=[refused.place]) from None


def with_made(declared: D, random_bytes: Callable[[int], bytes]) -> D:
    """A declaration with a generated secret, if it needs one and there is none yet."""
    what = getattr(declared, "what", None)
    if not isinstance(what, CallApi) or what.sign is None or what.sealed.sign or not what.sign.is_made:
        return declared
    made = CallSecrets(sign=(standard.new_secret(random_bytes(SECRET_BYTES)),))
    return msgspec.structs.replace(declared, what=msgspec.structs.replace(what, sealed=made))


def masked(links: Any) -> Any:
    """Declarations of links without secrets."""
    if type(links) is not dict:
        return links
    return {name: _masked(link) for name, link in links.items()}


def _masked(link: Any) -> Any:
    call = link.get("call") if type(link) is dict else None
    sign = call.get("sign") if type(call) is dict else None
    if type(sign) is not dict:
        return link
    hidden = {name: MASK if name in ("secret", "secrets") else value for name, value in sign.items()}
    return {**link, "call": {**call, "sign": hidden}}  # type: ignore[dict-item]


def _secrets(sign: dict[str, Any], pointer: str, wrong: Places) -> tuple[str, ...]:
    one, several = sign.get("secret"), sign.get("secrets")
    if one is not None and several is not None:
        wrong.say(f"{pointer}/secrets", "contradiction", "Give `secret` or `secrets`, not both.")
    found = several if several is not None else [] if one is None else [one]
    at = f"{pointer}/{'secrets' if several is not None else 'secret'}"
    if type(found) is not list or len(found) > SECRETS_MAX or (several is not None and not found):
        wrong.say(at, "wrong_type", f"`secrets` must be a list of 1 to {SECRETS_MAX} strings.")
        return ()
    if not all(type(each) is str and 0 < len(each) <= SECRET_CHARS_MAX for each in found):
        wrong.say(at, "wrong_type", f"A secret must be a string of at most {SECRET_CHARS_MAX:,} characters.")
        return ()
    return tuple(found)


def _place(refused: Refused, pointer: str, at: str, sign: dict[str, Any]) -> str:
    """The place in the declaration to which a scheme's refusal refers."""
    if refused.pointer.startswith("/settings"):
        return f"{pointer}{refused.pointer}"
    if refused.pointer.startswith("/secrets") or refused.place.code == "secret":
        return next((f"{pointer}/{name}" for name in ("secret", "secrets") if name in sign), at)
    return at


def _origin(what: CallApi) -> tuple[str | None, str]:
    """Where requests go: the connection, or scheme, host and port."""
    scheme, _, rest = what.path.partition("://")
    return what.via, "" if what.via is not None else f"{scheme}://{rest.partition('/')[0]}"
