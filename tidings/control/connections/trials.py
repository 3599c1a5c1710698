"""Trying a connection: whether it reaches the other system, and whether its credentials are accepted.

Nothing is changed there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from tidings.control.connections.connections import WHOLE, WRITE, Connections
from tidings.model.access import Caller
from tidings.model.calls.connection import Connection
from tidings.model.calls.trial import Reached
from tidings.rules.reading.refused import Refused

PATH_PATTERN = r"^[/?]([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*$"
PATH_CHARS_MAX = 2_000

_PATH = re.compile(PATH_PATTERN)


class ConnectionTrials:
    """Tries connections on behalf of callers."""

    def __init__(self, connections: Connections, reach: Callable[[Connection, str], Awaitable[Reached]]) -> None:
        """`reach`: greets the other system, and requests a path from it if given."""
        self._connections, self._reach = connections, reach

    async def test(self, caller: Caller, name: str, path: str | None) -> Reached:
        """Test a connection. `path`: what to GET. Raises NotFound, Invalid or Unavailable."""
        connection = self._connections.find(caller, name)
        caller.need(WRITE, WHOLE)
        if path is not None and connection.options.is_mail:
            raise Refused("/path", "contradiction", "A mail server has no paths. Leave `path` out.")
        if path is not None and (len(path) > PATH_CHARS_MAX or not _PATH.fullmatch(path)):
            detail = "`path` must be a percent-encoded path such as /me. It is appended to the connection's `base`."
            raise Refused("/path", "url", detail)
        return await self._reach(connection, path or "")
