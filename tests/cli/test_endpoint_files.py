"""Certificates and keys from files: `--ca`, `--client-certificate`, `--client-key`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.net.certificates import Authority

AUTHORITY = Authority("Theirs")
GOOD = AUTHORITY.issue("us")
URL = "https://127.0.0.1:9/tls"


def written(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text)


@pytest.mark.slow
def test_certificates_are_read_from_files(read: Any, run: Run, tmp_path: Path) -> None:
    written(tmp_path, ca=AUTHORITY.pem, us=GOOD.certificate, key=GOOD.key, both=GOOD.key + GOOD.certificate)
    made = read("endpoints", "create", URL, "--ca", "ca", "--client-certificate", "us", "--client-key", "key", "--once")
    assert made["client_certificate"]["subject"] == "CN=us" and made["ca"][0]["subject"] == "CN=Theirs"
    same = run("endpoints", "create", URL, "--ca", "ca", "--client-certificate", "both", "--once")
    assert "is already registered" in same.stdout, same.output
    other = run("endpoints", "create", URL, "--ca", "us", "--once")
    assert "different values for ca" in other.stderr
    assert read("endpoints", "edit", made["id"], "--client-certificate", "both")["revision"] == 1
    taken = read("endpoints", "edit", made["id"], "--set", "client_certificate=null")
    assert taken["client_certificate"] is None and taken["ca"] == made["ca"]


def test_unusable_files_are_refused_in_a_sentence(run: Run, tmp_path: Path) -> None:
    written(tmp_path, us=GOOD.certificate, key=GOOD.key)
    (tmp_path / "der").write_bytes(b"\x30\x82")
    for args, sentence in (
        (["--ca", "nowhere"], "--ca nowhere cannot be read: No such file or directory."),
        (["--client-certificate", "key"], "contains no certificate in PEM format"),
        (["--client-certificate", "us"], "also pass --client-key FILE"),
        (["--client-certificate", "us", "--client-key", "der"], "convert it: openssl pkey -inform der -in der"),
        (["--client-key", "key"], "also pass --client-certificate FILE"),
        (["--client-certificate", "us", "--client-key", "us"], "not a private key"),
    ):
        said = run("endpoints", "create", URL, *args)
        assert said.exit_code == 1 and sentence in said.stderr, said.output
