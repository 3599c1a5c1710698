"""Scenario 20, the sending half: whoever has no right is refused, with the right status and a sentence that helps."""

from __future__ import annotations

import re

from tests.scenarios import run

CALLERS = {
    "no key": "401 unauthorized: Send a key: Authorization: Bearer",
    "a wrong key": "401 unauthorized: This key is not known",
    "a revoked key": "401 unauthorized: This key is not known, or was revoked",
    "too few rights": "403 scope_missing: This needs the scope events:write. The key has: events:read",
    "another tenant": "404 not_found: There is no endpoint",
}
FORGED = ("an impostor", "an old timestamp", "a new timestamp", "a changed body", "no signature")


def test_id_at_the_bar() -> None:
    said = run("id_at_the_bar/run.py")
    for who, answer in CALLERS.items():
        assert re.search(rf"^ +{who} +{re.escape(answer)}", said, re.MULTILINE), who
    halves = re.split(r"^Webhooks, checked by .*$", said, flags=re.MULTILINE)[1:]
    assert len(halves) == 2
    for half in halves:
        assert re.search(r"the genuine one +is taken", half)
        for what in FORGED:
            assert re.search(rf"{what} +400 \w+: \w+", half), what
