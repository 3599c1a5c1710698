"""`/llms.txt` says how to call, and names every operation."""

from __future__ import annotations

import re

from tests.repository import ROOT
from tidings.testing import TestServer
from tidings.web.operations import OPERATIONS


def test_a_language_model_finds_every_operation() -> None:
    with TestServer() as server:
        reply = server.api.with_key(None).call("GET", "/llms.txt")
        assert reply.status == 200 and reply.headers["content-type"] == "text/plain; charset=utf-8"
        text = reply.body.decode()
        assert text == (ROOT / "docs" / "reference" / "llms.txt").read_text()
        assert text.startswith("# Tidings\n\n> A self-hosted server")
        named = set(re.findall(r"^- `(\w+ /\S+)`: ", text, re.MULTILINE))
        assert named >= {f"{each.method} {each.path}" for each in OPERATIONS if not each.internal}
        for link in re.findall(r"\]\((v1\S+|docs)\)", text):
            assert server.api.call("GET", f"/{link}").status == 200
