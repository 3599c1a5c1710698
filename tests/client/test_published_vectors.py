"""Requests that senders publish, judged as others would judge them: with `verify` and nothing but their fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rules.schemes.test_vectors import VECTORS
from tidings.client.webhook import BadSignature, verify


def secrets(vector: dict[str, Any]) -> list[str]:
    given = vector["secret"]
    values = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
    return [value for value in values if value]


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{one['scheme']}: {one['name']}" for one in VECTORS])
def test_the_fields_of_a_published_request_are_enough(vector: dict[str, Any]) -> None:
    options: dict[str, Any] = {}
    if vector["now"] is not None:
        options["now"] = vector["now"] + vector.get("later", 0)
    if "tolerance" in vector:
        options["tolerance_seconds"] = vector["tolerance"]
    body = (vector["body"] or "").encode()
    if vector["scheme"] == "aws-sns":
        # AWS signs for all its customers, so whose topic is meant must be said.
        options["settings"] = {"topic_arn": json.loads(body)["TopicArn"]}

    def genuine() -> bool:
        try:
            verify(
                vector["headers"],
                body,
                secrets(vector),
                scheme=vector["scheme"],
                method=vector["method"],
                url=vector["url"] or "",
                **options,
            )
        except BadSignature:
            return False
        except ValueError as error:
            # A vector without a secret asks for an unsigned token to be taken.
            assert not secrets(vector), error
            return False
        return True

    assert genuine() == vector["valid"]
