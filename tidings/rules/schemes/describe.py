"""What a scheme checks, in a sentence made from its form, so that the two cannot differ."""

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
    "sns": "the message's members",
    "paypal": "the transmission id and time, the webhook id and the CRC-32 of the body",
}


def checks_in_words(scheme: Scheme) -> str:
    """What the scheme checks, in Markdown."""
    return "; or ".join(dict.fromkeys(_check(check) for check in scheme.checks)) + "."


def replays_in_words(scheme: Scheme) -> str:
    """How long a recorded request can be replayed and still count as genuine."""
    windows = [_window(check) for check in scheme.checks]
    own = f" {_OWN_LIMIT}" if any(map(_is_timed, scheme.checks)) else ""
    if None not in windows:
        longest = max(window for window in windows if window is not None)
        expiry = "until the token expires" if longest == 0 else f"for {longest:,.0f} s"
        return f"A replay is accepted {expiry}."
    if not scheme.delivery_id:
        return f"{_REPLAYED} their content, as a hook does.{own}"
    inside = bool(scheme.delivery_id) and all(
        place.startswith(("json:", "form:")) for place in scheme.delivery_id.split(" | ")
    )
    if inside and covers_body(scheme):
        return f"{_REPLAYED} their delivery id, as a hook does.{own}"
    return (
        f"{_REPLAYED} their content. A hook does so with `repeats: content`; by default, a hook also compares the "
        f"delivery id, which is not signed.{own}"
    )


_REPLAYED = "No time limit: a replayed request still verifies, so recognize repeats by"
_OWN_LIMIT = "The sender signs a timestamp but sets no tolerance; `tolerance_seconds` sets one."


def body_in_words(scheme: Scheme) -> str:
    """A sentence if the check does not cover the body; otherwise empty."""
    if any(isinstance(check, Certificate) and check.style == "paypal" for check in scheme.checks):
        return (
            "Only the CRC-32 of the body is signed, and a different body can have the same CRC-32: only TLS protects "
            "the body."
        )
    return "" if covers_body(scheme) else "The check does not cover the body: only TLS protects it."


def covers_body(scheme: Scheme) -> bool:
    """Whether no check of the scheme can pass with a different body, or with different values in it."""
    return all(_covers_body(check) for check in scheme.checks)


def _covers_body(check: Check) -> bool:
    match check:
        case Signature():
            return all("{body" in text for text in ((check.signed,) if isinstance(check.signed, str) else check.signed))
        case Jwt():
            return check.body_hash is not None
        case _:
            return isinstance(check, Certificate | ItemSignatures | SortedParameters)


def _window(check: Check) -> float | None:
    """For how many seconds a replay is accepted: 0 if until the token expires, None if forever."""
    match check:
        case Signature() | SortedParameters():
            return check.timestamp.tolerance_seconds if check.timestamp else None
        case Certificate():
            return check.tolerance_seconds
        case Jwt():
            return 0 if check.age_seconds is None and check.needs_exp else check.age_seconds
        case _:
            return None


def _is_timed(check: Check) -> bool:
    """Whether the sender signs a timestamp."""
    return isinstance(check, Certificate) or getattr(check, "timestamp", None) is not None


def place_in_words(text: str) -> str:
    """A source in Markdown: what kind of value it is, and its name."""
    kinds = {
        "header": "the headers " if " & " in text else "the header ",
        "query": "the query parameter ",
        "form": "the form field ",
        "json": "the JSON member ",
        "part": "the signature's part ",
    }

    found, before = "", ""
    for word in re.split(r"( [|&] )", text):
        kind, _, name = word.strip().partition(":")
        what = "" if kind == before else kinds.get(kind, "")
        found += {" | ": " or ", " & ": " and "}.get(word) or f"{what}`{name}`"
        before = kind if name else before
    return found


def _check(check: Check) -> str:
    match check:
        case Signature():
            return _signature(check)
        case Token():
            behind = f" after `{check.prefix.strip()}`" if check.prefix else ""
            return f"the secret{behind} in {place_in_words(check.source)}"
        case Basic():
            return "the user name and password in the header `Authorization`"
        case SortedParameters():
            name = check.algorithm.upper()
            place = place_in_words(check.signature.source)
            encoded = f"in {check.signature.encoding}, in {place}"
            return f"the {name} of {_STYLES[check.style]}, {encoded}{_age(check.timestamp)}"
        case Certificate():
            return f"an RSA signature of {_STYLES[check.style]}, with the certificate at the URL in the request"
        case Jwt():
            return _jwt(check)
        case ItemSignatures():
            return (
                "the HMAC-SHA256 of the members of each item, in base64, in the item's `additionalData.hmacSignature`"
            )


def _signature(check: Signature) -> str:
    signed = check.signed if isinstance(check.signed, str) else check.signed[0]
    shown = signed.replace("\n", "\\n")
    place = check.signature
    behind = f" after `{place.prefix}`" if place.prefix else ""
    behind += f", a key's name and `{place.key_end}`" if place.key_end else ""
    name = "Ed25519" if check.algorithm == "ed25519" else check.algorithm.upper()
    if check.algorithm in PUBLIC:
        kind = f"an {name} signature"
    else:
        kind = f"the {name}" if check.algorithm.startswith("hmac-") else f"the plain {name}"
    encoding = f"{place.encoding}{behind or ','}"
    return f"{kind} of `{shown}`, in {encoding} in {place_in_words(place.source)}{_age(check.timestamp)}"


def _age(timestamp: Timestamp | None) -> str:
    limit = timestamp.tolerance_seconds if timestamp else None
    return "" if limit is None else f" (the timestamp may be at most {limit:,.0f} s old)"


def _jwt(check: Jwt) -> str:
    age = f", at most {check.age_seconds:,.0f} s old," if check.age_seconds is not None else ""
    token = f"a JWT ({', '.join(check.algorithms)}){age} in {place_in_words(check.source)}"
    found = ["its signature"]
    if check.body_hash:
        found.append(f"the SHA-256 of the body (claim `{check.body_hash.claim}`)")
    if check.url_hash:
        found.append(f"the SHA-256 of the URL (claim `{check.url_hash.claim}`)")
    names = [" (or ".join(f"`{each}`" for each in name.split(" | ")) + ")" * name.count(" | ") for name in check.claims]
    if names:
        found.append(f"the claim{'s' if len(names) > 1 else ''} {_and(names)}")
    return f"{token}: {_and(found)}" if len(found) > 1 else token


def _and(found: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))
