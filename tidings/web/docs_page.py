"""The page `/docs`: enter a key, see the operations that it may use, copy them as curl, try them."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from tidings.web.menu import Answer, Call, Operation
from tidings.web.parts import Parts

TAG = "Service"
MEDIA = "text/html; charset=utf-8"


async def docs(parts: Parts, call: Call) -> Answer:
    """The page. It holds nothing of this server: the page itself asks for the document of the key."""
    page, policy = _page()
    headers = [("content-security-policy", policy), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")]
    return Answer(200, page, headers, media=MEDIA)


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy (CSP level 3) that permits its own script and style and nothing else."""
    text = (files("tidings.web") / "static" / "docs.html").read_text(encoding="utf-8")
    script, style = _hash(text, "script"), _hash(text, "style")
    policy = (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy


def _hash(text: str, tag: str) -> str:
    inside = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    assert inside is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="docs",
        method="GET",
        path="/docs",
        scope=None,
        summary="The documentation page",
        handler=docs,
        tag=TAG,
        response=str,
        media=MEDIA.partition(";")[0],
    ),
)
