"""Ids: they sort by time, and no two are the same, whoever makes them."""

from __future__ import annotations

import os
import re
import threading

from tidings.model import ids
from tidings.model.ids import made_at, new_id, new_ids

SHAPE = re.compile(r"evt_[0-7][0-9a-hjkmnp-tv-z]{9}[0-9a-hjkmnp-tv-z]{16}")


def test_ids_made_one_by_one_and_together_have_one_shape_and_their_time() -> None:
    now = 1_764_425_000_123_456
    made = [*(new_id("evt", now) for _ in range(600)), *new_ids("evt", now, 600)]
    assert len(set(made)) == 1_200
    for ident in made:
        assert SHAPE.fullmatch(ident) and made_at(ident) == now // 1_000 * 1_000
        # The version and the variant of a UUIDv7.
        value = 0
        for char in ident.partition("_")[2]:
            value = value << 5 | ids.ALPHABET.index(char)
        assert (value >> 76 & 15, value >> 62 & 3) == (7, 2)
    assert new_id("evt", now) < new_id("evt", now + 1_000)
    assert new_id("evt", now, lambda count: b"\0" * count).endswith("e008" + "0" * 12)


def test_threads_never_make_the_same_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(own: list[str]) -> None:
        own.extend(new_id("evt", 0) for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ident for own in made for ident in own}) == 8_000


def test_a_forked_process_makes_other_ids() -> None:
    new_id("evt", 0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_id("evt", 0).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100).decode() != new_id("evt", 0)
    os.close(read)
    os.close(write)
