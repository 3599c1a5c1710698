"""Secrets at rest: AES-256-GCM (NIST SP 800-38D), the row's id as associated data, key from outside the database."""

from __future__ import annotations

import base64
import hmac
import os
from pathlib import Path

from tidings.store import journal
from tidings.store.base import Db, StoreError
from tidings.store.files import write_whole

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"
KEY_FILE = "secret.key"
KEY_MARK = "secret_mark"
"""The name of the stored value that identifies the store's secret key."""
PLAIN_UNTIL = "plain_until_"
MARK_CHARS = 16


class Sealer:
    """Encrypts and decrypts small texts with one key. `mark` tells keys apart without revealing anything about them."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key = key
        self._aead = AESGCM(key)
        self.mark = self.derived("mark").hex()[:MARK_CHARS]

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for another purpose (HMAC-SHA256 of its name)."""
        return hmac.digest(self._key, f"tidings {purpose}".encode(), "sha256")

    def seal(self, plain: bytes, owner: str) -> bytes:
        """Encrypt for the row `owner`; it can be decrypted only for that row."""
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._aead.encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """Decrypt. Raises StoreError if the key is a different one or the bytes were changed."""
        from cryptography.exceptions import InvalidTag

        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, owner.encode())
        except InvalidTag:
            raise StoreError(
                f"the secrets of {owner} cannot be read with this secret key. "
                "Start the server with the TIDINGS_SECRET_KEY (or the secret.key file in the data folder) that "
                "encrypted them."
            ) from None


def load_sealer(db: Db, given: str | None, folder: Path) -> Sealer:
    """The sealer of this store's key. Raises StoreError if the key is missing, or is not the store's."""
    row = db.one("store_fact", name=KEY_MARK)
    if not given and not (folder / KEY_FILE).exists() and (row is not None or db.one("any_link") is not None):
        raise StoreError(
            f"{folder / KEY_FILE} is missing, but the database has secrets that only it opens. Put it back from "
            "your copy, or pass it as TIDINGS_SECRET_KEY"
        )
    sealer = Sealer(load_key(given, folder))
    if row is not None:
        refuse_other(row[0], sealer, given, folder)
    return sealer


def refuse_other(mark: str, sealer: Sealer, given: str | None, folder: Path) -> None:
    """Raise StoreError if the mark in the store is not this key's."""
    if mark == sealer.mark:
        return
    where = "TIDINGS_SECRET_KEY" if given else str(folder / KEY_FILE)
    raise StoreError(
        f"{where} is not the key of this database: its mark is {sealer.mark}, but the database's key has "
        f"the mark {mark}. Start with the key that the database was written with"
    )


def keep_mark(db: Db, sealer: Sealer) -> str:
    """Store the mark of the key, as a write job.

    Returns the mark in the store, as another node's may have been stored first.
    """
    db.run("store_fact_keep", name=KEY_MARK, value=sealer.mark)
    row = db.one("store_fact", name=KEY_MARK)
    assert row is not None
    return str(row[0])


def plain_until(db: Db, name: str) -> int:
    """As a write job: the last number of a counter (`event`, `delivery`) that callers got unsealed.

    A version that seals checks once, at its first start: older numbers are still accepted, and guessing beyond them is
    useless.
    """
    row = db.one("store_fact", name=f"{PLAIN_UNTIL}{name}")
    if row is None:
        row = (str(journal.position(db, name)),)
        db.run("store_fact_put", name=f"{PLAIN_UNTIL}{name}", value=row[0])
    return int(row[0])


def load_key(given: str | None, folder: Path) -> bytes:
    """The key from `TIDINGS_SECRET_KEY` (base64 of 32 bytes), else from `secret.key` in the folder, made if absent.

    Raises StoreError if it has another length or the file is readable by others.
    """
    if given:
        return _decode(given, "TIDINGS_SECRET_KEY")
    path = folder / KEY_FILE
    try:
        if path.exists():
            return read_key(path)
        key = os.urandom(KEY_BYTES)
        write_whole(path, base64.b64encode(key) + b"\n")
    except OSError as wrong:
        raise StoreError(f"the secret key {path} cannot be used: {wrong.strerror}") from wrong
    return key


def read_key(path: Path) -> bytes:
    """The key in a file. Raises StoreError if it contains none, or is readable by others; also OSError."""
    text = path.read_bytes()
    if not text.strip():
        raise StoreError(
            f"{path} is empty: writing it was interrupted, for example by a power cut during the very first "
            "start. If nothing was stored here yet, remove it and start again; otherwise put the key back from "
            "your copy"
        )
    key = _decode(text.decode("ascii", "replace"), str(path))
    if path.stat().st_mode & 0o077:
        raise StoreError(f"other users can read {path}. Run: chmod 600 {path}")
    return key


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"{where} must be the base64 of {KEY_BYTES} random bytes (try: openssl rand -base64 32)")
    return key
