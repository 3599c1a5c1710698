"""What a start says: the URL that a person can call."""

from __future__ import annotations

import pytest

from tidings.cli.local.process.saying import announce


@pytest.mark.parametrize(
    ("url", "reachable"),
    [
        ("http://0.0.0.0:80", "http://127.0.0.1:80"),
        ("http://[::]:80", "http://[::1]:80"),
        ("http://10.0.0.0:80", "http://10.0.0.0:80"),
    ],
)
def test_a_server_that_listens_everywhere_says_where_it_can_be_called(
    url: str, reachable: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(url, "tdk_key", as_json=False)
    said = capsys.readouterr().out
    assert f"Tidings listens on {url};" in said
    assert f"{reachable}/docs" in said and f"TIDINGS_URL to {reachable}," in said


def test_the_default_url_need_not_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    announce("http://0.0.0.0:8080", "tdk_key", as_json=False)
    assert "TIDINGS_URL" not in capsys.readouterr().out
