"""Scenario 10: every registered site builder hears of a published post, and nobody of a draft."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_publish_post() -> None:
    said = run("publish_post/run.py")
    assert said.count("was told: [('posts.published', 'hello'), ('posts.revised', 'hello')]") == 3
    assert "A builder asks for the draft: 404" in said
    assert said.endswith("Every site builder knows, and no draft is out.\n")
