"""Ids of deliveries: each contains the delivery's number, so no index is needed, but encrypted, so nobody can read it.

Numbers count everybody's deliveries. So the number is encrypted by a Feistel network of four rounds (the Luby-Rackoff
construction), keyed with the secret key and with the time that the id begins with: it looks random, but can be
reversed.
"""

from __future__ import annotations

import hashlib

from tidings.model.ids import delivery_id, delivery_parts
from tidings.model.moment import Micros
from tidings.store.seal import Sealer

HALF_BITS = 31
_HALF = (1 << HALF_BITS) - 1
_ROUNDS = (0, 1, 2, 3)
_blake = hashlib.blake2b


class DeliveryIds:
    """Makes ids of deliveries and reads them. May be used by any thread."""

    def __init__(self, sealer: Sealer, plain_until: int) -> None:
        """`plain_until`: ids of deliveries up to this number may contain the plain number; they are still accepted."""
        self._key = sealer.derived("ids of deliveries")
        self._plain_until = plain_until

    def of(self, number: int, created: Micros) -> str:
        """The id of a delivery."""
        millis, left, right = created // 1000, number >> HALF_BITS, number & _HALF
        for step in _ROUNDS:
            left, right = right, left ^ self._round(step, right, millis)
        return delivery_id(left << HALF_BITS | right, created)

    def numbers(self, text: str) -> list[int]:
        """The numbers that an id may stand for, the likeliest first; compare with `of` or `is_plain`."""
        parts = delivery_parts(text)
        if parts is None:
            return []
        millis, given = parts
        left, right = given >> HALF_BITS, given & _HALF
        for step in _ROUNDS[::-1]:
            left, right = right ^ self._round(step, left, millis), left
        number = left << HALF_BITS | right
        return [number, given] if given <= self._plain_until else [number]

    def means(self, text: str, number: int, created: Micros) -> bool:
        """Whether this is the id of the delivery with this number, made at this time."""
        if text == self.of(number, created):
            return True
        return number <= self._plain_until and text == delivery_id(number, created)

    def _round(self, step: int, half: int, millis: int) -> int:
        block = (step << 80 | half << 48 | millis).to_bytes(11, "big")
        return int.from_bytes(_blake(block, key=self._key, digest_size=4).digest(), "big") & _HALF
