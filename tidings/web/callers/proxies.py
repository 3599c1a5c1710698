"""The address that a request came from, seen through the proxies that the operator trusts."""

from __future__ import annotations

from typing import Any

from tidings.rules.network.address import Networks
from tidings.rules.network.client_address import client_address


class Callers:
    """Finds the address of each request's caller. Created only if there are trusted proxies."""

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted

    def of(self, scope: Any) -> str:
        """The caller as `address:port`, in the server's form; the port of a caller behind a proxy is unknown, so it
        is 0."""
        host = scope.client.rpartition(":")[0].strip("[]")
        forwarded_for: list[str] = []
        forwarded: list[str] = []
        for name, value in scope.headers.items():
            if name == "x-forwarded-for":
                forwarded_for.append(value)
            elif name == "forwarded":
                forwarded.append(value)
        caller = client_address(host, forwarded_for, forwarded, self._trusted)
        if caller == host:
            return str(scope.client)
        return f"[{caller}]:0" if ":" in caller else f"{caller}:0"
