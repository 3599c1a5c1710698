"""Signature schemes over the API, and by the client."""

from __future__ import annotations

import pytest

from tests.hooks.world import HookWorld
from tidings.client import Client, NotFound
from tidings.rules import schemes


def test_a_scheme_is_shown_whole_and_its_sample_is_genuine(world: HookWorld) -> None:
    with Client(world.server.url, str(world.api.key)) as client:
        listed = [scheme["name"] for scheme in client.schemes(limit=50)]
        shown = client.scheme("stripe")
        assert client.scheme("WhatsApp")["name"] == "meta"
        with pytest.raises(NotFound, match="Did you mean"):
            client.scheme("strype")
    assert listed == list(schemes.names())
    sample = shown["sample"]
    request = schemes.HookRequest(sample["method"], sample["url"], sample["headers"], sample["body"].encode())
    own = schemes.read({"check": shown["form"]["check"]})
    assert schemes.Verifier(own, sample["secret"]).verify(request, sample["signed_at"]).ok
