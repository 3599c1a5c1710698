"""The style sheet, scripts and pictures of our pages: hashed URLs that browsers keep for a year, gzip."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

STATIC = files("tidings.web.pages") / "static"
FOLDER = "@"
"""The path segment below which assets are: `/console/@/page.1f2e3d4c5b6a7988.css`."""
KEEP = "public, max-age=31536000, immutable"

_MEDIA = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HASH_CHARS = 16


class Asset(msgspec.Struct, frozen=True):
    """One file as it is sent: `packed` is the content as gzip."""

    name: str
    content: bytes
    packed: bytes
    media: str


@cache
def assets() -> dict[str, Asset]:
    """Every asset by its name in a URL."""
    return {asset.name: asset for asset in _all().values()}


@cache
def names() -> dict[str, str]:
    """By a file's own name, such as `page.css`, its name in a URL."""
    return {name: asset.name for name, asset in _all().items()}


@cache
def _all() -> dict[str, Asset]:
    return {source.name: _read(source) for source in _sources(STATIC)}


def _sources(folder: Traversable) -> Iterator[Traversable]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            yield from _sources(each)
        elif each.name.rpartition(".")[2] in _MEDIA:
            yield each


def _read(source: Traversable) -> Asset:
    content = source.read_bytes()
    stem, _, kind = source.name.rpartition(".")
    name = f"{stem}.{hashlib.sha256(content).hexdigest()[:_HASH_CHARS]}.{kind}"
    return Asset(name, content, gzip.compress(content, 9, mtime=0), _MEDIA[kind])
