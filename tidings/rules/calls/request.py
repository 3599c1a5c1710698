"""From the templates of a call and an event to the request, and whether its response is a success."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidings.model.link import CallApi
from tidings.rules.calls.texts import (
    AUTH,
    HeaderTemplates,
    Parameters,
    PathTemplate,
    TextTemplate,
    XmlTemplate,
    in_text,
)
from tidings.rules.network import address
from tidings.rules.reading.refused import Refused
from tidings.rules.template import MISSING, SCOPE, Condition, JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode

OF_ANSWER = ("status", "headers", "body")
"""The names under which `ok` sees a response, in addition to those of the event."""
CONTENT_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "text/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
SAFE_TO_REPEAT = ("get", "head", "put", "delete")
"""Idempotent methods: repeating their requests has no further effect (RFC 9110, section 9.2.2)."""
KEY_HEADER = "Idempotency-Key"


class CallRequest(msgspec.Struct, frozen=True):
    """One request, filled in. `headers` are the link's own, and those that its body needs."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes


class CallTemplate:
    """The call template of one link, compiled. Used by one thread at a time."""

    def __init__(self, what: CallApi, base: str | None, pointer: str = "/call", names: Sequence[str] = SCOPE) -> None:
        """`base`: that of the link's connection. Raises Refused with the place of a wrong template."""
        at = f"{pointer}/{what.verb}"
        origin, path = _origin(what, base, at)
        self._method, self._origin = what.verb.upper(), origin
        self._path = PathTemplate(path, at, names)
        self._query = Parameters(what.query, f"{pointer}/query", names) if what.query else None
        with_auth = (*names, AUTH) if what.via is not None else names
        self._headers = HeaderTemplates(what.headers, f"{pointer}/headers", with_auth) if what.headers else None
        self._body = None if what.form is None else _Body(what, f"{pointer}/{what.form}", names, with_auth)
        parts = (self._headers, None if self._body is None else self._body.text)
        self.names_auth = any(getattr(each, "names_auth", False) for each in parts)
        """Whether a template specifies where the connection's access token goes."""
        self._ok = None if what.ok is None else Condition(what.ok, f"{pointer}/ok", (*names, *OF_ANSWER))
        self.speaks_xml = what.form == "xml"
        """Whether the body is XML, so that the response may be a SOAP fault."""
        self._has_type = any(name.lower() == "content-type" for name in what.headers)
        self.has_key = any(name.lower() == KEY_HEADER.lower() for name in what.headers)
        """Whether the link has its own Idempotency-Key."""
        self.is_repeatable = what.verb in SAFE_TO_REPEAT or self.has_key
        self.reads_answer = self._ok is not None
        """Whether `ok` depends on the content of the response."""

    def fill(self, scope: Scope) -> CallRequest:
        """The request for an event. Raises TemplateFailed."""
        url = self._origin + self._path.fill(scope)
        if self._query is not None and (query := self._query.fill(scope)):
            url += ("&" if "?" in url else "?") + query
        headers = [] if self._headers is None else self._headers.fill(scope)
        body = b""
        if self._body is not None:
            body = self._body.fill(scope)
            if not self._has_type:
                headers.append(("Content-Type", self._body.content_type))
        return CallRequest(self._method, url, headers, body)

    def is_ok(self, scope: Scope) -> bool:
        """Whether a response, which is in the scope, is a success. Raises TemplateFailed."""
        return self._ok is None or self._ok.holds(scope)


class _Body:
    def __init__(self, what: CallApi, pointer: str, names: Sequence[str], with_auth: Sequence[str]) -> None:
        assert what.form is not None
        self._pointer, self.content_type = pointer, CONTENT_TYPES[what.form]
        self._json: JsonTemplate | None = None
        self._form: Parameters | None = None
        self.text: XmlTemplate | TextTemplate | None = None
        if what.form == "json":
            self._json = JsonTemplate(what.content, pointer, names)
        elif what.form == "form":
            self._form = Parameters(what.content, pointer, names)
        elif what.form == "xml":
            self.text = XmlTemplate(what.content, pointer, with_auth)
        else:
            self.text = TextTemplate(what.content, pointer, in_text, names)

    def fill(self, scope: Scope) -> bytes:
        """The body. Raises TemplateFailed."""
        if self._json is not None:
            value = self._json.fill(scope)
            if value is MISSING:
                raise TemplateFailed(self._pointer, "the event has no value for the body.")
            return self._encoded(lambda: encode(value))
        text = self._form.fill(scope) if self._form is not None else self.text.fill(scope) if self.text else ""
        return self._encoded(text.encode)

    def _encoded(self, encoded: Callable[[], bytes]) -> bytes:
        try:
            return encoded()
        except UnicodeEncodeError:
            raise TemplateFailed(
                self._pointer, "the body contains an unpaired surrogate, which cannot be sent."
            ) from None


def _origin(what: CallApi, base: str | None, pointer: str) -> tuple[str, str]:
    """The prefix of every path, and the path. Raises Refused."""
    if what.via is not None:
        if what.path and not what.path.startswith(("/", "?")):
            detail = "With `via`, this must be a path such as /orders; the path is appended to the connection's `base`."
            raise Refused(pointer, "url", detail)
        return base or "", what.path
    scheme, slashes, rest = what.path.partition("://")
    host, slash, path = rest.partition("/")
    origin = f"{scheme}{slashes}{host}"
    if not slashes or "{" in origin or "?" in host:
        detail = "Without `via`, this must be a URL such as https://example.com/orders; its host cannot be a template."
        raise Refused(pointer, "url", detail)
    address.check_url(origin, allow_http=True, allowed=address.EVERYWHERE, pointer=pointer)
    return origin, slash + path
