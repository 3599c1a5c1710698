"""The page that helps a receiver: code in five languages, and a check of a webhook that says which part is wrong."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from tidings.model.errors import Invalid
from tidings.model.moment import SECOND
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Verdict, Verifier
from tidings.rules.schemes.catalogue import named
from tidings.rules.schemes.standard_verify import HEADERS, SCHEME, TOLERANCE_SECONDS
from tidings.web.portal.visits import PortalPage, PortalView, PortalVisit

NAV = "Verify"
ENDPOINTS_SHOWN = 1000
PASTED_CHARS_MAX = 512 * 1024
TEN_YEARS_SECONDS = 10 * 366 * 86_400
LANGUAGES = (
    ("Python", "python", "The standard library is enough."),
    ("JavaScript", "javascript", "Node.js; nothing to install."),
    ("Go", "go", "The standard library is enough."),
    ("PHP", "php", "PHP 8; nothing to install."),
    ("Ruby", "ruby", "OpenSSL comes with Ruby."),
)
PARTS: dict[str, str] = {
    "missing_header": "a header",
    "malformed_header": "the header webhook-signature",
    "unsupported_version": "the header webhook-signature",
    "bad_timestamp": "the header webhook-timestamp",
    "too_old": "the time: it was sent too long ago",
    "too_new": "the time: a clock is off",
    "wrong_secret": "the secret",
    "changed_body": "the body",
    "no_match": "the body, a header or the secret",
}


async def verify(visit: PortalVisit) -> PortalView:
    """The code, and an empty check."""
    return await _page(visit, endpoint=visit.query.get("endpoint", ""))


async def check(visit: PortalVisit) -> PortalView:
    """Check what was pasted."""
    ident, headers, body = visit.field("endpoint"), visit.field("headers"), _body(visit)
    if len(headers) + len(body) > PASTED_CHARS_MAX:
        raise Invalid("The headers and the body are too long to check here.")
    any_age = bool(visit.field("any_age"))
    values: dict[str, Any] = {"headers": headers, "body": body, "any_age": any_age}
    secrets = await visit.ask("get_endpoint_secret", {"id": ident})
    texts = [secrets.public_key or secrets.secret, *(each.secret for each in secrets.previous)]
    verdict = _verdict(texts, headers, body, visit.parts.clock.now() / SECOND, any_age=any_age)
    part = "" if verdict.ok else PARTS.get(verdict.reason, "")
    return await _page(visit, endpoint=ident, verdict=verdict, part=part, **values)


def _verdict(secrets: list[str], headers: str, body: str, now: float, *, any_age: bool) -> Verdict:
    """The verdict. If a browser may have changed the body's line ends, the likely originals are tried too."""
    given = _headers(headers)
    missing = [name for name in HEADERS if not given.get(name)]
    if missing:
        return Verdict(reason="missing_header", detail=f"The header {missing[0]} is missing.")
    tolerance = TEN_YEARS_SECONDS if any_age else TOLERANCE_SECONDS
    try:
        verifier = Verifier(named(SCHEME), secrets, tolerance_seconds=tolerance)
    except Refused as wrong:
        return Verdict(reason="bad_secret", detail=wrong.detail)
    bodies = dict.fromkeys((body, body.rstrip("\n"), body.replace("\n", "\r\n")))
    verdicts = [
        schemes.explain(verifier, HookRequest("POST", "", list(given.items()), each.encode()), now) for each in bodies
    ]
    return next((each for each in verdicts if each.ok), verdicts[0])


def _headers(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    return found


def _body(visit: PortalVisit) -> str:
    """The body as it was pasted: browsers send the ends of its lines as CR LF."""
    values = visit.posted.get("body", ())
    return values[-1].replace("\r\n", "\n") if values else ""


@cache
def languages() -> list[dict[str, str]]:
    """The code for receivers."""
    folder = files("tidings.web.portal") / "static" / "receivers"
    return [
        {"name": name, "note": note, "code": (folder / f"{file}.txt").read_text("utf-8").rstrip()}
        for name, file, note in LANGUAGES
    ]


async def _page(visit: PortalVisit, **values: Any) -> PortalView:
    endpoints = (await visit.ask("list_endpoints", limit=ENDPOINTS_SHOWN))["data"]
    verdict: Verdict | None = values.get("verdict")
    sentence = "Make sure that a webhook is from us and has not been changed."
    if verdict is not None:
        sentence = "It is genuine." if verdict.ok else "It is not genuine."
    shown = {"verdict": None, "part": "", "headers": "", "body": "", "any_age": False, **values}
    return PortalView(
        "verify", "Verify", sentence, "", NAV, {**shown, "endpoints": endpoints, "languages": languages()}
    )


PAGES = (PortalPage("/verify", verify), PortalPage("/verify", check, is_action=True))
