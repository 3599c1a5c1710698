"""What is wrong with settings of the right type, in sentences that say what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.settings import Settings


def wrong(settings: Settings) -> Iterator[tuple[str, str]]:
    """The name of each setting that is of the right type but cannot be used, and a sentence about it."""
    yield from _places(settings)
    if not 0 <= settings.port <= PORT_MAX:
        yield "port", f"port must be 0 to 65535, not {settings.port}."
    if settings.standby and settings.database.startswith("sqlite:"):
        yield (
            "standby",
            "standby needs a database that two servers can reach: set database to postgresql://USER@HOST/NAME.",
        )
    yield from _joined(settings)
    if settings.workers > 1:
        yield from _workers(settings)
    for name, least, words in _LEAST:
        if getattr(settings, name) < least:
            yield name, f"{name} must be {words}."
    for name, choices in _CHOICES.items():
        if (value := getattr(settings, name)) not in choices:
            yield name, f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}."
    if (key := settings.operator_key) and not _KEY.fullmatch(key):
        yield (
            "operator_key",
            (
                "operator_key must be 10 to 200 ASCII letters, digits or punctuation, without spaces, and hard "
                "to guess. If you leave it out, the first start generates one."
            ),
        )
    if not _URI_REFERENCE.fullmatch(settings.source):
        yield "source", f"source must be a URI reference such as /tidings, without spaces, not {settings.source!r}."
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


def _places(settings: Settings) -> Iterator[tuple[str, str]]:
    """Values that cannot be a place to store or listen, such as the empty text of a variable that was left empty."""
    # Imported here: a command that only calls a server never reads these.
    from tidings.rules.network import database_url

    if not settings.data.strip():
        yield "data", "data must name a folder, such as ./tidings-data, not an empty text."
    for name in ("data", "database"):
        if not _is_utf8(getattr(settings, name)):
            yield name, f"{name} is not valid UTF-8, in which the names of all files must be."
    try:
        database_url.check(settings.database)
    except ValueError as wrong:
        yield "database", str(wrong)
    host = settings.host
    if _IN_BRACKETS.fullmatch(host):
        yield "host", f"host must be without brackets: write {host.strip('[]')}."
    elif not _HOST.fullmatch(host):
        yield "host", f"host must be an address or a name to listen on, such as 127.0.0.1, and no port, not {host!r}."


def _is_utf8(text: str) -> bool:
    """Whether a text is valid UTF-8. Python turns other bytes from the system into half surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _joined(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the settings lack for joined nodes, or what cannot be combined with that."""
    if not settings.join:
        if settings.node_url and settings.workers == 1:
            yield "node_url", "node_url is only for servers that work together: set join as well, or leave it out."
        return
    if settings.database.startswith("sqlite:"):
        yield (
            "join",
            "join needs a database that several servers can reach: set database to postgresql://USER@HOST/NAME.",
        )
    if settings.standby:
        yield (
            "standby",
            "standby and join exclude one another: with standby one server works and the others wait, with join all "
            "of them work. Choose one.",
        )
    if not settings.secret_key:
        yield (
            "secret_key",
            "join needs secret_key, the same one for all servers: copy it from one that runs, or make the first with: "
            "openssl rand -base64 32",
        )


def _workers(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the settings lack for several workers, or what cannot be combined with those."""
    if settings.database.startswith("sqlite:"):
        yield (
            "workers",
            "workers needs PostgreSQL, since on SQLite one process works alone: leave it out, or set database to "
            "postgresql://USER@HOST/NAME, where `tidings move` takes what is stored.",
        )
    if settings.standby and not settings.join:
        yield "standby", "standby and workers exclude one another: workers take over from one another anyway."
    if settings.workers > WORKERS_MAX:
        yield "workers", f"workers must be at most {WORKERS_MAX}, not {settings.workers}."
    elif settings.port and settings.port + settings.workers > PORT_MAX:
        yield "port", f"port must leave room for those of {settings.workers} workers after it, up to {PORT_MAX}."
    if settings.node_url and not _PORT.search(settings.node_url):
        yield (
            "node_url",
            "node_url needs a port if there are workers, such as http://10.0.0.5:8080: worker 1 is then at port 8081.",
        )


WORKERS_MAX = 64
PORT_MAX = 65_535
_PORT = re.compile(r":[0-9]+/?$")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?", re.ASCII)
"""A name, an IPv4 address, or an IPv6 address, which has two colons or more, perhaps with a zone."""
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
    *((name, 0, "0 (keep) or more") for name in ("retention_days", "receipt_days", "refusal_days", "act_days")),
)
_CHOICES = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("text", "json")}
