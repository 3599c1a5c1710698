"""Connections as plain values, from YAML or JSON, read into their parts; and connections written back.

All errors are reported together, each place by a JSON pointer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tidings.model.calls.connection import MASK, TIMEOUT_SECONDS, Connection, ConnectionOptions, ConnectionSecrets
from tidings.model.errors import Invalid
from tidings.model.link import ClientCertificate
from tidings.model.moment import Micros
from tidings.rules.calls import authentication
from tidings.rules.calls.mail import sender_address
from tidings.rules.declare.pacing import IN_FLIGHT_MAX, read_rate, read_timeout, refusing
from tidings.rules.network import address, certificates
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import Refused, escaped

CONNECTIONS_MAX = 1_000
DESCRIPTION_CHARS_MAX = 1_000
PEM_CHARS_MAX = 1_000_000
NAME_PATTERN = "^[a-z][a-z0-9_-]{0,63}$"
NAME_RULE = "A connection's name must have 1 to 64 lowercase letters, digits, - and _, and begin with a letter"
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")
"""The ranges that `private: true` allows: private and loopback addresses. No range allows a metadata service."""

_NAME = re.compile(NAME_PATTERN.strip("^$"))
PARTS = (
    *(
        "base",
        "smtp",
        "from",
        "description",
        "auth",
        "headers",
        "rate",
        "max_in_flight",
        "timeout_seconds",
        "private",
        "ca",
    ),
    "client_certificate",
)
_COMPARED = ("sender", *(name for name in PARTS if name not in ("smtp", "from")))


class DeclaredConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration that was read."""

    name: str
    options: ConnectionOptions
    secrets: ConnectionSecrets

    def changes(self, present: Connection) -> list[str]:
        """The names of the parts in which a connection differs from this declaration, never their values."""
        found = [name for name in _COMPARED if _part(self, name) != _part(present, name)]
        words = {"auth": "the auth", "headers": "the headers", "sender": "from"}
        return [words.get(name, name) for name in found]


def read(
    values: Any,
    present: Mapping[str, Connection],
    now: Micros,
    pointer: str = "",
    networks: address.Networks = address.EVERYWHERE,
) -> dict[str, DeclaredConnection]:
    """The declarations in an object, by name. Raises Invalid with every wrong place.

    `present`: the connections as they are, since `***` keeps what is stored. `networks`: the ranges that the operator
    has opened for all.
    """
    wrong = Places()
    if type(values) is not dict:
        detail = f"Connections must be an object whose keys are the connections' names, not {shown(values)}."
        wrong.say(pointer, "wrong_type", detail)
        values = {}
    if len(values) > CONNECTIONS_MAX:
        wrong.say(pointer, "too_many", f"There may be at most {CONNECTIONS_MAX:,} connections.")
        values = {}
    found: dict[str, DeclaredConnection] = {}
    for name, value in values.items():
        at = f"{pointer}/{escaped(str(name))}"
        each = _read(name, value, present.get(name), now, at, wrong)
        if each is not None:
            _check_reach(each.options, each.secrets.auth, networks, at, wrong)
            found[name] = each
    if wrong.found:
        raise Invalid("The declaration is not valid.", errors=wrong.found)
    return found


def read_one(
    name: str,
    value: Any,
    present: Connection | None,
    now: Micros,
    networks: address.Networks = address.EVERYWHERE,
) -> DeclaredConnection:
    """One declaration. Raises Invalid."""
    wrong = Places()
    found = _read(name, value, present, now, "", wrong)
    if found is not None:
        _check_reach(found.options, found.secrets.auth, networks, "", wrong)
    if wrong.found or found is None:
        raise Invalid("The declaration is not valid.", errors=wrong.found)
    return found


def plain(connection: Connection) -> dict[str, Any]:
    """The declaration in its canonical form, with secrets masked."""
    options, secrets = connection.options, connection.secrets
    client = secrets.client_certificate
    return {
        "base": None if options.is_mail else options.base,
        "smtp": options.base if options.is_mail else None,
        "sender": options.sender or None,
        "description": options.description,
        "auth": authentication.hidden(secrets.auth),
        "headers": dict.fromkeys(secrets.headers, MASK),
        "rate": options.rate,
        "max_in_flight": options.max_in_flight,
        "timeout_seconds": options.timeout_seconds,
        "private": list(options.private),
        "ca": None if secrets.ca is None else MASK,
        "client_certificate": None if client is None else {"certificate": MASK, "key": MASK},
    }


def _part(connection: Connection | DeclaredConnection, name: str) -> Any:
    options, secrets = connection.options, connection.secrets
    return getattr(options if hasattr(options, name) else secrets, name)


def _read(
    name: Any, value: Any, present: Connection | None, now: Micros, pointer: str, wrong: Places
) -> DeclaredConnection | None:
    before = len(wrong.found)
    if type(name) is not str or not _NAME.fullmatch(name):
        wrong.say(pointer, "name", f"{NAME_RULE}; not {shown(name)}.")
    if not wrong.json(value, pointer):
        return None
    given = wrong.members(value, pointer, PARTS, "A connection")
    description = given.get("description") or ""
    options: dict[str, Any] = {
        **_where(given, pointer, wrong),
        "description": wrong.text(description, f"{pointer}/description", DESCRIPTION_CHARS_MAX),
        "rate": read_rate(given.get("rate"), f"{pointer}/rate", wrong),
        "max_in_flight": _number(given, "max_in_flight", 1, IN_FLIGHT_MAX, pointer, wrong),
        "timeout_seconds": read_timeout(given, pointer, wrong) or TIMEOUT_SECONDS,
        "private": _private(given.get("private"), f"{pointer}/private", wrong),
    }
    secrets = _secrets(given, present, now, pointer, wrong)
    if len(wrong.found) > before or secrets is None:
        return None
    return DeclaredConnection(name=name, options=ConnectionOptions(**options), secrets=secrets)


def _where(given: dict[str, Any], pointer: str, wrong: Places) -> dict[str, str]:
    """The URL, and for a mail server also the sender's address."""
    if "smtp" not in given or given["smtp"] is None:
        if given.get("from") is not None:
            wrong.say(f"{pointer}/from", "contradiction", "Only a connection with `smtp` can have `from`.")
        return {"base": _base(given.get("base"), f"{pointer}/base", wrong)}
    at = f"{pointer}/smtp"
    for name in ("base", "headers"):
        if given.get(name):
            wrong.say(f"{pointer}/{name}", "contradiction", f"A connection with `smtp` cannot have `{name}`.")
    if given.get("auth") is not None and (type(given["auth"]) is not dict or "basic" not in given["auth"]):
        wrong.say(
            f"{pointer}/auth",
            "contradiction",
            "A connection with `smtp` supports only `auth: {basic: [USER, PASSWORD]}`.",
        )
    url = wrong.text(given["smtp"], at, address.URL_CHARS_MAX)
    scheme, slashes, rest = url.partition("://")
    if scheme not in address.MAIL_PORTS or not slashes or "/" in rest or "?" in rest:
        wrong.say(
            at,
            "url",
            "`smtp` must be a URL such as smtp://mail.example.com:587, or smtps:// for TLS from the start.",
        )
    else:
        check = f"https://{rest}"
        refusing(lambda: address.check_url(check, allow_http=True, allowed=address.EVERYWHERE, pointer=at), wrong)
    sender = given.get("from")
    if type(sender) is not str or sender_address(sender) is None:
        detail = "`smtp` needs `from`, an address such as hello@example.com or Shop <hello@example.com>."
        wrong.say(f"{pointer}/from", "missing" if sender is None else "wrong_value", detail)
    return {"base": url, "sender": str(sender)}


def _base(value: Any, pointer: str, wrong: Places) -> str:
    if value is None:
        wrong.say(pointer, "missing", "A connection needs `base`, a URL such as https://api.example.com/v1.")
        return ""
    base = wrong.text(value, pointer, address.URL_CHARS_MAX)
    if not base:
        return ""
    try:
        address.check_url(base, allow_http=True, allowed=address.EVERYWHERE, pointer=pointer)
    except Refused as refused:
        wrong.say(refused.pointer, refused.place.code, refused.detail)
    if "?" in base:
        wrong.say(pointer, "url", "`base` cannot have a query; put the parameters into the link's `query`.")
    return base.rstrip("/")


def _number(given: dict[str, Any], name: str, low: int, high: int, pointer: str, wrong: Places) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        code = "not_whole" if type(value) is float else "out_of_range"
        wrong.say(f"{pointer}/{name}", code, f"`{name}` must be a whole number from {low:,} to {high:,}.")
        return None
    return value


def _private(value: Any, pointer: str, wrong: Places) -> tuple[str, ...]:
    if value is None or value is False:
        return ()
    if value is True:
        return PRIVATE
    if type(value) is not list or not all(type(each) is str and "," not in each for each in value):
        wrong.say(pointer, "wrong_type", "`private` must be true, or a list of address ranges such as 10.0.0.0/8.")
        return ()
    try:
        address.parse_networks(",".join(value))
    except Refused as refused:
        wrong.say(pointer, refused.place.code, refused.detail)
    return tuple(value)


def _check_reach(
    options: ConnectionOptions, auth: dict[str, Any] | None, networks: address.Networks, pointer: str, wrong: Places
) -> None:
    """Report a host that is an address, or this machine, which neither `private` nor the operator opens."""
    opened = address.Networks((*address.parse_networks(",".join(options.private)), *networks))
    token = (auth or {}).get("token") if "oauth2" in (auth or {}) else None
    hosts = {"smtp" if options.is_mail else "base": f"http://{options.base.partition('://')[2]}"}
    if token is not None and "://" in token:
        hosts["auth/token"] = token
    for name, url in hosts.items():
        try:
            address.check_url(url, allow_http=True, allowed=opened, pointer=f"{pointer}/{name}")
        except Refused as refused:
            more = "To allow private addresses for this connection alone, use `private: true`."
            code = "refused_address" if name != "auth/token" or "not called" in refused.detail else refused.place.code
            wrong.say(refused.pointer, code, f"{refused.detail} {more}")


def _goes_to(base: Any, auth: Any) -> set[tuple[str, int, bool]]:
    """The hosts that get the secrets, each with its port and whether TLS is used."""
    token = auth.get("token") if type(auth) is dict and "oauth2" in auth else None
    urls = [str(base), *([token] if type(token) is str and "://" in token else [])]
    scheme = str(base).partition("://")[0]
    found = [address.mail_target(urls[0])] if scheme in address.MAIL_PORTS else [address.target_of(urls[0])]
    found += [address.target_of(each) for each in urls[1:]]
    return {(each.host, each.port, each.tls) for each in found}


def _secrets(
    given: dict[str, Any], present: Connection | None, now: Micros, pointer: str, wrong: Places
) -> ConnectionSecrets | None:
    known = stored = ConnectionSecrets() if present is None else present.secrets
    moved = None
    if present is not None:
        wanted = _goes_to(given.get("smtp") or given.get("base"), given.get("auth"))
        if wanted - _goes_to(present.options.base, stored.auth):
            moved = "token" if given.get("base") == present.options.base else "smtp" if given.get("smtp") else "base"
            # Keys and authorities are never sent, so they can be kept.
            known = ConnectionSecrets(ca=stored.ca, client_certificate=stored.client_certificate)
    auth, headers, ca = given.get("auth"), given.get("headers") or {}, given.get("ca")
    if auth is not None:
        auth = authentication.kept(auth, known.auth, f"{pointer}/auth", wrong, moved)
        authentication.check(auth, f"{pointer}/auth", wrong)
    if headers:
        headers = authentication.kept(headers, known.headers, f"{pointer}/headers", wrong, moved)
        authentication.check_headers(headers, f"{pointer}/headers", wrong)
    is_tls = not str(given.get("base")).lower().startswith("http:")
    for name in ("ca", "client_certificate"):
        if given.get(name) is not None and not is_tls:
            wrong.say(
                f"{pointer}/{name}", "not_with_http", f"`{name}` requires TLS: use an https:// URL instead of http://."
            )
    if ca is not None:
        ca = authentication.kept(wrong.text(ca, f"{pointer}/ca", PEM_CHARS_MAX), known.ca, f"{pointer}/ca", wrong)
        if ca != known.ca and is_tls:
            _refusing(lambda: certificates.check_authorities(ca, now, f"{pointer}/ca"), wrong)
    certificate = given.get("client_certificate") if is_tls else None
    client = _client(certificate, known.client_certificate, now, pointer, wrong)
    return ConnectionSecrets(auth=auth, headers=headers, ca=ca, client_certificate=client)


def _client(
    given: Any, stored: ClientCertificate | None, now: Micros, pointer: str, wrong: Places
) -> ClientCertificate | None:
    if given is None:
        return None
    at = f"{pointer}/client_certificate"
    named = wrong.members(given, at, ("certificate", "key"), "`client_certificate`")
    before = {} if stored is None else msgspec.to_builtins(stored)
    named = authentication.kept(named, before, at, wrong)
    for name in ("certificate", "key"):
        if type(named.get(name)) is not str:
            wrong.say(f"{at}/{name}", "missing", f"`client_certificate` needs `{name}`, in PEM format.")
            return None
    found = ClientCertificate(certificate=named["certificate"], key=named["key"])
    if found != stored:
        _refusing(lambda: certificates.check_client(found.certificate, found.key, now, at), wrong)
    return found


def _refusing(check: Any, wrong: Places) -> None:
    try:
        check()
    except Refused as refused:
        wrong.say(refused.pointer, refused.place.code, refused.detail)
