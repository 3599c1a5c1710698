"""The generic check: an HMAC, a plain hash, or a signature of a key pair, over a template, compiled once."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import SecretForm, Signature, SignaturePlace, Timestamp
from tidings.rules.schemes.kinds.jwks import JwkSet, Needed, key_set
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import Moment, Source, Template, encoded
from tidings.rules.schemes.verdict import Found, Unfit, refusal

CANDIDATES_MAX = 32
"""Only this many signatures of one request are checked."""
SIGNATURE_CHARS_MAX = 8_192
"""The maximum length of a signature's text; RSA with 4,096 bits needs 684 characters."""
PUBLIC_CANDIDATES_MAX = 4
"""Only this many signatures made with key pairs are checked: each check takes as long as ten HMACs."""

Fits = Callable[[list[bytes], bytes], int | None]

_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]{1,256}={0,2}")
_NUMBER = re.compile(r"[0-9]{1,15}")
_DIGEST_BYTES = {"sha256": 32, "sha1": 20, "sha384": 48, "sha512": 64, "md5": 16}


class Candidates:
    """Finds the signatures in a request."""

    __slots__ = ("_place", "_prefix", "_source")

    def __init__(self, place: SignaturePlace, pointer: str = "") -> None:
        self._place, self._source = place, Source(place.source, f"{pointer}/from")
        self._prefix = place.prefix

    def find(self, request: HookRequest) -> tuple[list[bytes], Sequence[str]]:
        """The signatures without their prefix, and all parts of their text. Raises Unfit if there is none."""
        texts = [text for text in self._source.all(request, ()) if text]
        if not texts:
            raise Unfit("missing_header", f"{self._source.said()} is missing.")
        place, prefix = self._place, self._prefix
        if len(texts) > CANDIDATES_MAX or any(len(text) > SIGNATURE_CHARS_MAX for text in texts):
            raise Unfit("malformed_header", f"{self._source.said()} is too long to be a list of signatures.")
        parts = texts
        if place.split:
            parts = [
                part.strip() for text in texts for part in text.split(place.split, CANDIDATES_MAX)[:CANDIDATES_MAX]
            ]
        found = [part[len(prefix) :] for part in parts[place.skip :] if part.startswith(prefix)]
        if place.key_end:
            found = [text.partition(place.key_end)[2] for text in found]
        if not any(found):
            self._refuse(parts)
        return [encoded(text) for text in found], parts

    def _refuse(self, parts: Sequence[str]) -> None:
        if self._prefix and any(re.match(r"[A-Za-z0-9_-]{1,20}[=,].", part) for part in parts):
            detail = f"{self._source.said()} contains no {self._prefix!r} signature, the only kind accepted."
            raise Unfit("unsupported_version", detail)
        raise Unfit("malformed_header", f"{self._source.said()} contains no signature.")

    def said(self) -> str:
        """Where signatures are, in words."""
        return self._source.said()

    def sources(self) -> tuple[Source, SignaturePlace]:
        """What `sign` writes to."""
        return self._source, self._place


class SenderClock:
    """Checks the sender's timestamp. The caller's `tolerance_seconds` takes precedence over the scheme's."""

    __slots__ = ("_form", "_future", "_source", "_tolerance")

    def __init__(self, form: Timestamp, tolerance_seconds: float | None, pointer: str = "") -> None:
        self._form, self._source = form, Source(form.source, f"{pointer}/from")
        self._tolerance = form.tolerance_seconds if tolerance_seconds is None else tolerance_seconds
        self._future = form.future_seconds if form.future_seconds is not None else self._tolerance

    def read(self, request: HookRequest, parts: Sequence[str], now: float) -> str:
        """The timestamp as it was written. Raises Unfit if it cannot be read, or is too far from `now`."""
        text = self._source.needed(request, parts)
        at = seconds(text, self._form.unit)
        if at is None:
            words = {"s": "a number of seconds", "ms": "a number of milliseconds", "iso": "an ISO 8601 time"}
            raise Unfit("bad_timestamp", f"{self._source.said()} is not {words[self._form.unit]}.")
        check_age(now - at, self._tolerance, self._future)
        return text


def check_age(age: float, tolerance: float | None, future: float | None) -> None:
    """Raise Unfit for a signature that is older, or further in the future, than is permitted. None permits any age."""
    if tolerance is not None and not age <= tolerance:
        raise Unfit("too_old", f"The request was signed {_span(age)} ago; {_span(tolerance)} are permitted. {_OLD}")
    if future is not None and not age >= -future:
        raise Unfit(
            "too_new", f"The request was signed {_span(-age)} in the future; {_span(future)} are permitted. {_CLOCK}"
        )


_OLD = "Either this is an old request sent again, or the sender's clock or this server's clock is wrong."
_CLOCK = "The sender's clock or this server's clock is wrong."


def _span(seconds_: float) -> str:
    return f"{seconds_:,.0f} seconds"


def seconds(text: str, unit: str) -> float | None:
    """A timestamp in seconds since 1970, or None if it cannot be read."""
    if unit == "iso":
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) / 1000 if unit == "ms" else int(text)


class Signed:
    """A compiled `Signature`. Raises Refused for a secret that is not one of this check."""

    def __init__(
        self,
        form: Signature,
        secrets: Sequence[tuple[int, str]],
        tolerance_seconds: float | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        signs_for_anybody: bool = False,
    ) -> None:
        self._signs_for_anybody = signs_for_anybody
        self._candidates = Candidates(form.signature, "/signature")
        self._clock = SenderClock(form.timestamp, tolerance_seconds) if form.timestamp else None
        self._id = Source(form.id) if form.id else None
        self._templates = [Template(text) for text in texts(form.signed)]
        self._form, self._encoding = form, form.signature.encoding
        self._requires = [(Source(source), wanted) for source, wanted in form.requires.items()]
        self._plain = not form.algorithm.startswith("hmac-") and form.algorithm not in crypto.PUBLIC
        self._secrets = [(index, key_bytes(text, form.secret, index)) for index, text in secrets] if self._plain else []
        self._fits = _comparison(form, secrets)
        self._set = JwkSet(form.keys, settings or {}) if form.keys and not secrets else None
        self._has_secret = bool(secrets) or self._set is not None
        size, said = digest_bytes(form.algorithm), self._candidates.said()
        self._length = None if size is None else crypto.text_length(self._encoding, size)
        self._alphabet = crypto.ALPHABETS[self._encoding]
        self._malformed = refusal("malformed_header", f"{said} is not {_kind(form)}.")
        self._no_match = refusal("no_match", f"{said} does not match the signed content {_WHY}")

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> Found:
        """The result of the check. Raises Unfit."""
        candidates, parts = self._candidates.find(request)
        if self._requires:
            self._check_required(request, parts)
        timestamp = self._clock.read(request, parts, now) if self._clock else ""
        ident = self._id.needed(request, parts) if self._id else ""
        if not self._has_secret:
            raise Unfit("bad_secret", "There is no secret yet, so nothing can be verified.")
        if self._length is not None:
            # This comes before any hashing, so that texts that cannot be signatures cost next to nothing.
            candidates = [given for given in candidates if len(given) == self._length]
            if not candidates:
                return self._malformed
        moment = Moment(parts, timestamp, ident)
        fits = self._fits if self._set is None else self._by_set(fetched)
        before = None
        for template in self._templates:
            if self._plain:
                index = self._plainly(template, request, moment, candidates)
            else:
                message = template.fill(request, moment)
                if self._signs_for_anybody and is_token(message):
                    raise Unfit("bad_body", _NOTHING_PROVED)
                index = fits(candidates, message) if message != before else None
                before = message
            if index is not None:
                return index
        return self._no_match if any(map(self._is_possible, candidates)) else self._malformed

    def _is_possible(self, given: bytes) -> bool:
        if self._length is None:
            return crypto.decode(given, self._encoding) is not None
        return not given.translate(None, self._alphabet)

    def _check_required(self, request: HookRequest, parts: Sequence[str]) -> None:
        for source, wanted in self._requires:
            if source.needed(request, parts) != wanted:
                raise Unfit("unsupported_version", f"{source.said()} is not {wanted!r}, the only value accepted.")

    def needs(self, request: HookRequest) -> tuple[Needed, ...]:
        """What must be fetched before this request can be checked."""
        return (self._set.needed,) if self._set is not None else ()

    def shown(self, request: HookRequest) -> bytes:
        """What is expected to be signed, with the secret masked. Raises Unfit if something is missing."""
        source, place = self._candidates.sources()
        found = source.all(request, ())
        parts = [part.strip() for text in found for part in (text.split(place.split) if place.split else [text])]
        form = self._form
        timestamp = Source(form.timestamp.source).needed(request, parts) if form.timestamp else ""
        ident = self._id.needed(request, parts) if self._id else ""
        return self._templates[0].fill(request, Moment(parts, timestamp, ident, b"(secret)"))

    def _plainly(self, template: Template, request: HookRequest, moment: Moment, candidates: list[bytes]) -> int | None:
        encode, name = crypto.ENCODE[self._encoding], self._form.algorithm
        for index, secret in self._secrets:
            moment.secret = secret
            right = encode(crypto.digest(name, template.fill(request, moment)))
            if any(hmac.compare_digest(given, right) for given in candidates):
                return index
        return None

    def _by_set(self, fetched: Mapping[str, bytes]) -> Fits:
        assert self._set is not None
        keys = [(0, key) for key in key_set(self._set.needed, fetched).public(self._form.algorithm)]
        return _public_comparison(self._form, keys)


_NOTHING_PROVED = "The signed content is a bare token, which this sender's handshake signs for anyone who asks."
_WHY = "with any of the secrets: the secret is wrong, the body was changed, or the sender is an impostor."


def is_token(text: bytes) -> bool:
    """Whether a text may be signed for anyone who asks, in the response to a handshake.

    The secret signs webhooks too, so nothing but tokens is signed, and in such a scheme no bare token is genuine.
    """
    return _TOKEN.fullmatch(text) is not None


def texts(signed: str | tuple[str, ...]) -> tuple[str, ...]:
    """The alternatives of what is signed."""
    return (signed,) if isinstance(signed, str) else signed


def digest_bytes(algorithm: str) -> int | None:
    """The length of a signature of this algorithm, or None if it varies."""
    return 64 if algorithm == "ed25519" else _DIGEST_BYTES.get(algorithm.removeprefix("hmac-"))


def _kind(form: Signature) -> str:
    size = digest_bytes(form.algorithm)
    bytes_ = "" if size is None else f" of {size} bytes"
    return f"a signature of {form.algorithm} ({form.signature.encoding}{bytes_}) in canonical form"


def fitting(secrets: Sequence[tuple[int, str]], form: SecretForm) -> list[tuple[int, str]]:
    """The secrets that this check is for."""
    return [(index, text) for index, text in secrets if text.startswith(form.only)]


def key_bytes(text: str, form: SecretForm, index: int = 0) -> bytes:
    """The key for a secret's text. Raises Refused."""
    bare = text.removeprefix(form.only).removeprefix(form.strip)
    key = crypto.loosely(bare, form.encoding)
    if not key:
        what = "is empty" if not bare else f"is not {form.encoding}"
        raise Refused(f"/{index}", "secret", f"This secret {what}.")
    if len(key) < form.bytes_min:
        detail = f"This secret has {len(key)} bytes; secrets of this scheme need at least {form.bytes_min}."
        raise Refused(f"/{index}", "secret", detail)
    return key + form.append.encode()


def _comparison(form: Signature, secrets: Sequence[tuple[int, str]]) -> Fits:
    if form.algorithm in crypto.PUBLIC:
        return _public_comparison(form, [(index, _public(form, index, text)) for index, text in secrets])
    encode = crypto.ENCODE[form.signature.encoding]
    name = form.algorithm.removeprefix("hmac-")
    states = [(index, crypto.primed(key_bytes(text, form.secret, index), name)) for index, text in secrets]
    compare, hmac_digest = hmac.compare_digest, crypto.hmac_digest

    def fits(candidates: list[bytes], message: bytes) -> int | None:
        for index, state in states:
            right = encode(hmac_digest(state, message))
            for given in candidates:
                if compare(given, right):
                    return index
        return None

    return fits


def _public(form: Signature, index: int, text: str) -> Any:
    bare = text.removeprefix(form.secret.only).removeprefix(form.secret.strip)
    try:
        return crypto.public_key(bare, form.algorithm, form.secret.encoding)
    except ValueError as error:
        raise Refused(f"/{index}", "secret", f"This is not a public key for {form.algorithm}: {error}.") from None


def _public_comparison(form: Signature, keys: Sequence[tuple[int, Any]]) -> Fits:
    def fits(candidates: list[bytes], message: bytes) -> int | None:
        for given in candidates[:PUBLIC_CANDIDATES_MAX]:
            raw = crypto.decode(given, form.signature.encoding)
            if raw is None:
                continue
            for index, key in keys:
                if crypto.is_signed(key, form.algorithm, raw, message):
                    return index
        return None

    return fits
