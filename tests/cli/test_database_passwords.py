"""No command shows any part of a database's password, not even if the URL is read otherwise than it was meant."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tidings.outbox.database import OutboxTable, connector

COMMANDS = (
    ("check",),
    ("doctor",),
    ("backup", "x.db"),
    ("restore", "x.db", "--force"),
    ("nodes",),
    ("outbox", "status"),
    ("serve", "--port", "0"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "password",
    [
        "qxq%zvz",
        "qxq@zvz",
        "qxq/zvz",
        "qxq?zvz",
        "qxq#zvz",
        "qxq:zvz",
        "qxq@zvz?x=y",
        "qxq%00zvz",
        "qxq@zvz/x?host=zvz",
    ],
)
def test_a_password_is_shown_by_no_command(run: Run, password: str) -> None:
    url = f"postgresql://tidings:{password}@127.0.0.1:1/x"
    for command in COMMANDS:
        said = run(*command, env={"TIDINGS_DATABASE": url, "TIDINGS_OUTBOX": url})
        assert "qxq" not in said.output and "zvz" not in said.output, command
        if password not in ("qxq?zvz", "qxq#zvz", "qxq:zvz"):
            assert said.exit_code in (1, 2) and "percent-encoded, as %40 %2F %25" in said.stderr + said.stdout, command


@pytest.mark.slow
def test_a_url_of_another_kind_is_not_repeated(run: Run) -> None:
    for url in ("host=db password=secret", "tidings:secret@db", "mysql://tidings:secret@db"):
        said = run("doctor", env={"TIDINGS_DATABASE": url})
        assert "secret@" not in said.output and "=secret" not in said.output


def test_a_relay_refuses_such_a_url_before_it_runs() -> None:
    for password in ("qxq%zvz", "qxq@zvz", "qxq@zvz?x=y"):
        with pytest.raises(ValueError, match="percent-encoded") as wrong:
            OutboxTable(connector(f"postgresql+psycopg://app:{password}@db/shop"), "outbox")
        assert "zvz" not in str(wrong.value)
