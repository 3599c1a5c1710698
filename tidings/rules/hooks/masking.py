"""Requests as people see them: without the credentials that some senders show instead of signing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidings.rules.reading.hiding import HIDDEN, hiding
from tidings.rules.schemes import Scheme
from tidings.rules.schemes.form import Basic, Token

__all__ = ["HIDDEN", "masked", "shows_secret"]

Headers = tuple[tuple[str, str], ...]


def shows_secret(scheme: Scheme) -> bool:
    """Whether requests of a scheme hold the secret itself."""
    return any(isinstance(check, Token | Basic) for check in scheme.checks)


def masked(scheme: Scheme, secrets: Sequence[str], target: str, headers: Headers) -> tuple[str, Headers]:
    """The target and the headers, with what is a credential in this scheme, or a secret of the hook, hidden."""
    without = hiding(tuple(secrets)).text
    places = [each.strip() for check in scheme.checks for each in _places(check)]
    names = {place[7:].lower() for place in places if place.startswith("header:")}
    for name in [place[6:] for place in places if place.startswith("query:")]:
        target = re.sub(rf"([?&]{re.escape(name)}=)[^&]*", rf"\g<1>{HIDDEN}", target)
    hidden = tuple((name, HIDDEN if name.lower() in names else without(value)) for name, value in headers)
    return without(target), hidden


def _places(check: object) -> list[str]:
    if isinstance(check, Basic):
        return ["header:Authorization"]
    return re.split(r" [|&] ", check.source) if isinstance(check, Token) else []
