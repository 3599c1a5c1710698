"""Signatures whose certificate is fetched from a URL in the request: AWS SNS and PayPal.

The URL comes from the sender, so anybody can write any URL there: host and path are checked before it is fetched.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import Certificate
from tidings.rules.schemes.kinds.jwks import Needed, trusted
from tidings.rules.schemes.kinds.signed import check_age, seconds
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import encoded
from tidings.rules.schemes.verdict import Unfit

SNS_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SNS_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
"""The members of a message that are signed, by its type, in this order."""
SNS_TYPES = {
    "Notification": SNS_NOTIFICATION,
    "SubscriptionConfirmation": SNS_CONFIRMATION,
    "UnsubscribeConfirmation": SNS_CONFIRMATION,
}
PAYPAL_HEADERS = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
PINNED = "-----BEGIN"
_ONLY_CERTIFICATES = re.compile(rb"\s*(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*){1,8}")


class CertificateCheck:
    """A compiled `Certificate`. Secrets are certificates in PEM to be trusted instead of what is fetched, if any.

    PayPal signs the id of the webhook, which is the setting `webhook_id`.
    """

    def __init__(
        self,
        form: Certificate,
        secrets: Sequence[tuple[int, str]],
        settings: Mapping[str, str],
        tolerance_seconds: float | None = None,
    ) -> None:
        self._form = form
        self._style = STYLES[form.style]
        self._read = self._style.read
        self._settings = settings
        self._tolerance = form.tolerance_seconds if tolerance_seconds is None else tolerance_seconds
        self._pinned: list[tuple[int | None, Any]] = [(index, _pinned(index, text)) for index, text in secrets]

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> int | None:
        """The index of the pinned certificate that fits, None for a fetched one. Raises Unfit."""
        signed = self._read(request, self._settings)
        self._trust(signed)
        at = seconds(signed.time, "iso")
        if at is None:
            raise Unfit("bad_timestamp", "The message's timestamp is not in ISO 8601 format.")
        check_age(now - at, self._tolerance, self._tolerance)
        raw = crypto.decode(encoded(signed.signature), "base64")
        if raw is None:
            raise Unfit("malformed_header", "The signature is not base64.")
        for index, key in self._pinned or [(None, self._fetched(signed, fetched, now))]:
            if crypto.is_signed(key, signed.algorithm, raw, signed.message):
                return index
        raise Unfit("no_match", "The signature does not match the message, according to the sender's certificate.")

    def needs(self, request: HookRequest) -> tuple[Needed, ...]:
        """The certificate to fetch. Raises Unfit if the request names none, or one at an untrusted URL."""
        signed = self._read(request, self._settings)
        self._trust(signed)
        return () if self._pinned else (Needed(signed.url, signed.url),)

    def shown(self, request: HookRequest) -> bytes:
        """The text that is signed."""
        return self._read(request, self._settings).message

    def _trust(self, signed: Message) -> None:
        trusted(signed.url, self._form.hosts, self._style.path)

    def _fetched(self, signed: Message, fetched: Mapping[str, bytes], now: float) -> Any:
        from cryptography.x509 import load_pem_x509_certificate

        raw = fetched.get(signed.url)
        if raw is None:
            raise Unfit("no_key", f"The certificate at {signed.url} could not be fetched.")
        try:
            if not _ONLY_CERTIFICATES.fullmatch(raw):
                raise ValueError("it contains more than PEM")
            with crypto.reading_a_key():
                certificate = load_pem_x509_certificate(raw)
                key = certificate.public_key()
            crypto.check_kind(key, signed.algorithm)
        except ValueError:
            raise Unfit("no_key", f"The response from {signed.url} is not a certificate with an RSA key.") from None
        if not _is_of(certificate, self._style.subject):
            raise Unfit("no_key", f"The certificate at {signed.url} was not issued to this sender.")
        moment = datetime.fromtimestamp(now, UTC)
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise Unfit("no_key", f"The certificate at {signed.url} is not currently valid.")
        return key


class Message:
    """The claims of a request about its signature."""

    __slots__ = ("algorithm", "message", "signature", "time", "url")

    def __init__(self, *, message: bytes, signature: str, algorithm: str, url: str, time: str) -> None:
        self.message, self.signature, self.algorithm, self.url, self.time = message, signature, algorithm, url, time


def _is_of(certificate: Any, subject: re.Pattern[str]) -> bool:
    from cryptography.x509 import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    is_named = len(names) == 1 and subject.fullmatch(str(names[0].value)) is not None
    return is_named and certificate.issuer != certificate.subject


def _pinned(index: int, text: str) -> Any:
    if not text.lstrip().startswith(PINNED):
        raise Refused(
            f"/{index}", "secret", "This scheme has no secrets; you can give a certificate in PEM format instead."
        )
    try:
        return crypto.public_key(text, "rsa-sha256", "base64")
    except ValueError as error:
        raise Refused(f"/{index}", "secret", f"This certificate cannot be used: {error}.") from None


def _read_sns(request: HookRequest, settings: Mapping[str, str]) -> Message:
    try:
        value = request.json()
    except ValueError as error:
        raise Unfit("bad_body", f"The body cannot be read as JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Unfit("bad_body", "The body is not a JSON object.")
    names = SNS_TYPES.get(str(value.get("Type")))
    if names is None:
        raise Unfit("bad_body", f"The member Type must be one of {', '.join(SNS_TYPES)}.")
    version = str(value.get("SignatureVersion"))
    if version not in ("1", "2"):
        raise Unfit("unsupported_version", "The member SignatureVersion must be 1 or 2.")
    # Lambda spells these two differently.
    url = value.get("SigningCertURL", value.get("SigningCertUrl"))
    members = dict(value)
    members.setdefault("SubscribeURL", value.get("SubscribeUrl"))
    for name, given in (("SigningCertURL", url), ("Signature", value.get("Signature"))):
        if not isinstance(given, str) or not given:
            raise Unfit("missing_header", f"The JSON member {name} is missing.")
    if value.get("TopicArn") != settings["topic_arn"]:
        # Anybody with an account of AWS can have genuine messages of their own topic sent here.
        raise Unfit(
            "wrong_claim", f"The message is from {str(value.get('TopicArn'))[:200]!r}, not from this hook's topic_arn."
        )
    return Message(
        message=_lines(members, names),
        signature=value["Signature"],
        algorithm="rsa-sha1" if version == "1" else "rsa-sha256",
        url=str(url),
        time=str(value.get("Timestamp", "")),
    )


def _lines(members: Mapping[str, Any], names: Sequence[str]) -> bytes:
    found = []
    for name in names:
        value = members.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise Unfit("missing_header", f"The JSON member {name} is missing.")
        found.append(f"{name}\n{value}\n")
    return encoded("".join(found))


def _read_paypal(request: HookRequest, settings: Mapping[str, str]) -> Message:
    found = []
    for name in PAYPAL_HEADERS:
        value = request.headers.get(f"paypal-{name}", "")
        if not value:
            raise Unfit("missing_header", f"The header PayPal-{name.title()} is missing.")
        found.append(value)
    ident, time, signature, url, algorithm = found
    if algorithm.upper() != "SHA256WITHRSA":
        raise Unfit("unsupported_version", "The header PayPal-Auth-Algo must be SHA256withRSA.")
    text = f"{ident}|{time}|{settings['webhook_id']}|{zlib.crc32(request.body)}"
    return Message(message=encoded(text), signature=signature, algorithm="rsa-sha256", url=url, time=time)


class Style(NamedTuple):
    """What is specific to a sender whose requests name their certificate."""

    read: Callable[[HookRequest, Mapping[str, str]], Message]
    path: re.Pattern[str]
    """A pattern of the path of certificates on the sender's hosts."""
    subject: re.Pattern[str]
    """A pattern of the common name of the sender's certificates."""


STYLES = {
    "sns": Style(
        _read_sns,
        re.compile(r"/SimpleNotificationService-[0-9a-f]+\.pem"),
        re.compile(r"sns\.([a-z0-9-]+\.)?amazonaws\.com(\.cn)?"),
    ),
    "paypal": Style(
        _read_paypal,
        re.compile(r"/v1/notifications/certs/CERT-[0-9A-Za-z-]+"),
        re.compile(r"([a-z0-9-]+\.)*paypal\.com"),
    ),
}
