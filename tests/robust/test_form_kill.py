"""kill -9 at random moments while a form is submitted: whoever was thanked is an event, exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forms.world import DeclaredForm, ask, token_in
from tests.kills import taken_in_once_through_kills
from tidings.testing import ProcessServer


@pytest.mark.slow
def test_forms_through_kills_at_random_moments(tmp_path: Path, database: str | None) -> None:
    pages: dict[int, str] = {}
    with ProcessServer(tmp_path, database=database) as server:
        view = {"path": "guest", "fields": {"n": {"type": "integer"}}, "max_per_minute": 0}
        form = DeclaredForm(server, server.api.post("/v1/forms", view))  # type: ignore[arg-type]

        def submit(number: int) -> int:
            if number not in pages:
                pages[number] = token_in(ask(server.url, "GET", form.path, b"", {}).body.decode())
            return form.post({"n": str(number), "_token": pages[number]}).status

        taken_in_once_through_kills(server, submit, senders=6, kills=4)
