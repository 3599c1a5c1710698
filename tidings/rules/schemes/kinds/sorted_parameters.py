"""Signatures over parameters sorted by name: Twilio and Mandrill (with the URL before them), Vonage (in one line)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import SecretForm, SortedParameters
from tidings.rules.schemes.kinds.signed import Candidates, SenderClock, key_bytes
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import encoded
from tidings.rules.schemes.verdict import Found, Unfit, refusal

BODY_HASH = "bodySHA256"
"""The query parameter in which Twilio sends the hash of a body that is not a form."""


class SortedCheck:
    """A compiled `SortedParameters`."""

    def __init__(
        self, form: SortedParameters, secrets: Sequence[tuple[int, str]], tolerance_seconds: float | None = None
    ) -> None:
        self._form, self._candidates = form, Candidates(form.signature)
        self._clock = SenderClock(form.timestamp, tolerance_seconds) if form.timestamp else None
        self._encode = crypto.ENCODE[form.signature.encoding]
        self._keys = [(index, key_bytes(text, SecretForm(), index)) for index, text in secrets]
        self._length, said = len(self._encode(self.mac(b"k", b""))), self._candidates.said()
        self._malformed = refusal("malformed_header", f"{said} is not an {form.algorithm} signature.")
        self._no_match = refusal(
            "no_match", f"{said} is not a signature of the sorted parameters with any of the secrets."
        )

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Found:
        """The result of the check. Raises Unfit."""
        candidates, parts = self._candidates.find(request)
        if self._form.style == "ampersand":
            candidates = [given.lower() for given in candidates]
        if self._clock:
            self._clock.read(request, parts, now)
        if not self._keys:
            raise Unfit("bad_secret", "There is no secret yet, so nothing can be verified.")
        candidates = [given for given in candidates if len(given) == self._length]
        if not candidates:
            return self._malformed
        messages = self._messages(request)
        for index, key in self._keys:
            for message in messages:
                right = self._encode(self.mac(key, message))
                if any(hmac.compare_digest(given, right) for given in candidates):
                    self._check_body(request)
                    return index
        return self._no_match

    def mac(self, key: bytes, message: bytes) -> bytes:
        """The signature; if the algorithm is a plain hash, the secret is appended to the text."""
        name = self._form.algorithm
        if name.startswith("hmac-"):
            return crypto.hmac_digest(crypto.primed(key, name.removeprefix("hmac-")), message)
        return crypto.digest(name, message + key)

    def shown(self, request: HookRequest) -> bytes:
        """The text that is signed."""
        return self._messages(request)[0]

    def _messages(self, request: HookRequest) -> list[bytes]:
        style = self._form.style
        if style == "ampersand":
            name = self._form.signature.source.partition(" | ")[0].partition(":")[2]
            return [encoded(ampersand(all_parameters(request), name))]
        if not request.url:
            raise Unfit("wrong_url", "The sender signs the URL, but this hook's public URL is not known.")
        urls = with_and_without_port(request.url) if style == "url_form" else [request.url]
        rest = joined(fields(request), once=style == "url_form_first")
        return [encoded(url + rest) for url in urls]

    def _check_body(self, request: HookRequest) -> None:
        """The hash of a JSON body is in the URL, and so signed. Only a form has its fields signed themselves."""
        if self._form.style != "url_form":
            return
        said = next((value for name, value in request.query() if name == BODY_HASH), None)
        if said is not None:
            right = crypto.digest("sha256", request.body).hex()
            if not hmac.compare_digest(encoded(said.lower()), right.encode()):
                raise Unfit("changed_body", f"The URL is genuine, but the body does not match its {BODY_HASH}.")
        elif request.body and not fields(request):
            raise Unfit("missing_header", f"The body is not a form, and the URL has no {BODY_HASH} that covers it.")


def with_and_without_port(url: str) -> list[str]:
    """A URL unchanged, without its port, and with the default port: Twilio's own validator accepts any of these."""
    kind, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return [url, f"{kind}://{name}{slash}{path}"]
    return [url, f"{kind}://{host}:{'443' if kind == 'https' else '80'}{slash}{path}"]


def fields(request: HookRequest) -> list[tuple[str, str]]:
    """The fields of a body that is a form, by its content type; no fields for any other body."""
    kind = request.headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0].strip().lower()
    return request.form() if kind == "application/x-www-form-urlencoded" and request.body else []


def joined(pairs: Sequence[tuple[str, str]], *, once: bool) -> str:
    """Name and value of each field, sorted; of repeated values each once, or only the last (`once`)."""
    if once:
        return "".join(name + value for name, value in sorted(dict(pairs).items()))
    return "".join(name + value for name, value in sorted(set(pairs)))


def all_parameters(request: HookRequest) -> list[tuple[str, str]]:
    """The parameters of the query or, if there is a body, those of the body (a form, or flat JSON)."""
    if not request.body:
        return request.query()
    try:
        value = request.json()
    except ValueError:
        return request.form()
    if not isinstance(value, dict):
        raise Unfit("bad_body", "The body is neither a form nor a JSON object.")
    return [(name, str(each)) for name, each in value.items()]


def ampersand(pairs: Sequence[tuple[str, str]], signature: str) -> str:
    """`&name=value` of each parameter but the signature; `&` and `=` within a value are underscores."""
    rest = sorted((name, value) for name, value in dict(pairs).items() if name != signature)
    return "".join(f"&{name}={value.replace('&', '_').replace('=', '_')}" for name, value in rest)
