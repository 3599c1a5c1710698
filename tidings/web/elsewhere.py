"""What a node that takes in has instead of the sender's parts: it passes pages on, and has no lanes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from tidings.deliver.elsewhere import DeliverElsewhere
from tidings.model.errors import TidingsError, Unavailable
from tidings.net.fetch import Fetcher
from tidings.net.helping.client import Helpers
from tidings.rules.network.origin import public_url
from tidings.store.seal import Sealer
from tidings.web.callers.arrivals import Arrivals
from tidings.web.callers.forwarded import ForwardedSeal
from tidings.web.pages.assets import FOLDER, assets
from tidings.web.pages.policy import page_headers
from tidings.web.pages.sending import send_asset, send_page
from tidings.web.pages.templates import Templates
from tidings.web.parts import Parts
from tidings.web.wire import problem
from tidings.web.wire.forwarding import ASK_SECONDS, Arrived, Forwarding
from tidings.web.wire.helping import HelpDoor, HelpWanted

RELOAD_SECONDS = 2
"""How often a refused page reloads itself."""
PRODUCTS = {"console": "Tidings", "portal": "Webhooks"}

log = logging.getLogger("tidings.web")


def among_others(parts: Parts, node: str, sealer: Sealer, helpers: Helpers, fetcher: Fetcher) -> Parts:
    """The parts of a joined node; `node`: its id. `helpers`: of the deliver stage, if this node sends. `fetcher`:
    sends requests for the node that sends, if that is another one.
    """
    seal, ca_file = ForwardedSeal(sealer, parts.clock, node), parts.settings.ca_file
    if parts.sends:
        wanted = HelpWanted(helpers, node, seal, parts.readers, ca_file, lambda: parts.catalog.now.version)
        return dataclasses.replace(parts, forwarded=seal, helpers=helpers, help_wanted=wanted)
    forwarding, door = Forwarding(node, seal, ca_file), HelpDoor(fetcher)
    return dataclasses.replace(parts, forwarded=seal, forwarding=forwarding, helping=door, deliver=DeliverElsewhere())


class DoorElsewhere:
    """Replaces a door that only the node that sends has: that of the console or the portal."""

    def __init__(self, parts: Parts, forwarding: Forwarding, name: str, bytes_max: int) -> None:
        """`name`: the first segment of its paths, and the name of its requests in metrics.

        `bytes_max`: the limit for a body.
        """
        self._parts, self._forwarding, self._name, self._bytes_max = parts, forwarding, name, bytes_max
        self._arrivals = Arrivals(parts)
        self._assets = f"/{name}/{FOLDER}/"
        public = public_url(parts.settings.public_url)
        self._root = f"{public.prefix if public else ''}/{name}"
        self._templates = Templates("tidings.web.pages")

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request (RSGI 1.x)."""
        request_id, is_refused = self._arrivals.next_id(perf_counter()), False
        headers = dict(scope.headers.items())
        try:
            client = self._arrivals.caller(scope)
            self._arrivals.count(client)
            if (asset := self._asset(scope)) is not None:
                status = send_asset(proto, asset, headers)
            else:
                arrived = Arrived(scope=scope, proto=proto, client=client, bytes_max=self._bytes_max)
                status = await self._forwarding.pass_on(self._parts, arrived)
        except Exception as wrong:
            status, is_refused = await self._refuse(scope, proto, headers, wrong, request_id), True
        # Its duration means nothing: it may be a page that stays open.
        self._arrivals.answered(self._name, status, None)
        if is_refused:
            await self._parts.bodies.discard(proto, headers, status)

    def _asset(self, scope: Any) -> str | None:
        """The requested file of our pages, if this version has it; its name identifies its content."""
        name = scope.path.removeprefix(self._assets)
        return name if name in assets() and name != scope.path and scope.method in ("GET", "HEAD") else None

    async def _refuse(self, scope: Any, proto: Any, headers: dict[str, str], wrong: Exception, request_id: str) -> int:
        """Write a refusal, as a page if a browser asks; returns its status."""
        if not isinstance(wrong, TidingsError):
            log.error(
                "%s a request could not be passed on", request_id, exc_info=wrong, extra={"request_id": request_id}
            )
            wrong = problem.Internal(request_id)
        is_part = "hx-request" in headers
        if not is_part and "text/html" not in headers.get("accept", ""):
            problem.send_problem(proto, wrong, request_id)
            return wrong.status
        is_read = scope.method in ("GET", "HEAD")
        page = self._templates.render(
            "wait.html",
            layout="part.html" if is_part else "bare.html",
            root=self._root,
            theme="auto",
            product=PRODUCTS[self._name],
            title=wrong.title,
            detail=wrong.detail,
            again=RELOAD_SECONDS if is_read and not is_part and isinstance(wrong, Unavailable) else None,
        )
        sent = [*page_headers(await self._framed_by(scope)), *problem.headers(wrong), ("request-id", request_id)]
        return await send_page(proto, wrong.status, page, sent)

    async def _framed_by(self, scope: Any) -> Sequence[str]:
        """The origins whose pages may show the page in a frame."""
        with contextlib.suppress(TidingsError, TimeoutError):
            if self._name == "portal":
                async with asyncio.timeout(ASK_SECONDS):
                    link = await self._parts.portal.shown(scope.path[1:].partition("/")[2].partition("/")[0])
                return link.options.frame_origins
        return ()
