"""The declarative form of a signature scheme: what is signed, how, and where the signature is found.

A scheme is JSON. `read` turns it into a `Scheme`, or says which member is wrong.

A *source* specifies where a value comes from: `header:NAME`, `query:NAME`, `form:NAME` (urlencoded or multipart),
`json:a.b` (a list's element by its index), `form:NAME>a.b` (a field that holds JSON), `part:KEY` (the value of
`KEY=value` in the signature's own text) and `part:0` (a part of it by its position). `header:X-Signature-*` reads every
header that begins so, and `json:items.*.key` the member of each element. Alternatives are joined by ` | `; the first
that is present counts. Places joined by ` & ` all count.

A *template* specifies what is signed: text with `{body}`, `{timestamp}`, `{id}`, `{url}`, `{url_base}` (without its
query), `{path}`, `{query}`, `{method}`, `{body_ascii}` (other characters as \\uXXXX), `{body_ascii_slash}` (the same,
and `/` as `\\/`), `{body_sha256}` (in hex), `{secret}` (plain hashes only) and any source in braces, such as
`{header:X-Nonce}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tidings.model.digits import is_digits
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.schemes.crypto import Algorithm, Encoding

Text = Annotated[str, Meta(max_length=1_000)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 365 * 86_400)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown members are refused."""


class SignaturePlace(Strict, frozen=True, kw_only=True):
    """Where signatures are: in the value of `source`, cut at `split` if there are several in one text.

    A part counts if it begins with `prefix`; others (older versions, other keys) are ignored. The first `skip`
    parts are never signatures. `key_end` ends the name of a key that precedes each signature, such as `:` in
    `v1=KEY:SIGNATURE`; all secrets are tried, whatever the name.
    """

    source: Text = msgspec.field(name="from")
    encoding: Encoding = "hex"
    prefix: Text = ""
    split: Text = ""
    key_end: Text = ""
    skip: Annotated[int, Meta(ge=0, le=8)] = 0


class SecretForm(Strict, frozen=True, kw_only=True):
    """How the text of a secret becomes a key.

    `strip` is a prefix that is removed if present. Only secrets that begin with `only` are tried with this
    check; the prefix is left out too. `append` is appended to the key, which must have `bytes_min` bytes before that.
    """

    encoding: Literal["utf8", "hex", "base64", "base64url"] = "utf8"
    strip: Text = ""
    only: Text = ""
    append: Text = ""
    bytes_min: Annotated[int, Meta(ge=1, le=64)] = 1


class Timestamp(Strict, frozen=True, kw_only=True):
    """The sender's clock: seconds or milliseconds since 1970, or ISO 8601 (in UTC if it names no zone).

    A request older than `tolerance_seconds` is a replay; null if the sender sets no tolerance. `future_seconds` (by
    default the same) is the tolerance for clocks that are ahead.
    """

    source: Text = msgspec.field(name="from")
    unit: Literal["s", "ms", "iso"] = "s"
    tolerance_seconds: Seconds | None = 300
    future_seconds: Seconds | None = None


class PublishedKeys(Strict, frozen=True, kw_only=True):
    """Where public keys are published as a JWK set, if the secrets hold none."""

    url: Text
    hosts: tuple[Text, ...] = ()
    """Patterns of the hosts that `url` may have once the settings are filled in; by default, only its own host."""


class Signature(Strict, frozen=True, kw_only=True, tag="signature", tag_field="kind"):
    """An HMAC, a plain hash with the secret inside, or a signature of a key pair, over a template.

    Several templates in `signed` are alternatives: any of them may have been signed. `requires` holds sources and the
    values that they must have, such as a header with the version.
    """

    algorithm: Algorithm
    signed: Text | tuple[Text, ...]
    signature: SignaturePlace
    secret: SecretForm = SecretForm()
    timestamp: Timestamp | None = None
    id: Text = ""
    keys: PublishedKeys | None = None
    requires: dict[str, str] = {}


class Token(Strict, frozen=True, kw_only=True, tag="token", tag_field="kind"):
    """The secret itself, compared in constant time. `prefix` (in either case) precedes it."""

    source: Text = msgspec.field(name="from")
    prefix: Text = ""


class Basic(Strict, frozen=True, kw_only=True, tag="basic", tag_field="kind"):
    """HTTP Basic. A secret is `user:password`."""


class SortedParameters(Strict, frozen=True, kw_only=True, tag="sorted_parameters", tag_field="kind"):
    """Parameters, sorted by name, joined to one text.

    `url_form`: the URL, then name and value of each field of the form (Twilio; JSON bodies by `bodySHA256`).
    `url_form_first`: the same with one value a name, as Mandrill signs. `ampersand`: `&name=value` of each parameter
    of the query or form but the signature itself (Vonage).
    """

    style: Literal["url_form", "url_form_first", "ampersand"]
    algorithm: Algorithm
    signature: SignaturePlace
    timestamp: Timestamp | None = None


class Certificate(Strict, frozen=True, kw_only=True, tag="certificate", tag_field="kind"):
    """An RSA signature whose certificate is fetched from a URL in the request, on one of `hosts` only.

    Messages older than `tolerance_seconds` are refused; by default they may have any age.
    """

    style: Literal["sns", "paypal"]
    hosts: tuple[Text, ...]
    tolerance_seconds: Seconds | None = None


class Claim(Strict, frozen=True, kw_only=True):
    """What a claim (of `a | b`, the one that is present) must be: one of `values`, or the value of a setting."""

    values: tuple[str | bool | int, ...] = ()
    setting: Text = ""


class Hash(Strict, frozen=True, kw_only=True):
    """A claim that holds the SHA-256 of the body or URL. `optional`: absent exactly if the body is empty."""

    claim: Text
    encoding: Encoding = "hex"
    optional: bool = False


class Jwt(Strict, frozen=True, kw_only=True, tag="jwt", tag_field="kind"):
    """A JSON Web Token: keyed by the secret (HS...), or by the key that `keys` publishes under the token's `kid`.

    `exp` and `nbf` are checked if present, `iat` to within `age_seconds`. Every token of `from` must be genuine.
    """

    source: Text = msgspec.field(name="from")
    prefix: Text = ""
    algorithms: tuple[Literal["HS256", "HS384", "HS512", "RS256", "ES256"], ...]
    keys: PublishedKeys | None = None
    plaid: bool = False
    """Whether the key is requested by POST, with the secret as the credentials `client_id:secret`."""
    claims: dict[str, Claim] = {}
    body_hash: Hash | None = None
    url_hash: Hash | None = None
    needs_exp: bool = False
    age_seconds: Seconds | None = None
    leeway_seconds: Seconds = 5


class ItemSignatures(Strict, frozen=True, kw_only=True, tag="items", tag_field="kind"):
    """Adyen's notifications: each item of the body is signed separately."""


Check = Signature | Token | Basic | SortedParameters | Certificate | Jwt | ItemSignatures


class HandshakeWhen(Strict, frozen=True, kw_only=True):
    """Which requests are a handshake: the method, the sources that must be present, and values that some must have."""

    method: tuple[Literal["GET", "HEAD", "OPTIONS", "POST", "PUT"], ...] = ("POST",)
    present: tuple[Text, ...] = ()
    equals: dict[str, str] = {}


class HookReply(Strict, frozen=True, kw_only=True):
    """An answer. `text`, the strings in `json` and the values of `headers` are templates that contain sources.

    `{hmac-sha256:base64:SOURCE}` stands for the HMAC of that source with the hook's first secret.
    """

    status: Annotated[int, Meta(ge=200, le=599)] = 200
    text: Text | None = None
    json: Any = None
    headers: dict[str, str] = {}


class Handshake(Strict, frozen=True, kw_only=True):
    """A question from the sender, answered at once: whether the URL is ours, or whether we know the secret.

    `verify` says whether it comes unsigned (`before`) or must be genuine first (`after`). `must_equal` holds sources
    and the setting that each must be equal to. With `store_secret` the sender hands us the secret: it is accepted only
    while the hook has none. `fetch` is a source whose URL, on one of `hosts`, must be fetched to confirm.
    """

    name: Text
    when: HandshakeWhen
    reply: HookReply = HookReply()
    verify: Literal["before", "after"] = "before"
    must_equal: dict[str, str] = {}
    store_secret: Text = ""
    fetch: Text = ""
    hosts: tuple[Text, ...] = ()
    help: Text = ""
    source: Text = ""


class SchemeSetting(Strict, frozen=True, kw_only=True):
    """A value that a hook must (or may) give for this scheme, in addition to its secrets."""

    help: Text
    required: bool = False
    default: Text = ""


class Sample(Strict, frozen=True, kw_only=True):
    """What a request of this sender looks like; `sign` signs it. A text body is sent unchanged, others as JSON."""

    body: Any = None
    method: Text = "POST"
    headers: dict[str, str] = {}
    query: Text = ""
    content_type: Text = "application/json"


class Scheme(Strict, frozen=True, kw_only=True):
    """How requests of one sender are checked. All but `check` is optional.

    `check` may be a list: a request is genuine if one of them fits. `delivery_id` and `event_type` are sources: the id
    that is the same in every attempt, and the sender's name of the event. `handshakes` are names or whole handshakes.
    """

    check: Check | tuple[Check, ...]
    name: Text = ""
    title: Text = ""
    help: Text = ""
    evidence: Literal["vectors", "documentation", "code", "second_hand", "own"] = "own"
    source: Text = ""
    secret_help: Text = ""
    settings: dict[str, SchemeSetting] = {}
    delivery_id: Text = ""
    event_type: Text = ""
    handshakes: tuple[Text | Handshake, ...] = ()
    accepted: HookReply | None = None
    refused: HookReply | None = None
    sample: Sample = Sample()
    aliases: tuple[Text, ...] = ()

    @property
    def unconfirmed(self) -> bool:
        """Whether the scheme is known only from third-party code, not from the sender's documents or code."""
        return self.evidence == "second_hand"

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks, one of which must fit."""
        return self.check if isinstance(self.check, tuple) else (self.check,)


# msgspec learns a type at its first use, and two threads that do so at the same time end the process (a crash of the
# interpreter). Python imports a module in one thread only.
msgspec.json.Decoder(Scheme)

_AT = re.compile(r"(.*) - at `(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]|\[\.\.\.\]")
_MISSING = re.compile("Object missing required field `(.*)`", re.DOTALL)
_NOT_CHOSEN = re.compile("Invalid (?:enum )?value (.*)", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def read(value: Any) -> Scheme:
    """A scheme from JSON. Raises Refused, with the place of the member that is wrong."""
    try:
        scheme = msgspec.convert(value, Scheme)
    except msgspec.ValidationError as wrong:
        raise refused(str(wrong), value) from None
    check_scheme(scheme)
    return scheme


def refused(message: str, value: Any = None, what: str = "a signature scheme") -> Refused:
    """One of msgspec's messages about a value, as a place and our own sentence, with what is allowed there.

    `what`: what the value declares.
    """
    found = _AT.match(message)
    said, path = (found.group(1), found.group(2)) if found else (message, "$")
    steps = [name or index or "*" for name, index in _STEP.findall(path)]
    pointer = "".join(f"/{escaped(step)}" for step in steps)
    unknown, missing = _UNKNOWN.match(said), _MISSING.match(said)
    if unknown:
        name = unknown.group(1)
        return Refused(
            f"{pointer}/{escaped(name)}",
            "unknown_field",
            f"{name!r} is unknown in {what}.",
        )
    if missing:
        said, steps = f"The field {missing.group(1)!r} is required", [*steps, missing.group(1)]
        pointer = f"{pointer}/{escaped(missing.group(1))}"
    said = _NOT_CHOSEN.sub(r"\1 is not allowed here", said)
    allowed = _allowed(steps, value)
    more = f" Allowed: {', '.join(allowed)}." if allowed else ""
    return Refused(pointer, "missing" if missing else "wrong_value", f"{said}.{more}")


def _allowed(steps: list[str], value: Any) -> list[str]:
    """The values that a scheme may have in a place, according to the schema of schemes, if they are a closed list."""
    nodes = list(_branches(schema()))
    for step in steps:
        members = value if isinstance(value, dict) else {}
        kind = members.get("kind") if step != "kind" else None
        below = [
            node.get("properties", {}).get(step) or node.get("items")
            for node in nodes
            if kind is None or kind in node.get("properties", {}).get("kind", {"enum": [kind]})["enum"]
        ]
        nodes = [branch for node in below if node for branch in _branches(node)]
        value = value[int(step)] if isinstance(value, list) and is_digits(step) else members.get(step)
    return list(dict.fromkeys(repr(choice) for node in nodes for choice in node.get("enum", ())))


def _branches(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A part of the schema with its references followed and its alternatives one by one."""
    if "$ref" in node:
        yield from _branches(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    elif "anyOf" in node:
        for each in node["anyOf"]:
            yield from _branches(each)
    else:
        yield node


def check_scheme(scheme: Scheme) -> None:
    """Raise Refused if a source, a template or a combination makes no sense."""
    from tidings.rules.schemes.checked import check_all

    check_all(scheme)


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a scheme, for documents."""
    return msgspec.json.schema(Scheme)
