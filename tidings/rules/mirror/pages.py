"""The pages of a response: whether there is a next one, and the request for it.

`next` names its URL, or any part of the request is overridden; both see the page that was just read.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from tidings.model.event import Event
from tidings.model.link import BODY_FORMS, VERBS, CallApi
from tidings.rules.calls.request import CallRequest, CallTemplate
from tidings.rules.mirror.observer import ReadAnswer, scope_of
from tidings.rules.mirror.records import BadRecord
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import Refused
from tidings.rules.template import MISSING, SCOPE, Condition, JsonTemplate
from tidings.rules.templates.values import described

PAGES_MAX = 1_000
"""The maximum number of pages of one run, which then ends or fails."""
OF_REQUEST = ("since", "now", "n")
"""The names that the request of a link with `emit` sees, in addition to the event's. `n`: the page's number, from 1."""
OF_PAGE = ("body", "headers", "links", "records", "name")
"""The names under which `pages` sees the last page. `links`: its Link header, by `rel`. `name`: of the element in
a SOAP body."""
FIRST_NAMES = (*SCOPE, *OF_REQUEST)
NAMES = (*FIRST_NAMES, *OF_PAGE)
PARTS = ("next", "while", "query", "headers", *BODY_FORMS, *VERBS)
URL_CHARS_MAX = 8 * 1024

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s";,]+))""", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%{}|-]+")


class Pages:
    """How one link pages, compiled. Used by one thread at a time."""

    def __init__(self, what: CallApi, base: str | None, pointer: str = "/call") -> None:
        """Raises Refused with the place of what is wrong."""
        given = what.pages or {}
        self._origin = base
        at = f"{pointer}/pages"
        self._next = JsonTemplate(given["next"], f"{at}/next", NAMES) if "next" in given else None
        self._while = Condition(given["while"], f"{at}/while", NAMES) if "while" in given else None
        overridden = _overridden(what, given, at)
        self._template = None if overridden is None else CallTemplate(overridden, base, at, NAMES)
        if self._next is None and self._template is None:
            raise Refused(
                at, "incomplete", "`pages` needs `next`, or a part of the request that changes from page to page."
            )

    def following(
        self, event: Event, given: dict[str, Any], answer: ReadAnswer, last: CallRequest
    ) -> CallRequest | None:
        """The request for the next page; None if that was the last. `given`: the values of `since`, `now` and `n`.

        Raises TemplateFailed, or BadRecord if the next page is elsewhere.
        """
        scope = scope_of(event, {**given, **of_page(answer)})
        if not answer.records or (self._while is not None and not self._while.holds(scope)):
            return None
        url = None
        if self._next is not None:
            found = self._next.fill(scope)
            if found in (MISSING, None, False, ""):
                return None
            url = _joined(last.url, found)
        request = last if self._template is None else self._template.fill(scope)
        return request if url is None else msgspec.structs.replace(request, url=url)


def of_page(answer: ReadAnswer) -> dict[str, Any]:
    """What templates see of a page."""
    return {
        "body": answer.body,
        "headers": answer.headers,
        "links": links(answer.headers.get("link", "")),
        "records": answer.records,
        "name": _soap_name(answer.body),
    }


def links(header: str) -> dict[str, str]:
    """The URLs of a Link header, by their relation."""
    found: dict[str, str] = {}
    for url, parameters in _LINK.findall(header):
        rel = _REL.search(parameters)
        for name in (rel[1] or rel[2] or "").split() if rel else ():
            found.setdefault(name.lower(), url)
    return found


def check(given: Any, pointer: str, wrong: Places) -> bool:
    """Report what is wrong with the form of `pages`; returns whether nothing is."""
    before = len(wrong.found)
    wrong.members(given, pointer, PARTS, "`pages`")
    for name in ("next", "while"):
        value = given.get(name, "") if type(given) is dict else ""
        if type(value) is not str:
            wrong.say(f"{pointer}/{name}", "wrong_type", f"`{name}` must be a template.")
    return len(wrong.found) == before


def _overridden(what: CallApi, given: dict[str, Any], pointer: str) -> CallApi | None:
    parts = {name: value for name, value in given.items() if name not in ("next", "while")}
    if not parts:
        return None
    found: dict[str, Any] = {}
    for name, value in parts.items():
        at = f"{pointer}/{name}"
        if name in ("query", "headers"):
            if type(value) is not dict:
                raise Refused(at, "wrong_type", f"`{name}` must be an object.")
            found[name] = {**getattr(what, name), **value}
        elif name in VERBS:
            if name != what.verb or type(value) is not str:
                raise Refused(
                    at, "contradiction", f"The method for further pages must be the same, `{what.verb}`, with a path."
                )
            found["path"] = value
        elif "content" in found:
            raise Refused(at, "contradiction", "A request can have only one body.")
        else:
            if name == "form" and type(value) is not dict:
                raise Refused(at, "wrong_type", "`form` must be an object of parameters.")
            if name in ("xml", "text") and type(value) is not str:
                raise Refused(at, "wrong_type", f"`{name}` must be a string.")
            found |= {"form": name, "content": value}
    return msgspec.structs.replace(what, **found)


def _joined(last: str, found: Any) -> str:
    """A URL named on a page. Raises BadRecord if it is on another host, to which credentials would be sent."""
    if type(found) is not str:
        raise BadRecord(f"`next` must yield the URL of the next page, or nothing; it yielded {described(found)}.")
    if len(found) > URL_CHARS_MAX or not _URL.fullmatch(found):
        raise BadRecord("The URL of the next page is too long, or contains characters that are not allowed in a URL.")
    try:
        url = urljoin(last, found)
        here, there = urlsplit(last), urlsplit(url)
        same = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
    except ValueError:
        raise BadRecord("The URL of the next page cannot be parsed.") from None
    if not same or there.username is not None:
        raise BadRecord(f"The next page is at {there.scheme}://{there.netloc[:100]}, not on the first page's host.")
    return url.partition("#")[0]


def _soap_name(body: Any) -> str | None:
    for step in ("Envelope", "Body"):
        body = body.get(step) if type(body) is dict else None
    names = [name for name in body if not name.startswith("@")] if type(body) is dict else []
    return names[0] if names else None
