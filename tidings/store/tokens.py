"""Tokens of connections: one row each, sealed."""

from __future__ import annotations

import msgspec

from tidings.model.calls.connection import StoredToken
from tidings.store.base import Db
from tidings.store.seal import Sealer


class TokenStore:
    """Reads and writes tokens with one key."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def find(self, db: Db, connection: str) -> StoredToken | None:
        """The last token of a connection, by its id. Raises StoreError."""
        row = db.one("connection_token", id=connection)
        if row is None:
            return None
        return msgspec.json.decode(self._sealer.open(bytes(row[0]), connection), type=StoredToken)

    def put(self, db: Db, connection: str, token: StoredToken) -> None:
        """Keep a token, as a write job."""
        db.run("connection_token_put", id=connection, sealed=self._sealer.seal(msgspec.json.encode(token), connection))
