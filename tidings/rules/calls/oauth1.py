"""OAuth 1.0a (RFC 5849) with HMAC: the header of a request, and NetSuite's TokenPassport for the header of SOAP.

The passport's signature covers only account, consumer key, token, nonce and timestamp, as NetSuite documents it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from tidings.model.moment import SECOND, Micros
from tidings.rules.reading.places import Places, shown

METHODS = {"hmac-sha256": ("HMAC-SHA256", "sha256"), "hmac-sha1": ("HMAC-SHA1", "sha1")}
PLACES = ("header", "soap")
PARTS = ("oauth1", "place", "account", "id", "secret", "token", "token_secret")
SECRETS = ("secret", "token_secret")
VERSION = "2025_2"
"""The version in NetSuite's namespaces, for a URL whose path names none."""
_CHARS_MAX = 16 * 1024
_PORT = re.compile(r"NetSuitePort_([0-9]{4}_[0-9])")


def check(auth: dict[str, Any], pointer: str, wrong: Places) -> None:
    """Report what is wrong with a declaration."""
    if auth.get("oauth1") not in METHODS:
        said = f"`oauth1` must be {' or '.join(METHODS)}, not {shown(auth.get('oauth1'))}."
        wrong.say(f"{pointer}/oauth1", "not_in_enum", said)
    if auth.get("place", "header") not in PLACES:
        wrong.say(f"{pointer}/place", "not_in_enum", f"`place` must be {' or '.join(PLACES)}.")
    needed = ("id", "secret", "token", "token_secret", *(("account",) if auth.get("place") == "soap" else ()))
    for name in needed:
        if not auth.get(name):
            wrong.say(f"{pointer}/{name}", "missing", f"OAuth 1.0a needs `{name}`.")
    for name in PARTS[2:]:
        if auth.get(name) is not None:
            wrong.text(auth[name], f"{pointer}/{name}", _CHARS_MAX)


def authorization(auth: Mapping[str, Any], method: str, url: str, form: bytes | None, now: Micros, nonce: str) -> str:
    """The value of the header Authorization. `form`: the body if it is a form, whose parameters are signed too."""
    name, digest = METHODS[auth["oauth1"]]
    own = {
        "oauth_consumer_key": auth["id"],
        "oauth_nonce": nonce,
        "oauth_signature_method": name,
        "oauth_timestamp": str(now // SECOND),
        "oauth_token": auth["token"],
        "oauth_version": "1.0",
    }
    own["oauth_signature"] = _hmac(auth, digest, base_string(method, url, form, own))
    realm = [f'realm="{_coded(auth["account"])}"'] if auth.get("account") else []
    return "OAuth " + ", ".join([*realm, *(f'{each}="{_coded(value)}"' for each, value in own.items())])


def base_string(method: str, url: str, form: bytes | None, own: Mapping[str, str]) -> str:
    """The signature base string (section 3.4.1)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    default = {"http": 80, "https": 443}.get(parts.scheme)
    if parts.port not in (None, default):
        host = f"{host}:{parts.port}"
    pairs = [*own.items(), *parse_qsl(parts.query, keep_blank_values=True)]
    pairs += parse_qsl((form or b"").decode(), keep_blank_values=True)
    coded = sorted((_coded(name), _coded(value)) for name, value in pairs)
    whole = "&".join(f"{name}={value}" for name, value in coded)
    return "&".join(_coded(each) for each in (method, f"{parts.scheme}://{host}{parts.path or '/'}", whole))


def passport(auth: Mapping[str, Any], url: str, now: Micros, nonce: str) -> str:
    """The element tokenPassport, for the header of a SOAP envelope."""
    name, digest = METHODS[auth["oauth1"]]
    stamp = str(now // SECOND)
    text = "&".join(_coded(each) for each in (auth["account"], auth["id"], auth["token"], nonce, stamp))
    signature = _hmac(auth, digest, text)
    found = _PORT.search(url)
    version = found[1] if found else VERSION
    outer, inner = (f"urn:{each}_{version}.platform.webservices.netsuite.com" for each in ("messages", "core"))
    members = {"account": auth["account"], "consumerKey": auth["id"], "token": auth["token"], "nonce": nonce}
    written = "".join(f"<c:{each}>{_escaped(value)}</c:{each}>" for each, value in members.items())
    signed = f'<c:timestamp>{stamp}</c:timestamp><c:signature algorithm="{name}">{signature}</c:signature>'
    return f'<m:tokenPassport xmlns:m="{outer}" xmlns:c="{inner}">{written}{signed}</m:tokenPassport>'


def _hmac(auth: Mapping[str, Any], digest: str, text: str) -> str:
    key = f"{_coded(auth['secret'])}&{_coded(auth['token_secret'])}"
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), digest)).decode()


def _coded(text: str) -> str:
    return quote(text, safe="~")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
