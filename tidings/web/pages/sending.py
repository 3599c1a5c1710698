"""Pages and assets as responses: with gzip if the browser accepts it, and with the headers that each needs."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any

from tidings.web.pages.assets import KEEP, assets
from tidings.web.wire.packing import GZIP_WINDOW, VARY, takes_gzip

PACKED_BYTES_MIN = 1_024
"""Smaller pages are not compressed: they fit into one packet."""
AT_ONCE_BYTES_MAX = 64 * 1024
"""Larger pages are compressed in a thread."""
LEVEL = 5
HTML = ("content-type", "text/html; charset=utf-8")
PRIVATE = ("cache-control", "no-store")
ALWAYS = [("server", "tidings"), ("x-content-type-options", "nosniff")]

Headers = Sequence[tuple[str, str]]


async def send(proto: Any, status: int, body: bytes, headers: Headers, accepted: str = "") -> int:
    """Write a response that nobody may keep.

    `accepted`: the browser's Accept-Encoding; empty to send it uncompressed.
    """
    whole = [*ALWAYS, PRIVATE, *headers]
    if not body:
        proto.response_empty(status, whole)
        return status
    if accepted:
        whole.append(VARY)
        if len(body) >= PACKED_BYTES_MIN and takes_gzip(accepted):
            whole.append(("content-encoding", "gzip"))
            body = await _packed(body)
    proto.response_bytes(status, whole, body)
    return status


async def send_page(proto: Any, status: int, page: str, headers: Headers, accepted: str = "") -> int:
    """Write a page."""
    return await send(proto, status, page.encode(), [HTML, *headers], accepted)


def redirect(proto: Any, to: str, headers: Headers = ()) -> int:
    """Send a browser to another page with GET."""
    proto.response_empty(303, [*ALWAYS, PRIVATE, ("location", to), *headers])
    return 303


def send_asset(proto: Any, name: str, headers: dict[str, str]) -> int:
    """Write an asset by its name in a URL, or 404. The content under such a name never changes."""
    asset = assets().get(name)
    if asset is None:
        proto.response_empty(404, [*ALWAYS, PRIVATE])
        return 404
    if f'"{asset.name}"' in headers.get("if-none-match", ""):
        proto.response_empty(304, [*ALWAYS, ("cache-control", KEEP)])
        return 304
    sent = [*ALWAYS, ("cache-control", KEEP), ("content-type", asset.media), ("etag", f'W/"{asset.name}"'), VARY]
    if takes_gzip(headers.get("accept-encoding", "")):
        proto.response_bytes(200, [*sent, ("content-encoding", "gzip")], asset.packed)
    else:
        proto.response_bytes(200, sent, asset.content)
    return 200


async def _packed(body: bytes) -> bytes:
    if len(body) <= AT_ONCE_BYTES_MAX:
        return _pack(body)
    return await asyncio.to_thread(_pack, body)


def _pack(body: bytes) -> bytes:
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    return packing.compress(body) + packing.flush()
