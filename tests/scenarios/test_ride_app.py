"""Scenario 21: one request, four services with their own credentials, and one of them retried alone."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import fits, run

pytestmark = pytest.mark.slow

GOT = {"maps": {"from", "to"}, "sms": {"To", "From", "Body"}, "payment": {"amount", "currency", "source", "capture"}}


def test_ride_app() -> None:
    said = run("ride_app/run.py")
    assert fits(said)
    tries = dict(re.findall(r"^(\w+) was called (.+):$", said, re.MULTILINE))
    assert tries == {"maps": "once", "sms": "once", "payment": "3 times", "mail": "once"}
    for name, fields in GOT.items():
        content = re.search(rf"^{name} was called .*\n((?:    .*\n)+)", said, re.MULTILINE)
        assert content is not None and set(re.findall(r"^    (\w+): ", content[1], re.MULTILINE)) == fields
    assert "payment  delivered  ['bad_status', 'bad_status', 'ok']" in said
    assert said.endswith("one retried alone.\n")
