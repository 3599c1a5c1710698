"""The URL of a PostgreSQL database, parsed the way libpq does it: which part may be shown, and what is wrong."""

from __future__ import annotations

import re
from urllib.parse import unquote

SCHEMES = ("postgresql://", "postgres://")
ADVICE = "In a password, write @ / % : # and ? percent-encoded, as %40 %2F %25 %3A %23 and %3F."
WRONG = f"The database's URL cannot be read as postgresql://USER:PASSWORD@HOST/NAME. {ADVICE}"
"""It shows no part of the URL, because nobody can tell where the password is in a malformed one."""

_URL = re.compile(r"(?P<scheme>[a-z]+://)(?:(?P<user>[^@/]*)@)?(?P<hosts>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?")
_HOST = re.compile(r"(?:\[[^]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_NO_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_PARAMETER = re.compile(r"[a-z_]+=[^=]*")
_WITH_AT = {"application_name", "fallback_application_name", "options"}
"""Parameters whose values may contain an @."""
_SECRET_PARAMETERS = {"password", "sslpassword", "scram_client_key", "oauth_client_secret"}


def check(url: str) -> None:
    """Raise ValueError, with a text that shows no part of the URL, if its password may have ended elsewhere than meant.

    URLs of other databases pass.
    """
    if not url.startswith(SCHEMES):
        return
    found = _URL.fullmatch(url)
    if (
        found is None
        or _NO_PERCENT.search(url)
        or not all(map(_HOST.fullmatch, found["hosts"].split(",")))
        or "@" in found["hosts"] + (found["path"] or "")
        or not all(map(_is_parameter, (found["query"] or "host=").split("&")))
    ):
        raise ValueError(WRONG)


def without_password(url: str) -> str:
    """The URL as it may be shown and typed; the password is read from ~/.pgpass. Raises ValueError as `check` does."""
    check(url)
    found = _URL.fullmatch(url)
    if found is None or not url.startswith(SCHEMES):
        return url
    user = (found["user"] or "").partition(":")[0]
    kept = [each for each in (found["query"] or "").split("&") if each and not _is_secret(each)]
    query = f"?{'&'.join(kept)}" if kept else ""
    return f"{found['scheme']}{user and f'{user}@'}{found['hosts']}{found['path'] or ''}{query}"


def _is_parameter(text: str) -> bool:
    """Whether it looks like `NAME=VALUE`, and not like the end of a password before `@HOST`."""
    return _PARAMETER.fullmatch(text) is not None and ("@" not in text or text.partition("=")[0] in _WITH_AT)


def _is_secret(parameter: str) -> bool:
    return unquote(parameter.partition("=")[0]) in _SECRET_PARAMETERS
