"""Checks settings that have the right type; each error says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.settings import Settings


def wrong(settings: Settings) -> Iterator[tuple[str, str]]:
    """The name of each setting that has the right type but an unusable value, and a sentence about it."""
    yield from _places(settings)
    if not 0 <= settings.port <= PORT_MAX:
        yield "port", f"`port` must be between 0 and 65535, not {settings.port}."
    if settings.standby and settings.database.startswith("sqlite:"):
        yield (
            "standby",
            "`standby` requires a database that two servers can share: set `database` to postgresql://USER@HOST/NAME.",
        )
    yield from _joined(settings)
    if settings.workers > 1:
        yield from _workers(settings)
    for name, least, words in _LEAST:
        if getattr(settings, name) < least:
            yield name, f"`{name}` must be {words}."
    for name, choices in _CHOICES.items():
        if (value := getattr(settings, name)) not in choices:
            yield name, f"`{name}` must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}."
    if (key := settings.operator_key) and not _KEY.fullmatch(key):
        yield (
            "operator_key",
            (
                "`operator_key` must have 10 to 200 characters (ASCII letters, digits and punctuation, no spaces), and "
                "must be hard to guess. If you omit it, the server generates one at its "
                "first start."
            ),
        )
    if not _URI_REFERENCE.fullmatch(settings.source):
        yield "source", f"`source` must be a URI reference without spaces, such as /tidings, not {settings.source!r}."
    # Imported here: a command that only calls a server never reads these.
    from tidings.rules.network.address import check_proxy, parse_networks
    from tidings.rules.network.origin import node_url, origins_of, public_url
    from tidings.rules.reading.refused import Refused

    readers: dict[str, Callable[[str], object]] = {
        "allow_addresses": parse_networks,
        "trusted_proxies": parse_networks,
        "cors_origins": origins_of,
        "public_url": public_url,
        "node_url": node_url,
        "outbound_proxy": check_proxy,
    }
    for name, read in readers.items():
        try:
            read(getattr(settings, name))
        except Refused as refused:
            yield name, f"{name}: {refused.detail}"


def unusable_ca_file(path: str) -> str | None:
    """A sentence about `ca_file`, if it has no readable certificates."""
    if not path:
        return None
    # Imported here: most starts name no such file.
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return f"`ca_file` ({path}) contains no certificates in PEM format."
    except OSError as wrong:
        return f"`ca_file` ({path}) cannot be read: {(wrong.strerror or str(wrong)).lower()}."
    return None


def _places(settings: Settings) -> Iterator[tuple[str, str]]:
    """Values that cannot be a place to store data or to listen, such as the empty value of a variable."""
    # Imported here: a command that only calls a server never reads these.
    from tidings.rules.network import database_url

    if not settings.data.strip():
        yield "data", "`data` must not be empty: set it to a folder, such as ./tidings-data."
    for name in ("data", "database"):
        if not _is_utf8(getattr(settings, name)):
            yield name, f"`{name}` is not valid UTF-8. The names of all files must be valid UTF-8."
    try:
        database_url.check(settings.database)
    except ValueError as wrong:
        yield "database", str(wrong)
    host = settings.host
    if _IN_BRACKETS.fullmatch(host):
        yield "host", f"`host` must not have brackets: write {host.strip('[]')}."
    elif not _HOST.fullmatch(host):
        yield "host", f"`host` must be an address or host name without a port, such as 127.0.0.1, not {host!r}."


def _is_utf8(text: str) -> bool:
    """Whether a text is valid UTF-8. Python turns other bytes from the system into half surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _joined(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the settings lack for joined nodes, and settings that cannot be combined with `join`."""
    if not settings.join:
        for name, is_set in (("node_url", settings.node_url), ("share_sending", settings.share_sending == "always")):
            if is_set and settings.workers == 1:
                yield name, f"`{name}` is only for servers that share the work: set `join` as well, or omit `{name}`."
        return
    if settings.database.startswith("sqlite:"):
        yield (
            "join",
            "`join` requires a database that several servers can share: set `database` to postgresql://USER@HOST/NAME.",
        )
    if settings.standby:
        yield (
            "standby",
            "`standby` and `join` cannot be combined: with `standby`, one server works and the others wait; with "
            "`join`, all of them work. Choose one.",
        )
    if not settings.secret_key:
        yield (
            "secret_key",
            "`join` requires `secret_key`, which must be the same on all servers: copy it from a running server, or "
            "generate it with: openssl rand -base64 32",
        )


def _workers(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the settings lack for several workers, and settings that cannot be combined with them."""
    if settings.database.startswith("sqlite:"):
        yield (
            "workers",
            "`workers` requires PostgreSQL, since only one process can use an SQLite database: omit `workers`, or set "
            "`database` to postgresql://USER@HOST/NAME (`tidings move` moves the stored data there).",
        )
    if settings.standby and not settings.join:
        yield "standby", "`standby` and `workers` cannot be combined: workers already take over from one another."
    if settings.workers > WORKERS_MAX:
        yield "workers", f"`workers` must be at most {WORKERS_MAX}, not {settings.workers}."
    elif settings.port and settings.port + settings.workers > PORT_MAX:
        yield (
            "port",
            f"`port` must be at most {PORT_MAX - settings.workers}, since the {settings.workers} workers use the ports "
            "after it.",
        )
    if settings.node_url and not _PORT.search(settings.node_url):
        yield (
            "node_url",
            "With `workers`, `node_url` must include a port, as in http://10.0.0.5:8080; worker 1 then uses port 8081.",
        )


WORKERS_MAX = 64
PORT_MAX = 65_535
_PORT = re.compile(r":[0-9]+/?$")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?", re.ASCII)
"""A host name, an IPv4 address, or an IPv6 address (which has at least two colons), optionally with a zone."""
_IN_BRACKETS = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]", re.ASCII)
_KEY = re.compile(r"[!-~]{10,200}")
_URI_REFERENCE = re.compile(r"(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_LEAST = (
    *(
        (name, 1_024, "at least 1024")
        for name in (
            "max_body_bytes",
            "max_form_bytes",
            "max_hook_bytes",
            "max_batch_bytes",
            "max_import_bytes",
            "max_whole_import_bytes",
        )
    ),
    *(
        (name, 0, "0 or more")
        for name in (
            "max_whole_import_lines",
            "max_open_streams",
            "max_open_streams_per_key",
            "max_endpoints_per_tenant",
        )
    ),
    ("max_calls_per_address", 0, "0 or more"),
    ("workers", 1, "1 or more"),
    *((name, 0, "0 (keep forever) or more") for name in ("retention_days", "receipt_days", "refusal_days", "act_days")),
)
_CHOICES = {
    "share_sending": ("auto", "always", "never"),
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("text", "json"),
}
