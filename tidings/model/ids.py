"""Ids: a prefix and a UUIDv7 (RFC 9562) in Crockford base32, so that they are typed and sort by time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache

from tidings.model.moment import Micros

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_CHARS = 26

_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_VALUES = {char: value for value, char in enumerate(ALPHABET)}
_TEXT = re.compile(rf"[0-7][{ALPHABET}]{{25}}")
_TO_PYTHON = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")
"""Translates our base-32 digits to those of Python."""
_NUMBER_BITS = 62
_SEQ_MASK = (1 << _NUMBER_BITS) - 1
_MARKS = (7 << 76) | (2 << 62)
"""The version and the variant of a UUIDv7, within its low 80 bits; the other 74 of these bits are random."""
_CHANCE = (0xFFF << 64) | _SEQ_MASK
_HALF_BYTES, _HALF_CHARS = 10, 16
_CHARS = ALPHABET.encode() * 8
"""By the value of a byte, the character for five of its bits."""
_VERSION = "".join(ALPHABET[0b01110 | byte & 0b00001] for byte in range(256))
_VARIANT = "".join(ALPHABET[0b01000 | byte & 0b10011] for byte in range(256))
"""The same for the two characters that contain the version and the variant."""


_AHEAD = 256
_ahead: list[str] = []
"""The random halves of the next ids. Taking one is atomic, so threads share them without a lock."""
os.register_at_fork(after_in_child=_ahead.clear)


def new_id(prefix: str, now: Micros, random_bytes: Callable[[int], bytes] | None = None) -> str:
    """A new id such as `evt_01kb...`: 48 bits of milliseconds, 74 random bits."""
    half = _next_half() if random_bytes is None else _halves(random_bytes(_HALF_BYTES))[0]
    return f"{prefix}_{_millis_text(now // 1000)}{half}"


def new_ids(prefix: str, now: Micros, count: int) -> list[str]:
    """Many new ids at once."""
    head = f"{prefix}_{_millis_text(now // 1000)}"
    return [head + half for half in _new_halves(count)]


def _next_half() -> str:
    try:
        return _ahead.pop()
    except IndexError:
        # Not one by one: asking the system hands the interpreter over, and under load it is long in coming back.
        half, *more = _new_halves(_AHEAD)
        _ahead.extend(more)
        return half


def _new_halves(count: int) -> list[str]:
    """The last 16 characters of ids, one random byte for each: a tenth of the cost of `_halves`."""
    chance = os.urandom(_HALF_CHARS * count)
    text, firsts, fourths = chance.translate(_CHARS).decode(), _VERSION, _VARIANT
    return [
        f"{firsts[chance[at]]}{text[at + 1 : at + 3]}{fourths[chance[at + 3]]}{text[at + 4 : at + _HALF_CHARS]}"
        for at in range(0, len(chance), _HALF_CHARS)
    ]


def _halves(chance: bytes) -> list[str]:
    """The last 16 characters of ids, one for each ten random bytes."""
    pairs, found = _PAIRS, []
    for at in range(0, len(chance), _HALF_BYTES):
        low = int.from_bytes(chance[at : at + _HALF_BYTES], "big") & _CHANCE | _MARKS
        # Unrolled, since one is made for each event: 80 bits are eight pairs of characters.
        found.append(
            f"{pairs[low >> 70]}{pairs[low >> 60 & 1023]}{pairs[low >> 50 & 1023]}{pairs[low >> 40 & 1023]}"
            f"{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
        )
    return found


def lowest_id(prefix: str, at: Micros) -> str:
    """A text that sorts below every id made at this time or later, and above every id made before."""
    return f"{prefix}_{_millis_text(at // 1000)}"


def made_at(ident: str) -> Micros:
    """When an id was made, to the millisecond."""
    return int(ident.partition("_")[2][:10].translate(_TO_PYTHON), 32) * 1000


def delivery_id(number: int, created: Micros) -> str:
    """An id with a 62-bit number where a UUIDv7 has random bits, so no index is needed."""
    return f"dlv_{_base32((created // 1000) << 80 | _MARKS | number)}"


def delivery_parts(text: str) -> tuple[int, int] | None:
    """The milliseconds and the number inside a delivery's id; None if the text is not such an id."""
    value = _read(text, "dlv")
    return None if value is None else (value >> 80, value & _SEQ_MASK)


def _base32(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


@lru_cache(maxsize=16)
def _millis_text(millis: int) -> str:
    pairs = _PAIRS
    return (
        f"{pairs[millis >> 40]}{pairs[millis >> 30 & 1023]}{pairs[millis >> 20 & 1023]}{pairs[millis >> 10 & 1023]}"
        f"{pairs[millis & 1023]}"
    )


def _read(text: str, prefix: str) -> int | None:
    head, _, body = text.partition("_")
    if head != prefix or not _TEXT.fullmatch(body):
        return None
    value = 0
    for char in body:
        value = value << 5 | _VALUES[char]
    return value
