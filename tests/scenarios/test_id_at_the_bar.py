"""Scenario 20: whoever has no right is refused, with the right status and a sentence that helps."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow

CALLERS = {
    "no key": "401 unauthorized: Send a key: Authorization: Bearer",
    "a wrong key": "401 unauthorized: This key is unknown",
    "a revoked key": "401 unauthorized: This key is unknown or revoked",
    "too few rights": "403 scope_missing: This needs the scope events:write. The key has: events:read",
    "another tenant": "404 not_found: There is no endpoint",
}
ITEMS = {
    "a verb too many": "403 verb_not_permitted: This key may not delete items of tabs. It may: create, edit, get, list",
    "a field too many": "403 field_not_permitted: This key may read paid, but not write it",
    "too much trust": "403 row_not_permitted: This key may not make this change",
    "a row out of sight": "404 not_found: There is no item",
    "a filter too many": "422 invalid: The query has wrong parameters. paid: Unknown parameter 'paid'",
    "a question too many": "404 not_found: This key has no question 'unpaid'",
    "another tenant reads": "404 not_found: There is no item",
    "another tenant edits": "404 not_found: There is no item",
    "no permit at all": "404 not_found: There is no collection tabs",
}
HOOKS = {
    "the genuine one": "200",
    "the same again": "200",
    "an impostor": "401 This request was refused.",
    "an old timestamp": "401 This request was refused.",
    "a changed body": "401 This request was refused.",
    "no signature": "401 This request was refused.",
    "another path": "404 There is no hook here.",
}
KEPT = {
    "an impostor": "no_match: The header Stripe-Signature does not match",
    "an old timestamp": "too_old: The request was signed 36",
    "a changed body": "no_match: The header Stripe-Signature does not match",
    "no signature": "missing_header: The header Stripe-Signature is missing.",
}
FORGED = ("an impostor", "an old timestamp", "a new timestamp", "a changed body", "no signature")


def test_id_at_the_bar() -> None:
    said = run("id_at_the_bar/run.py")
    for who, answer in {**CALLERS, **ITEMS}.items():
        assert re.search(rf"^ +{who} +{re.escape(answer)}", said, re.MULTILINE), who
    assert re.search(r"what it may do +sees the tab of anna, and writes 1200 on it", said)
    said, ours, kept = re.split(r"^(?:Webhooks to Tidings itself|Kept with the reason):$", said, flags=re.MULTILINE)
    for part, lines in ((ours, HOOKS), (kept, KEPT)):
        for what, line in lines.items():
            assert re.search(rf"^ +{what} +{re.escape(line)}", part, re.MULTILINE), what
    halves = re.split(r"^Webhooks, checked by .*$", said, flags=re.MULTILINE)[1:]
    assert len(halves) == 2
    for half in halves:
        assert re.search(r"the genuine one +is taken", half)
        for what in FORGED:
            assert re.search(rf"{what} +400 \w+: \w+", half), what
