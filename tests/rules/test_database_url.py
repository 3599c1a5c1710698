"""A password of a database's URL is not shown, whatever is in it, and a URL that libpq reads otherwise is refused."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from tidings.rules.network.database_url import WRONG, check, without_password

SOUND = {
    "postgresql://tidings@localhost/tidings": "postgresql://tidings@localhost/tidings",
    "postgres://tidings:one%40two@db:5432/x": "postgres://tidings@db:5432/x",
    "postgresql://tidings:o#n?e:t@[::1]:5432,b:1/x?sslmode=require": (
        "postgresql://tidings@[::1]:5432,b:1/x?sslmode=require"
    ),
    "postgresql:///x?user=a&password=one&host=/run/pg": "postgresql:///x?user=a&host=/run/pg",
    "postgresql://localhost/x?sslpassword=one": "postgresql://localhost/x",
    "postgresql://%2Frun%2Fpg/x": "postgresql://%2Frun%2Fpg/x",
    "postgresql://localhost/x?application_name=me@home": "postgresql://localhost/x?application_name=me@home",
    "postgresql://me@/x?application_name=me@home:1": "postgresql://me@/x?application_name=me@home:1",
    "postgresql://": "postgresql://",
}


@pytest.mark.parametrize("url", SOUND)
def test_a_sound_url_is_shown_without_its_password(url: str) -> None:
    conninfo_to_dict(url)
    assert without_password(url) == SOUND[url]


@pytest.mark.parametrize(
    "password",
    ["one%two", "one@two", "one/two", "1/two", "one@two/3", "one@two?3", "one@two?a=b", "one%00two", "a@b@c"],
)
def test_a_url_whose_password_ends_elsewhere_than_meant_is_refused(password: str) -> None:
    url = f"postgresql://tidings:{password}@127.0.0.1/x"
    with pytest.raises(ValueError, match="percent-encoded") as wrong:
        check(url)
    assert str(wrong.value) == WRONG
    assert wrong.value.__cause__ is None
