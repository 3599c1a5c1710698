"""The page `/docs`: what a key may call, to copy and try; the full reference next to it; and the files of both.

The pages contain nothing about this server. In the browser they fetch the document for the key that was entered, and
are drawn from it. Files are read when they are first asked for, and kept.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files

import msgspec

from tidings.model.errors import NotFound
from tidings.rules.network.origin import public_url
from tidings.web.habits.revisions import IF_NONE_MATCH, names
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts
from tidings.web.wire.packing import VARY, takes_gzip

TAG = "Service"
HTML = "text/html; charset=utf-8"
STATIC = files("tidings.web.docs") / "static"
SCALAR = "scalar-1.72.1.js"
"""A third-party script (static/vendor/README.md). Its name contains its version, so browsers may cache it."""

_MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_FOLDERS = {
    "page": "page.css page.js question.js answer.js links.js limits.js webhooks.js snippets.js",
    "form": "form.js body.js fields.js schema.js",
    "shared": "dom.js json.js session.js",
    "reference": "reference.css reference.js",
}
OURS = {name: folder for folder, names in _FOLDERS.items() for name in names.split()}
"""Our own files, each with its folder below static/. All are served below `/docs/`, so scripts import each other as
`./dom.js`."""
_KEEP = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_TAG_CHARS = 24

_SHARED_POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
_CLOSED = "form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = f"{_SHARED_POLICY}style-src 'self'; {_CLOSED}; require-trusted-types-for 'script'; trusted-types 'none'"
"""Allows only our own scripts, none of which may turn text into markup."""
REFERENCE_POLICY = f"{_SHARED_POLICY}style-src 'self' 'unsafe-inline'; {_CLOSED}"
"""Allows what Scalar needs: it has its styles inside its script, and turns text that it has sanitized into markup."""


class File(msgspec.Struct, frozen=True):
    """One file as it is sent. `packed`: the content is gzip."""

    content: bytes
    media: str
    tag: str
    keep: str
    packed: bool


async def docs(parts: Parts, request: Request) -> Answer:
    """The page of a key's operations."""
    return _page("page/docs.html", PAGE_POLICY)


async def reference(parts: Parts, request: Request) -> Answer:
    """The page of the full reference."""
    return _page("reference/reference.html", REFERENCE_POLICY)


async def docs_file(parts: Parts, request: Request) -> Answer:
    """A script or style of the two pages."""
    name = request.path["file"]
    if name != SCALAR and name not in OURS:
        raise NotFound(f"There is no file {name[:100]} for these pages.")
    file = _file(name)
    headers = [("etag", f'W/"{file.tag}"'), VARY]
    wanted = names(request, "if-none-match")
    if "if-none-match" in request.headers and (wanted is None or file.tag in wanted):
        return Answer(304, None, headers, cache=file.keep)
    content = file.content
    if file.packed and takes_gzip(request.headers.get("accept-encoding", "")):
        headers.append(("content-encoding", "gzip"))
    elif file.packed:
        content = gzip.decompress(content)
    return Answer(200, content, headers, media=file.media, cache=file.keep)


async def to_docs(parts: Parts, request: Request) -> Answer:
    """Redirect a browser to the page."""
    # Without a public URL, redirect to a relative one, which is right below any prefix that a proxy strips.
    public = public_url(parts.settings.public_url)
    relative = "docs" if request.operation.path == "/" else "../docs"
    return Answer(307, None, [("location", f"{public.whole}/docs" if public else relative)])


def _page(name: str, policy: str) -> Answer:
    headers = [("content-security-policy", policy), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")]
    return Answer(200, _html(name), headers, media=HTML)


@cache
def _html(name: str) -> bytes:
    return (STATIC / name).read_bytes()


@cache
def _file(name: str) -> File:
    """A file by a name that is known to be one of ours."""
    packed = name == SCALAR
    content = (STATIC / "vendor" / f"{name}.gz" if packed else STATIC / OURS[name] / name).read_bytes()
    return File(
        content=content,
        media=_MEDIA[name.rpartition(".")[2]],
        tag=hashlib.sha256(content).hexdigest()[:_TAG_CHARS],
        keep=_KEEP if packed else _ASK_AGAIN,
        packed=packed,
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="docs",
        method="GET",
        path="/docs",
        scope=None,
        summary="Open the page that shows a key's operations, to copy and try",
        handler=docs,
        tag=TAG,
        internal=True,
        response=str,
        media=HTML.partition(";")[0],
    ),
    Operation(
        name="docs_reference",
        method="GET",
        path="/docs/reference",
        scope=None,
        summary="Open the full reference as a page",
        handler=reference,
        tag=TAG,
        internal=True,
        response=str,
        media=HTML.partition(";")[0],
    ),
    Operation(
        name="docs_file",
        method="GET",
        path="/docs/{file}",
        scope=None,
        summary="Fetch a script or style of these pages",
        handler=docs_file,
        tag=TAG,
        internal=True,
        parameters=(IF_NONE_MATCH,),
        response=str,
        media="text/*",
    ),
)


def _lead(name: str, path: str) -> Operation:
    return Operation(
        name=name,
        method="GET",
        path=path,
        scope=None,
        summary="Redirect to the page /docs",
        handler=to_docs,
        tag=TAG,
        internal=True,
        status=307,
    )


LEADS: tuple[Operation, ...] = (_lead("root", "/"), _lead("docs_folder", "/docs/"))
"""The paths that people try first. They are in no document, because they are not operations."""
