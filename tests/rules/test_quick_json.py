"""What is read quickly is what a strict parser reads: the same value, or none."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import jiter
import pytest

from tidings.rules.reading.jsontext import BadJson, read
from tidings.rules.reading.quick import BYTES_MAX, quick

ORDINARY = {
    "type": "tasks.done",
    "subject": None,
    "data": {"é": [1, -0.5, True, {"a b": "c, \u2028 d: e"}], "n": 10**18},
}
INSERTED = [
    b'"', b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"0", b"1", b"-", b"+", b".", b"e", b"00", b"\0", b"\x1f",
    b"\x0b", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90\x80\x80", b"\xc0\x80", b"NaN", b"Infinity",
    b"null", b'"n":1,', b'"type":"x",', b"'", b"/**/", b"1e999", b"1.", b".5", b"-0", b"0x1", b"9" * 17, b"1e5",
]  # fmt: skip


def test_an_ordinary_text_is_read_quickly() -> None:
    for space in (None, 1):
        raw = json.dumps(ORDINARY, ensure_ascii=False, indent=space).encode()
        assert quick(raw) == (ORDINARY,)
        assert read(raw) == ORDINARY


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":"x","b":{}}}',
        b'[{"a":"1","b":2,"a":"3"}]',
        b'{"a":"\\n"}',
        b'{"a":1e999}',
        b"",
        b'{"a":1}}',
        b'"' + b"a" * BYTES_MAX + b'"',
    ],
)
def test_what_needs_a_closer_look_is_not(raw: bytes) -> None:
    assert quick(raw) is None


def test_numbers_beyond_64_bits_and_deep_texts_are_refused_all_the_same() -> None:
    for raw in (b'{"a":9223372036854775808}', b"[-9223372036854775809]", b"[" * 65 + b"]" * 65):
        with pytest.raises(BadJson):
            read(raw)


def test_broken_texts_are_read_as_a_strict_parser_reads_them_or_not_at_all() -> None:
    chance = random.Random(7)
    taken = 0
    for _ in range(6_000):
        raw = bytearray(json.dumps(ORDINARY, ensure_ascii=False).encode())
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(raw) + 1)
            if chance.random() < 0.3:
                del raw[at : at + chance.randrange(1, 4)]
            else:
                raw[at:at] = chance.choice(INSERTED)
        found = quick(bytes(raw))
        if found is not None:
            taken += 1
            assert _same(found[0], jiter.from_json(bytes(raw), allow_inf_nan=False, catch_duplicate_keys=True)), raw
    assert taken > 500


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return list(one) == list(other) and all(_same(one[name], other[name]) for name in one)
    if type(one) is list:
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) and (type(one) is not float or math.copysign(1, one) == math.copysign(1, other))
