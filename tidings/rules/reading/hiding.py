"""Other systems' responses as people see them: without our own credentials, which some services repeat in their
responses.

A secret is found verbatim, and as base64, percent-encoding, JSON and HTML write it. It is hidden before a response is
cut; if a response was already cut within a secret, the beginning of the secret is hidden too.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

HIDDEN = "(hidden)"
SECRET_CHARS_MIN = 6
"""Shorter secrets are not hidden, because they may occur by chance in other text."""


class Hiding:
    """Hides some secrets."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        spelled = {each.encode("utf-8", "replace") for secret in secrets for each in _spellings(secret)}
        self._spelled = sorted((each for each in spelled if len(each) >= SECRET_CHARS_MIN), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._spelled))) if self._spelled else None

    def bytes(self, found: bytes) -> bytes:
        """A response without the secrets."""
        if self._pattern is None:
            return found
        found = self._pattern.sub(HIDDEN.encode(), found)
        for each in self._spelled:
            at = found.find(each[:SECRET_CHARS_MIN], max(0, len(found) - len(each)))
            while at >= 0:
                if each.startswith(found[at:]):
                    return found[:at] + HIDDEN.encode()
                at = found.find(each[:SECRET_CHARS_MIN], at + 1)
        return found

    def text(self, found: str) -> str:
        """A sentence without the secrets."""
        return self.bytes(found.encode("utf-8", "replace")).decode() if self._pattern is not None else found

    def value(self, found: Any) -> Any:
        """A JSON value without the secrets."""
        if type(found) is str:
            return self.text(found)
        if type(found) is dict:
            return {self.text(name): self.value(each) for name, each in found.items()}
        if type(found) is msgspec.Raw:
            return msgspec.Raw(self.bytes(bytes(found)))
        return [self.value(each) for each in found] if type(found) in (list, tuple) else found


@lru_cache(maxsize=1024)
def hiding(secrets: tuple[str, ...]) -> Hiding:
    """The Hiding of these secrets."""
    return Hiding(secrets)


def _spellings(secret: str) -> Iterator[str]:
    if len(secret) < SECRET_CHARS_MIN:
        return
    yield secret
    for coded in (
        quote(secret, safe="", errors="replace"),
        quote_plus(secret, errors="replace"),
        quote(secret, errors="replace"),
    ):
        yield coded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), coded)
    as_json = msgspec.json.encode(secret.encode("utf-8", "replace").decode()).decode()[1:-1]
    yield as_json
    yield as_json.replace("/", "\\/")
    yield html.escape(secret)
    yield _b64(secret).rstrip("=")
    yield base64.urlsafe_b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")


def _b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()
