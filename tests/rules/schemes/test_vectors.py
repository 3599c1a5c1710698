"""Requests that the senders publish in their documents or test their own libraries with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tidings.rules.schemes.catalogue import named
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.verdict import Verdict
from tidings.rules.schemes.verifier import Verifier

DATA = Path(__file__).parents[2] / "data"
VECTORS = [
    vector for name in ("signatures", "more_signatures") for vector in json.loads((DATA / f"{name}.json").read_text())
]
SNS_CERTIFICATE_VALID_AT = 1_659_050_000
"""The moment of the messages, when the certificate was valid."""


def verdict(vector: dict[str, Any]) -> Verdict:
    given, fetched, settings = vector["secret"], {}, {}
    secrets = [
        each
        for each in (given.values() if isinstance(given, dict) else [given] if isinstance(given, str) else given or [])
        if each
    ]
    body = (vector["body"] or "").encode()
    request = HookRequest(vector["method"], vector["url"] or "", vector["headers"], body)
    now = vector["now"] or 0
    if vector["provider"] == "aws-sns":
        certificate, secrets = secrets[0], []
        now = SNS_CERTIFICATE_VALID_AT
        value = json.loads(body)
        settings = {"topic_arn": value["TopicArn"]}
        fetched = {value.get("SigningCertURL", value.get("SigningCertUrl")): certificate.encode()}
    verifier = Verifier(named(vector["scheme"]), secrets, settings=settings, tolerance_seconds=vector.get("tolerance"))
    if vector["now"] is not None:
        assert verifier.verify(request, now, fetched).reason == verifier.verify(request, now, fetched).reason
    return verifier.verify(request, now + vector.get("later", 0), fetched)


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{one['scheme']}: {one['name']}" for one in VECTORS])
def test_published_requests_are_judged_as_their_senders_judge_them(vector: dict[str, Any]) -> None:
    found = verdict(vector)
    assert found.ok == vector["valid"], found
