"""The RSGI application: it chooses the door by the first segment of the path.

Each door decides what happens behind it: which callers it knows, how strictly it reads, and how it refuses. New doors
are added here.
"""

from __future__ import annotations

import functools
from collections.abc import Coroutine, Mapping
from time import perf_counter
from typing import Any

from tidings.model.errors import Unavailable
from tidings.rules.network.origin import public_url
from tidings.web.api.door import ApiDoor
from tidings.web.callers.forwarded import HEADER, ForwardedSeal, passed_on
from tidings.web.console.door import ConsoleDoor
from tidings.web.elsewhere import DoorElsewhere
from tidings.web.forms.door import FormsDoor
from tidings.web.hooks.door import HooksDoor
from tidings.web.inside import Menu
from tidings.web.operations import TABLE
from tidings.web.pages.fields import POSTED_BYTES_MAX
from tidings.web.parts import Parts
from tidings.web.portal.door import PortalDoor
from tidings.web.svix.door import SvixDoor
from tidings.web.traces import Door
from tidings.web.wire import helping
from tidings.web.wire.forwarding import catch_up
from tidings.web.wire.problem import send_problem
from tidings.web.wire.request_ids import RequestIds
from tidings.web.wire.routes import Routes


@functools.cache
def _routes(prefix: str) -> Routes:
    return Routes(TABLE, prefix)


class App:
    """What the HTTP server calls for each request."""

    def __init__(self, parts: Parts, doors: Mapping[str, Door] | None = None) -> None:
        """`doors`: by the first segment of the path, such as `in` and `f`; the API's door takes the rest."""
        self._parts = parts
        public = public_url(parts.settings.public_url)
        self._forwarded, self._ids = parts.forwarded, RequestIds(parts.clock)
        self._api = ApiDoor(parts, _routes(public.prefix if public else ""))
        self._doors: dict[str, Door] = dict(doors or self._own_doors(parts))
        if (traces := parts.traces) is not None:
            # The API's doors, which take most requests, report them themselves: wrapping each would cost more.
            for name, door in self._doors.items():
                self._doors[name] = door if isinstance(door, ApiDoor) else traces.around(door, name)

    def _own_doors(self, parts: Parts) -> dict[str, Door]:
        # People and programs share the counts of wrong keys and of calls.
        inside = (parts, Menu(parts, TABLE), self._api.access, self._api.limits)
        doors: dict[str, Door]
        if (forwarding := parts.forwarding) is None:
            doors = {"console": ConsoleDoor(*inside), "portal": PortalDoor(*inside)}
        else:
            doors = {name: DoorElsewhere(parts, forwarding, name, POSTED_BYTES_MAX) for name in ("console", "portal")}
        svix = SvixDoor(parts, self._api)
        return doors | {"in": HooksDoor(parts), "f": FormsDoor(parts), "svix": svix, "api": svix}

    async def start(self) -> None:
        """Before the first request: read the stored counts."""
        await self._api.start()
        if self._parts.help_wanted is not None:
            self._parts.help_wanted.start()

    async def stop(self) -> None:
        """Before the writer is closed: end long polls and streams, and store the counts kept in memory."""
        await self._api.stop()
        for each in (self._parts.help_wanted, self._parts.helping):
            if each is not None:
                await each.stop()
        if self._parts.forwarding is not None:
            self._parts.forwarding.close()
        await self._parts.receiver.refusals.stop()

    def __rsgi__(self, scope: Any, proto: Any) -> Coroutine[Any, Any, None]:
        door = self._doors.get(scope.path[1:].partition("/")[0]) or self._api
        if self._forwarded is not None and HEADER in scope.headers:
            return self._passed_on(self._forwarded, door, scope, proto)
        return door.take(scope, proto)

    async def _passed_on(self, seal: ForwardedSeal, door: Door, scope: Any, proto: Any) -> None:
        """A request that another node passed on may depend on a change that the other node has made to the
        catalogue.
        """
        try:
            scope, parts = seal.opened(scope), self._parts
        except Unavailable as wrong:
            send_problem(proto, wrong, self._ids.next(perf_counter()))
            return
        passed = passed_on(scope)
        if passed is not None and parts.helping is not None and scope.path == helping.PATH:
            await parts.helping.take(proto)
            return
        if passed is not None and passed.version > parts.catalog.now.version:
            await catch_up(parts.writer)
        await door.take(scope, proto)
