"""Secrets at rest: AES-256-GCM (NIST SP 800-38D), the row's id as associated data, key from outside the database."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from tidings.store.base import StoreError

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


class Sealer:
    """Encrypts and decrypts small texts with one key."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(key)

    def seal(self, plain: bytes, owner: str) -> bytes:
        """Encrypt for the row `owner`; it can be opened for no other row."""
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._aead.encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """Decrypt. Raises StoreError where the key is another or the bytes were changed."""
        from cryptography.exceptions import InvalidTag

        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, owner.encode())
        except InvalidTag:
            raise StoreError(
                f"the secrets of {owner} cannot be read with this secret key. "
                "Start with the TIDINGS_SECRET_KEY (or the secret.key file of the data folder) they were written with."
            ) from None


def load_key(given: str | None, folder: Path) -> bytes:
    """The key from `TIDINGS_SECRET_KEY` (base64 of 32 bytes), else from `secret.key` in the folder, made if absent.

    Raises StoreError where it has another length or the file may be read by others.
    """
    if given:
        return _decode(given, "TIDINGS_SECRET_KEY")
    path = folder / "secret.key"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise StoreError(f"{path} may be read by others. Run: chmod 600 {path}") from None
        return _decode(path.read_text(), str(path))
    key = os.urandom(KEY_BYTES)
    with os.fdopen(fd, "w") as file:
        file.write(base64.b64encode(key).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"{where} must be the base64 of {KEY_BYTES} random bytes (try: openssl rand -base64 32)")
    return key
