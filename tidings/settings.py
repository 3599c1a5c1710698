"""The settings: one table, read from flags, `TIDINGS_*` variables and a file, in this order of strength."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tidings import settings_check
from tidings.model.digits import is_digits
from tidings.model.event import EVENT_BYTES_MAX


class Setting(msgspec.Struct, frozen=True):
    """One setting. Its flag is `--name-with-dashes`, its variable `TIDINGS_NAME`, its key in the file `name`."""

    name: str
    type: type
    default: Any
    help: str
    secret: bool = False
    several: bool = False
    """Whether it is a comma-separated list of values; in the file, it may also be a YAML list."""

    @property
    def flag(self) -> str:
        """Its form on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        """Its form in the environment."""
        return "TIDINGS_" + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "data",
        str,
        "./tidings-data",
        "The data folder, with the database, the secret key and a lock file. It is created if missing.",
    ),
    Setting("host", str, "127.0.0.1", "The address to listen on."),
    Setting("port", int, 8080, "The port to listen on; 0 picks a free one."),
    Setting(
        "database",
        str,
        "sqlite:tidings.db",
        "The database: `sqlite:FILE` (relative to the data folder) or `postgresql://USER@HOST/NAME`.",
    ),
    Setting(
        "standby",
        bool,
        False,
        "Stand by while another server uses the same PostgreSQL database; take over once that server stops or fails.",
    ),
    Setting(
        "join",
        bool,
        False,
        "Share the work with all other servers that run with `join` on the same PostgreSQL database. All of them need "
        "the same `secret_key`.",
    ),
    Setting(
        "workers",
        int,
        1,
        "The number of processes that serve requests on `port`. More than one worker requires PostgreSQL; workers "
        "share the work as servers with `join` do. Worker 1 also listens on the next port, worker 2 on the port after "
        "that, and so on.",
    ),
    Setting(
        "node_url",
        str,
        "",
        "With `join` or `workers`: the URL at which the other servers reach this one, such as `http://10.0.0.5:8080`. "
        "The default is derived from `host` and `port`; if the server listens on all addresses, the machine's name is "
        "used instead of `host`. Worker 1 is reached at the next port, worker 2 at the port after that, and so on.",
    ),
    Setting(
        "share_sending",
        str,
        "auto",
        "With `join` or `workers`: when the other servers send to endpoints for the one that sends, whose value "
        "applies: `auto` (while it is busy), `always` or `never`.",
    ),
    Setting(
        "operator_key",
        str,
        "",
        "The operator's key. If none is set, the server generates one at its first start, and shows it once.",
        True,
    ),
    Setting(
        "secret_key",
        str,
        "",
        "The key that encrypts secrets at rest: 32 bytes, in Base64. By default, the server generates a key, and "
        "keeps it in the data folder, in a file with mode 0600.",
        True,
    ),
    Setting(
        "allow_addresses",
        str,
        "",
        "Private address ranges that the server may send requests to, such as `127.0.0.0/8,10.1.0.0/16`.",
        several=True,
    ),
    Setting("allow_http", bool, True, "Whether endpoints may have http:// URLs."),
    Setting(
        "ca_file",
        str,
        "",
        "A PEM file with the certificates of the authorities to trust for outgoing HTTPS requests, instead of those of "
        "the system.",
    ),
    Setting(
        "outbound_proxy",
        str,
        "",
        "A proxy for all requests to endpoints and other systems, such as `http://proxy:3128`; the proxy resolves the "
        "host names.",
        True,
    ),
    Setting(
        "one_processor",
        bool,
        True,
        "On Linux: run the threads that share the Python interpreter on a single processor.",
    ),
    Setting("source", str, "/tidings", "The `source` of events in CloudEvents bodies: a URI reference."),
    Setting(
        "max_body_bytes",
        int,
        EVENT_BYTES_MAX,
        "The maximum size, in bytes, of a request body, and of each element of a batch.",
    ),
    Setting("max_form_bytes", int, 1_048_576, "The maximum size, in bytes, of a form submission, including its files."),
    Setting(
        "max_hook_bytes",
        int,
        1_048_576,
        "The maximum size, in bytes, of the body of a request to a hook, both before and after decompression. A hook's "
        "`max_bytes` can set a lower limit. While a body of many megabytes is being stored, other writes wait.",
    ),
    Setting("max_batch_bytes", int, 16_777_216, "The maximum size, in bytes, of the body of a batch."),
    Setting(
        "max_import_bytes",
        int,
        1_073_741_824,
        "The maximum size, in bytes, of a file to import in parts (with `partial`).",
    ),
    Setting(
        "max_whole_import_bytes",
        int,
        4_194_304,
        "The maximum size, in bytes, of a file to import as a whole (without `partial`). While the file is being "
        "stored, all other changes wait.",
    ),
    Setting(
        "max_whole_import_lines",
        int,
        2_000,
        "The maximum number of lines in a file to import as a whole; 0 means no limit. With `on_conflict` set to "
        "`replace` or `merge`, each line counts as two. While the lines are being stored, all other changes "
        "wait.",
    ),
    Setting(
        "max_open_streams",
        int,
        1_000,
        "The maximum number of streams, long polls, imports and exports that all keys together may have open on one "
        "server. The keys of one tenant may together have up to three quarters of that number open, or fewer if other "
        "tenants have many open.",
    ),
    Setting(
        "max_open_streams_per_key",
        int,
        100,
        "The maximum number of streams, long polls, imports and exports that one key may have open on one server.",
    ),
    Setting(
        "max_endpoints_per_tenant",
        int,
        1_000,
        "The maximum number of endpoints that one tenant may have; 0 means no limit.",
    ),
    Setting(
        "max_calls_per_address",
        int,
        0,
        "The maximum number of calls that one address may make to a server in 10 seconds, counted before the key is "
        "checked; 0 means no limit. Behind a proxy, all callers seem to have the proxy's address, unless "
        "`trusted_proxies` lists the proxy.",
    ),
    Setting(
        "public_url",
        str,
        "",
        "The URL at which callers reach the server through a proxy, including the path, such as "
        "`https://example.com/hooks`. This URL is used in `Location` and `Link` headers, in the `servers` of the "
        "OpenAPI document, and in links to streams; if it is empty, all of these contain only paths.",
    ),
    Setting(
        "trusted_proxies",
        str,
        "",
        "The address ranges of trusted proxies, such as `127.0.0.1,10.1.0.0/16`. For requests from these proxies, the "
        "server takes the caller's address from `X-Forwarded-For` or `Forwarded`.",
        several=True,
    ),
    Setting(
        "cors_origins",
        str,
        "",
        "The origins, such as `https://app.example.com`, whose pages may read responses in a browser; `*` allows all "
        "origins. A key can allow further origins.",
        several=True,
    ),
    Setting(
        "retention_days",
        int,
        30,
        "How many days events are kept; after that, they are deleted once their deliveries have ended. 0 keeps them "
        "forever.",
    ),
    Setting(
        "receipt_days",
        int,
        30,
        "How many days accepted requests to hooks and forms are kept; 0 keeps them forever. Repeats of requests to "
        "hooks are recognized during the same period.",
    ),
    Setting(
        "refusal_days",
        int,
        7,
        "How many days refused requests to hooks and forms are kept; 0 keeps them forever.",
    ),
    Setting("act_days", int, 365, "How many days records of who changed what are kept; 0 keeps them forever."),
    Setting("log_level", str, "info", "The log level: `debug`, `info`, `warning` or `error`."),
    Setting("log_format", str, "text", "The log format: `text`, or `json` (one object per line)."),
)

MASKED = "***"
_IN_URL = re.compile(r"(://[^/@\s]*?:)\S*(?=@)|(?i:(\b(?:password|sslpassword)=))[^&\s]*")
_BY_NAME = {setting.name: setting for setting in SETTINGS}
_WORDS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


class SettingsError(ValueError):
    """A setting is unknown or its value is wrong; the text names the setting and says what to write instead."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one server."""

    data: str
    host: str
    port: int
    database: str
    standby: bool
    join: bool
    workers: int
    node_url: str
    share_sending: str
    operator_key: str
    secret_key: str
    allow_addresses: str
    allow_http: bool
    ca_file: str
    outbound_proxy: str
    one_processor: bool
    source: str
    max_body_bytes: int
    max_form_bytes: int
    max_hook_bytes: int
    max_batch_bytes: int
    max_import_bytes: int
    max_whole_import_bytes: int
    max_whole_import_lines: int
    max_open_streams: int
    max_open_streams_per_key: int
    max_endpoints_per_tenant: int
    max_calls_per_address: int
    public_url: str
    trusted_proxies: str
    cors_origins: str
    retention_days: int
    receipt_days: int
    refusal_days: int
    act_days: int
    log_level: str
    log_format: str
    origins: dict[str, str] = {}
    """The source of each value that is not the default: `port in the file`, `TIDINGS_PORT` or `--port`."""

    def shown(self) -> list[tuple[str, str, str]]:
        """Each setting's name, its value with secrets masked, and the value's source (empty for the default)."""
        return [
            (each.name, _masked(each, getattr(self, each.name)), self.origins.get(each.name, "")) for each in SETTINGS
        ]

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def days_kept(self) -> tuple[int, int, int, int]:
        """For how many days events, receipts, refused requests and acts are kept; 0 means forever."""
        return self.retention_days, self.receipt_days, self.refusal_days, self.act_days


def read_settings(
    flags: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None, file: Mapping[str, Any] | None = None
) -> Settings:
    """Merge flags, environment and file with the defaults. Raises SettingsError with a line for each wrong setting."""
    env = os.environ if env is None else env
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    given = [(name, value, f"{name} in the file") for name, value in (file or {}).items()]
    given += [
        (variable[8:].lower(), text, variable)
        for variable, text in env.items()
        if variable.startswith("TIDINGS_") and variable not in OTHER_VARIABLES
    ]
    given += [
        (name, value, "--" + name.replace("_", "-")) for name, value in (flags or {}).items() if value is not None
    ]
    origins: dict[str, str] = {}
    wrong: dict[str, str] = {}
    """By name: the error in the value that takes effect. A valid value from a stronger source removes the error."""
    for name, value, where in given:
        try:
            values[name] = _convert(name, value, where)
            origins[name] = where
            wrong.pop(name, None)
        except SettingsError as error:
            wrong[name] = str(error)
    settings = Settings(**values, origins=origins)
    said = [*wrong.values(), *(sentence for name, sentence in settings_check.wrong(settings) if name not in wrong)]
    if said:
        raise SettingsError("\n".join(said))
    return settings


def _masked(setting: Setting, value: Any) -> str:
    """A value as it may be shown: without the secret, or the password in a URL."""
    if setting.secret:
        return MASKED if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return without_passwords(str(value))


def without_passwords(text: str) -> str:
    """The text with the passwords in its URLs masked, so that it may be shown."""
    return _IN_URL.sub(lambda found: (found[1] or found[2]) + MASKED, text)


def check_ca_file(settings: Settings) -> None:
    """Raise SettingsError if `ca_file` has no readable certificates."""
    if (said := settings_check.unusable_ca_file(settings.ca_file)) is not None:
        raise SettingsError(said)


OTHER_VARIABLES = {
    "TIDINGS_CONFIG",
    "TIDINGS_URL",
    "TIDINGS_KEY",
    "TIDINGS_OUTBOX",
    "TIDINGS_PROFILE",
    "TIDINGS_PROFILES",
}
"""Variables that are not settings: the file's path, a client's URL and key, an outbox's database, stored profiles."""


def _convert(name: str, value: Any, where: str) -> Any:
    setting = _BY_NAME.get(name)
    if setting is None:
        known = ", ".join(sorted(_BY_NAME))
        raise SettingsError(f"{where} is not a Tidings setting. The settings are: {known}.")
    if setting.several and isinstance(value, list):
        value = ",".join(str(each) for each in value)
    if setting.type is bool and isinstance(value, str):
        value = _WORDS.get(value.lower(), value)
    elif setting.type is int and isinstance(value, str):
        value = int(value) if is_digits(value.strip().removeprefix("-")) else value
    if not isinstance(value, setting.type) or (setting.type is int and isinstance(value, bool)):
        raise SettingsError(f"{where} must be {_TYPES[setting.type]}, not {value!r}.")
    return value


_TYPES = {bool: "true or false", int: "a whole number", str: "a string"}
