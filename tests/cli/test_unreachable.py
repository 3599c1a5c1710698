"""A server that is not found, or not trusted: what commands advise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.net.certificates import Authority
from tests.net.world import FINE, listening, saying
from tidings.cli.local.doctor_server import look_at_server
from tidings.cli.session import elsewhere
from tidings.client import Client, ConnectionFailed
from tidings.client.exchange import DEFAULT_URL


@pytest.mark.slow
def test_doctor_advises_a_start_only_if_nothing_listens() -> None:
    with listening(saying(FINE), tls=Authority().server()) as other:
        [found] = look_at_server(other.url(), "")
    assert "is not trusted" in found.detail and "SSL_CERT_FILE" in found.detail and "tidings serve" not in found.detail
    [found] = look_at_server("http://127.0.0.1:1", "")
    assert "Start the server with `tidings serve`" in found.detail


def test_a_server_that_is_not_found_is_looked_for_where_the_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConnectionFailed) as wrong, Client("http://127.0.0.1:1", retries=0) as client:
        list(client.events())
    advice = "If the server listens elsewhere, pass its URL with --url or TIDINGS_URL."
    assert elsewhere(wrong.value, DEFAULT_URL).strip() == advice
    (tmp_path / "tidings.yaml").write_text("settings:\n  port: 9000\n")
    assert "./tidings.yaml sets `port` to 9000: pass --url http://127.0.0.1:9000," in elsewhere(
        wrong.value, DEFAULT_URL
    )
    for text in ("settings: {port: 8080}\n", "settings: {prot: 1}\n", "settings: [\n"):
        (tmp_path / "tidings.yaml").write_text(text)
        assert elsewhere(wrong.value, DEFAULT_URL).strip() == advice
    assert elsewhere(wrong.value, "http://127.0.0.1:1") == ""
