"""What a scheme checks, in a sentence that is made from its form, so that it cannot say anything else."""

from __future__ import annotations

import re

from tidings.rules.schemes.crypto import PUBLIC
from tidings.rules.schemes.form import (
    Basic,
    Certificate,
    Check,
    ItemSignatures,
    Jwt,
    Scheme,
    Signature,
    SortedParameters,
    Timestamp,
    Token,
)

_STYLES = {
    "url_form": "the URL and the sorted fields of the form (for other bodies: the SHA-256 in `bodySHA256`)",
    "url_form_first": "the URL and the sorted fields of the form",
    "ampersand": "the sorted parameters",
    "sns": "the members of the message",
    "paypal": "id, time, webhook id and CRC-32 of the body",
}


def checks_in_words(scheme: Scheme) -> str:
    """What must fit, in Markdown."""
    return "; or ".join(dict.fromkeys(_check(check) for check in scheme.checks)) + "."


def place_in_words(text: str) -> str:
    """A source in Markdown: the name, and what it is the name of."""
    kinds = {
        "header": "",
        "query": "query parameter ",
        "form": "form field ",
        "json": "JSON member ",
        "part": "its part ",
    }

    def one(place: str) -> str:
        kind, _, name = place.strip().partition(":")
        return f"{kinds.get(kind, '')}`{name}`"

    words = re.split(r"( [|&] )", text)
    return "".join({" | ": " or ", " & ": " and "}.get(word) or one(word) for word in words)


def _check(check: Check) -> str:
    match check:
        case Signature():
            return _signature(check)
        case Token():
            behind = f" after `{check.prefix.strip()}`" if check.prefix else ""
            return f"the secret{behind} in {place_in_words(check.source)}"
        case Basic():
            return "user and password in `Authorization`"
        case SortedParameters():
            name = check.algorithm.upper()
            place = place_in_words(check.signature.source)
            return f"{name} of {_STYLES[check.style]}, {check.signature.encoding} in {place}{_age(check.timestamp)}"
        case Certificate():
            return f"an RSA signature of {_STYLES[check.style]}, by the certificate at the URL in the request"
        case Jwt():
            return _jwt(check)
        case ItemSignatures():
            return "HMAC-SHA256 of the members of each item, base64 in its `additionalData.hmacSignature`"


def _signature(check: Signature) -> str:
    signed = check.signed if isinstance(check.signed, str) else check.signed[0]
    shown = signed.replace("\n", "\\n")
    place = check.signature
    behind = f" after `{place.prefix}`" if place.prefix else ""
    kind = "" if check.algorithm.startswith("hmac-") or check.algorithm in PUBLIC else "plain "
    words = f"{kind}{check.algorithm.upper()} of `{shown}`, {place.encoding}{behind} in {place_in_words(place.source)}"
    return words + _age(check.timestamp)


def _age(timestamp: Timestamp | None) -> str:
    if timestamp is None or timestamp.tolerance_seconds is None:
        return ""
    return f", at most {timestamp.tolerance_seconds:,.0f} s old"


def _jwt(check: Jwt) -> str:
    words = f"a JWT ({', '.join(check.algorithms)}) in {place_in_words(check.source)}"
    if check.body_hash:
        words += f" with the SHA-256 of the body in its claim `{check.body_hash.claim}`"
    if check.url_hash:
        words += f" and that of the URL in `{check.url_hash.claim}`"
    if check.claims:
        words += f", with the right {', '.join(f'`{name}`' for name in check.claims)}"
    return words + (f", at most {check.age_seconds:,.0f} s old" if check.age_seconds is not None else "")
