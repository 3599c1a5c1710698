"""`Webhook` of the library standardwebhooks, which knows nothing of Tidings and which `make setup` installs.

Where it is missing, as after `make install`, Tidings' own check takes its place. CHECKED_BY says who checks.
"""

from __future__ import annotations

try:
    from standardwebhooks import Webhook

    CHECKED_BY = "the library standardwebhooks"
except ModuleNotFoundError:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from tidings.client import verify
    from tidings.rules.schemes.standard import Signer

    CHECKED_BY = "tidings.client.verify (after `make setup`, the library standardwebhooks)"

    class Webhook:  # type: ignore[no-redef]
        """As much of the library's class as the examples use."""

        def __init__(self, secret: str) -> None:
            self._secret = secret

        def sign(self, msg_id: str, timestamp: datetime, data: str) -> str:
            """The value of the header `webhook-signature`."""
            return Signer(self._secret).sign(msg_id, int(timestamp.timestamp()), data.encode())

        def verify(self, data: bytes, headers: Mapping[str, str]) -> Any:
            """The webhook's JSON value. Raises BadSignature."""
            return verify(headers, data, self._secret)


__all__ = ["CHECKED_BY", "Webhook"]
