"""Secrets at rest: unreadable without the key, bound to their row, and the key file is private."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from tidings.store.base import StoreError
from tidings.store.seal import Sealer, load_key, read_key


def test_a_sealed_text_opens_for_its_row_only() -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(b"whsec_abc", "ep_1")
    assert b"whsec_abc" not in sealed
    assert sealer.open(sealed, "ep_1") == b"whsec_abc"
    with pytest.raises(StoreError, match="cannot be read with this secret key"):
        sealer.open(sealed, "ep_2")
    with pytest.raises(StoreError):
        Sealer(b"x" * 32).open(sealed, "ep_1")
    with pytest.raises(StoreError):
        sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "ep_1")


def test_the_same_text_is_sealed_differently_each_time() -> None:
    sealer = Sealer(b"k" * 32)
    assert sealer.seal(b"a", "r") != sealer.seal(b"a", "r")


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    made = load_key(None, tmp_path)
    path = tmp_path / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(None, tmp_path) == made
    path.chmod(0o644)
    path.with_name("junk").write_text("junk")
    with pytest.raises(StoreError, match="base64 of 32"):
        read_key(path.with_name("junk"))
    with pytest.raises(StoreError, match="chmod 600"):
        load_key(None, tmp_path)


def test_a_given_key_must_be_32_bytes(tmp_path: Path) -> None:
    assert load_key(base64.b64encode(b"q" * 32).decode(), tmp_path) == b"q" * 32
    for wrong in ("short", base64.b64encode(b"q" * 16).decode(), "not base64 !"):
        with pytest.raises(StoreError, match="base64 of 32 random bytes"):
            load_key(wrong, tmp_path)
