"""Why a request fails, found by trying what usually goes wrong with URLs, bodies and secrets.

This takes many checks, so it is for people who inspect one refused request, not for every request. Its findings never
make a request genuine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.catalogue import schemes
from tidings.rules.schemes.form import Certificate, ItemSignatures, Jwt, Signature, SortedParameters
from tidings.rules.schemes.kinds.signed import texts
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import URL_PIECES, Template
from tidings.rules.schemes.verdict import Reason, Verdict
from tidings.rules.schemes.verifier import Verifier

SHOWN_BYTES = 500
"""The maximum number of signed bytes that are shown."""
BODY_BYTES_MAX = 1 << 20
"""The maximum size of a body of which rewritten forms are tried, in bytes."""
URLS_MAX = 48
ANY_AGE_SECONDS = 10 * 365 * 86_400.0
_NOTHING: Mapping[str, bytes] = {}
SCHEMES_NAMED = 3
_COPY_IT = (
    " Copy the secret from the sender's settings again. If the secret is the same, compare the body with what the "
    "sender says it sent: a proxy may have rewritten the body."
)
_BY_REASON: dict[Reason, str] = {
    "no_match": _COPY_IT,
    "wrong_secret": " Copy the secret from the sender's settings again, and give it to this hook.",
    "bad_secret": " Give this hook the secret that the sender shows in its settings.",
}
_MISSING = " Check that the sender has a secret (some do not sign without one), and that no proxy removes the header."
_PREFIX = re.compile("[A-Za-z0-9_-]{1,20}=")


def explain(verifier: Verifier, request: HookRequest, now: float, fetched: Mapping[str, bytes] = _NOTHING) -> Verdict:
    """As `verify`, in more detail: `detail` says what would have to change, `signed` what should have been signed."""
    verdict = verifier.verify(request, now, fetched)
    if verdict.ok:
        return verdict
    shown = _shown(verifier.shown(request))
    if verdict.reason in ("too_old", "too_new"):
        return _of_age(verifier, request, now, fetched, verdict, shown)
    if verdict.reason in ("no_match", "wrong_secret", "wrong_url"):
        for attempt in (_other_urls, _other_bodies, _other_secrets):
            found = attempt(verifier, request, now, fetched)
            if found is not None:
                return Verdict(reason=found.reason, detail=found.detail, signed=shown)
    return Verdict(reason=verdict.reason, detail=f"{verdict.detail}{_advice(verifier, request, verdict)}", signed=shown)


def _shown(signed: bytes | None) -> str | None:
    if signed is None:
        return None
    text = signed[:SHOWN_BYTES].decode("utf-8", "replace")
    return text if len(signed) <= SHOWN_BYTES else f"{text}... ({len(signed):,} bytes)"


def _of_age(
    verifier: Verifier,
    request: HookRequest,
    now: float,
    fetched: Mapping[str, bytes],
    verdict: Verdict,
    shown: str | None,
) -> Verdict:
    patient = verifier.but(tolerance_seconds=ANY_AGE_SECONDS)
    is_ours = patient.verify(request, now, fetched).ok
    more = "The signature itself is genuine." if is_ours else "The signature is not genuine either."
    return Verdict(reason=verdict.reason, detail=f"{verdict.detail} {more}", signed=shown)


def signs_url(verifier: Verifier) -> bool:
    """Whether the scheme covers the URL, so that a hook needs its public URL."""
    for check in verifier.scheme.checks:
        if isinstance(check, Signature) and any(Template(text).names & URL_PIECES for text in texts(check.signed)):
            return True
        if isinstance(check, SortedParameters) and check.style != "ampersand":
            return True
        if isinstance(check, Jwt) and check.url_hash is not None:
            return True
    return False


def signs_body(verifier: Verifier) -> bool:
    """Whether the scheme covers the bytes of the body."""
    for check in verifier.scheme.checks:
        if isinstance(check, Signature) and any("{body" in text for text in texts(check.signed)):
            return True
        if isinstance(check, Certificate | ItemSignatures | SortedParameters) or (
            isinstance(check, Jwt) and check.body_hash
        ):
            return True
    return False


def _other_urls(verifier: Verifier, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Verdict | None:
    if not request.url or not signs_url(verifier):
        return None
    for number, url in enumerate(urls(request)):
        if number >= URLS_MAX:
            break
        if verifier.verify(request.but(url=url), now, fetched).ok:
            detail = (
                f"The signature is genuine for {url}, but the request was checked with {request.url}: "
                "a proxy changes the URL, so set the public URL to the one that the sender uses."
            )
            return Verdict(reason="wrong_url", detail=detail)
    return None


def urls(request: HookRequest) -> Iterator[str]:
    """The URLs that the sender may have been given, if proxies rewrote the one that was seen."""
    split = urlsplit(request.url)
    header = request.headers.get
    seen = {request.url}
    hosts = [split.netloc, header("host", ""), header("x-forwarded-host", "").partition(",")[0].strip()]
    prefix = header("x-forwarded-prefix", "").rstrip("/")
    _, _, rest = request.url.partition("://")
    tail = rest[len(split.netloc) :]
    path, mark, query = tail.partition("?")
    paths = [path, path + "/" if not path.endswith("/") else path[:-1], prefix + path]
    for host in dict.fromkeys(filter(None, hosts)):
        for kind in ("https", "http"):
            bare = host.rpartition(":")[0] if host.rpartition(":")[2].isascii() and ":" in host else host
            for netloc in dict.fromkeys((host, bare, f"{bare}:{'443' if kind == 'https' else '80'}")):
                for each in dict.fromkeys(paths):
                    for ending in dict.fromkeys((mark + query, "")):
                        url = f"{kind}://{netloc}{each}{ending}"
                        if url not in seen:
                            seen.add(url)
                            yield url


def _other_bodies(verifier: Verifier, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Verdict | None:
    if not request.body or len(request.body) > BODY_BYTES_MAX or not signs_body(verifier):
        return None
    for words, body in bodies(request.body):
        if body != request.body and verifier.verify(request.but(body=body), now, fetched).ok:
            detail = f"The signature is genuine for the body {words}: something in between rewrote it. {_RAW}"
            return Verdict(reason="changed_body", detail=detail)
    return None


_RAW = "Pass on the bytes as received, before any parsing."


def bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The body as it may have been before something parsed and rewrote it."""
    yield "without its last line end", body.rstrip(b"\r\n")
    yield "with an extra line end", body + b"\n"
    yield "with CRLF at its end", body.rstrip(b"\r\n") + b"\r\n"
    yield "with LF for CRLF", body.replace(b"\r\n", b"\n")
    yield "with CRLF for LF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "without its byte order mark", body.removeprefix(b"\xef\xbb\xbf")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    for ascii_only in (False, True):
        escaped = ", escaped to ASCII" if ascii_only else ""
        yield f"as JSON without spaces{escaped}", _json(value, (",", ":"), ascii_only)
        yield f"as JSON with a space after each comma and colon{escaped}", _json(value, (", ", ": "), ascii_only)
    yield "as JSON indented by two", json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _json(value: object, separators: tuple[str, str], ascii_only: bool) -> bytes:
    return json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def _other_secrets(
    verifier: Verifier, request: HookRequest, now: float, fetched: Mapping[str, bytes]
) -> Verdict | None:
    for words, change in _MISCOPIED:
        for index, secret in enumerate(verifier.secrets):
            other = change(secret)
            if not other or other == secret:
                continue
            try:
                changed = verifier.but(secrets=[other])
            except Refused:
                continue
            if changed.verify(request, now, fetched).ok:
                detail = f"The signature is genuine for secret {index} {words}: copy the secret again."
                return Verdict(reason="wrong_secret", detail=detail)
    return None


def _decoded(encoding: str) -> Callable[[str], str]:
    def decode(secret: str) -> str:
        raw = crypto.loosely(secret.removeprefix("whsec_"), encoding) or b""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return ""

    return decode


_MISCOPIED: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without the spaces around it", str.strip),
    ("without the quotes around it", lambda secret: secret.strip().strip("\"'")),
    ("without its whsec_", lambda secret: secret.removeprefix("whsec_")),
    ("with whsec_ before it", lambda secret: "whsec_" + secret),
    ("decoded from base64", _decoded("base64")),
    ("decoded from hex", _decoded("hex")),
    ("in lower case", str.lower),
    ("in upper case", str.upper),
)


def _advice(verifier: Verifier, request: HookRequest, verdict: Verdict) -> str:
    """A sentence or two, after a space; an empty text if there is nothing to add."""
    if verdict.reason == "missing_header":
        return _other_headers(verifier, request) or _MISSING
    if verdict.reason in ("malformed_header", "unsupported_version"):
        return _other_form(verifier, request)
    return _BY_REASON.get(verdict.reason, "")


def _other_headers(verifier: Verifier, request: HookRequest) -> str:
    """Which signature the request has instead."""
    own = {header for check in verifier.scheme.checks if isinstance(check, Signature) for header in _headers(check)}
    for header, value in request.headers.items():
        names = [] if header in own else _schemes_of(header, value)
        if names:
            return (
                f" The request has {header.title()} instead, as in the scheme {' or '.join(names)}. Have the sender "
                "sign according to this hook's scheme, or give the hook that scheme."
            )
    return ""


def _schemes_of(header: str, value: str) -> list[str]:
    """The named schemes whose signatures are in this header and begin like this one."""
    found = [
        scheme.name
        for scheme in schemes()
        if any(
            header in _headers(check) and value.startswith(check.signature.prefix)
            for check in scheme.checks
            if isinstance(check, Signature)
        )
    ]
    return found[:SCHEMES_NAMED]


def _other_form(verifier: Verifier, request: HookRequest) -> str:
    """How the signature's text differs from what the scheme expects. Nothing of the signature itself is repeated."""
    for check in verifier.scheme.checks:
        if not isinstance(check, Signature):
            continue
        given = next((request.headers[header] for header in _headers(check) if header in request.headers), "")
        if not given:
            continue
        wanted, had = check.signature.prefix, _PREFIX.match(given)
        if wanted and not given.startswith(wanted):
            begins = f"begins with {had[0]!r}" if had else f"does not begin with {wanted!r}"
            return (
                f" The header {begins}; this scheme expects {wanted!r} followed by a signature of {check.algorithm}. "
                "Have the sender sign this way, or give the hook the scheme that the sender uses."
            )
        return (
            f" The signature has {len(given.removeprefix(wanted))} "
            f"characters{' after ' + repr(wanted) if wanted else ''}: it may have been truncated, or "
            f"not made with {check.algorithm}."
        )
    return ""


def _headers(check: Signature) -> list[str]:
    """The headers that a signature may be in, in lower case."""
    places = [part.strip() for part in check.signature.source.replace("&", "|").split("|")]
    return [place.removeprefix("header:").lower() for place in places if place.startswith("header:")]
