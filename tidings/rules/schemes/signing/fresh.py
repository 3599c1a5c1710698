"""Makes each sample a new delivery: with the same id, or the same content, it would be a repeat."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from tidings.rules.schemes.form import Scheme
from tidings.rules.schemes.request import HookRequest, compact_json
from tidings.rules.schemes.signing.writing import is_at, put, put_query
from tidings.rules.schemes.sources import source

MARK = "sample_id"
"""The member or parameter that distinguishes samples if the sender has no id for its deliveries."""
DIGITS_MIN, CHARS_MIN = 9, 12


def fresh(
    scheme: Scheme, request: HookRequest, random_bytes: Callable[[int], bytes], *, own_body: bool = False
) -> HookRequest:
    """The request with the id of a new delivery, before it is signed.

    `own_body`: the body is the caller's, and is not changed.
    """
    places = [text.strip() for text in scheme.delivery_id.split(" | ") if text.strip()]
    fitting = [place for place in places if is_at(place, request)]
    present = [place for place in fitting if source(place).first(request) is not None]
    place = next(iter(present or fitting), "")
    if place and not (own_body and place.startswith(("json:", "form:"))):
        return put(request, place, like(source(place).first(request) or "", random_bytes))
    return request if own_body or place else _marked(request, like("", random_bytes))


def like(text: str, random_bytes: Callable[[int], bytes]) -> str:
    """Another id of the same kind: a UUID, a number, or characters after the same prefix."""
    try:
        uuid.UUID(text)
    except ValueError:
        pass
    else:
        return str(uuid.UUID(bytes=random_bytes(16), version=4))
    if text.isascii() and text.isdigit():
        size = max(len(text), DIGITS_MIN)
        return str(10 ** (size - 1) + int.from_bytes(random_bytes(size)) % (9 * 10 ** (size - 1)))
    cut = text.rfind("_") + 1
    size = max(len(text) - cut, CHARS_MIN)
    return text[:cut] + random_bytes(size).hex()[:size]


def _marked(request: HookRequest, ident: str) -> HookRequest:
    """The request with something in its content that no other sample has."""
    body = request.body
    if not body:
        return put_query(request, MARK, ident)
    if body.lstrip()[:1] in (b"{", b"["):
        return request.but(body=compact_json(_in_json(json.loads(body), ident)).encode())
    if "form" in request.headers.get("content-type", ""):
        return request.but(body=body + f"&{MARK}={ident}".encode())
    if body.lstrip()[:1] == b"<":
        return request.but(body=body + f"<!-- {ident} -->".encode())
    return request


def _in_json(value: Any, ident: str) -> Any:
    """An object, or the first of a list, with an additional member."""
    if isinstance(value, list):
        return [_in_json(each, ident) if at == 0 else each for at, each in enumerate(value)]
    return {**value, MARK: ident} if isinstance(value, dict) else value
