"""What a request to a hook is: the type and subject of its event, and which of its sender's deliveries it belongs to.

**Repeats.** A sender that got no response sends again. One key identifies such a repeat: a hash of the sender's
delivery id or, if the scheme has none, of the content. An id that the signature does not cover counts only together
with the content: otherwise, anyone could replay a request under another one's id and so have the other one dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container

from tidings.model.event import OWN_TYPES, is_subject
from tidings.model.hook import Repeats
from tidings.rules.event_types import TYPE_CHARS_MAX, is_type
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Scheme
from tidings.rules.schemes.form import Basic, Check, Jwt, Signature, Token
from tidings.rules.schemes.kinds.signed import texts
from tidings.rules.schemes.sources import encoded, source

SENDERS_TYPE = "{type}"
UNNAMED = "received"
PREFIX = "hook."

PATH_RULE = (
    "A path must consist of 1 to 200 letters, digits and . _ ~ - with / between its parts, such as github or "
    "acme/stripe."
)
PATH_PATTERN = "[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
PATH_CHARS_MAX = 200
_PATH = re.compile(PATH_PATTERN)
_NOT_IN_TYPE = re.compile(r"[^A-Za-z0-9_.-]+")
_EMPTY_PARTS = re.compile(r"\.{2,}")


def check_path(path: str, pointer: str = "/path") -> str:
    """The path of a hook, checked. Raises Refused.

    It has only characters that are never percent-encoded, so that the URL that a sender signs can be derived from
    the path that arrives.
    """
    if len(path) > PATH_CHARS_MAX or not _PATH.fullmatch(path):
        raise Refused(pointer, "path", PATH_RULE)
    return path


def default_type(path: str) -> str:
    """The default type of a hook's events."""
    return _free(f"{_as_type(path.replace('/', '.'))[:100].strip('.')}.{SENDERS_TYPE}")


def check_type(pattern: str, pointer: str = "/type") -> str:
    """A hook's `type`, checked. Raises Refused."""
    if not is_type(pattern.replace(SENDERS_TYPE, UNNAMED)) or pattern.count(SENDERS_TYPE) > 1:
        detail = (
            "Write an event type such as stripe.event, or one such as stripe.{type}, in which {type} stands for the "
            "sender's own type."
        )
        raise Refused(pointer, "event_type", detail)
    if pattern.startswith(OWN_TYPES):
        raise Refused(pointer, "event_type", f"Types that begin with {OWN_TYPES} are published by Tidings itself.")
    return pattern


def type_of(pattern: str, scheme: Scheme, request: HookRequest, taken: Container[str]) -> str:
    """The type of the event that a request becomes. `taken`: types that only others may publish."""
    kind = pattern
    if SENDERS_TYPE in pattern:
        said = source(scheme.event_type).first(request) if scheme.event_type else None
        room = TYPE_CHARS_MAX - len(pattern) + len(SENDERS_TYPE)
        kind = pattern.replace(SENDERS_TYPE, _as_type(said or "")[:room].strip(".") or UNNAMED)
    return _free(kind) if kind not in taken else f"{PREFIX}{kind}"


def _free(kind: str) -> str:
    """The type with a prefix, if only Tidings itself may publish it, so that a genuine request is never lost because
    of its name."""
    return f"{PREFIX}{kind}"[:TYPE_CHARS_MAX].rstrip(".") if kind.startswith(OWN_TYPES) else kind


def free_type(text: str, taken: Container[str]) -> str:
    """The type that a template's text names, as `type_of` does."""
    kind = _free(_as_type(text)[:TYPE_CHARS_MAX].strip(".") or UNNAMED)
    return kind if kind not in taken else f"{PREFIX}{kind}"


def subject_of(place: str, request: HookRequest) -> str | None:
    """The subject of the event, found at a source; None if it is missing, or cannot be one."""
    if not place:
        return None
    found = source(place).first(request)
    return found if found and is_subject(found) else None


class DeliveryKeys:
    """Distinguishes the deliveries of a hook."""

    __slots__ = ("_id", "_id_is_proved", "_key_is_proved", "_repeats")

    def __init__(self, repeats: Repeats, scheme: Scheme, *, key_is_of_body: bool = False) -> None:
        """`key_is_of_body`: the keys of its requests come only from the body."""
        self._repeats = repeats
        self._key_is_proved = key_is_of_body and all(_proves(check, "json:id") for check in scheme.checks)
        self._id = source(scheme.delivery_id) if scheme.delivery_id and repeats == "delivery" else None
        self._id_is_proved = all(_proves(check, scheme.delivery_id) for check in scheme.checks)

    def of(self, request: HookRequest, key: str | None = None) -> str | None:
        """A key that is the same for each repeat of a delivery, and for no other; None if repeats are accepted.

        `key`: the result of the hook's own template; None if it has none.
        """
        if self._repeats == "accept":
            return None
        is_id = key is None and self._id is not None
        found = self._id.first(request) if is_id and self._id is not None else key
        digest = hashlib.sha256()
        if found is not None:
            named = encoded(found)
            digest.update(b"%b %d\n%b" % (b"id" if is_id else b"key", len(named), named))
            if self._id_is_proved if is_id else self._key_is_proved:
                return digest.hexdigest()
        query = encoded(request.url.partition("?")[2])
        digest.update(b"sent %b %d\n%b" % (encoded(request.method), len(query), query))
        digest.update(request.body)
        return digest.hexdigest()


def _proves(check: Check, place: str) -> bool:
    """Whether a request that passes a check proves that the sender sent the value at this place."""
    in_body = place.startswith(("json:", "form:"))
    if isinstance(check, Signature):
        return all(
            (in_body and "{body" in text) or f"{{{place}}}" in text or ("{id}" in text and check.id == place)
            for text in texts(check.signed)
        )
    if isinstance(check, Jwt):
        return in_body and check.body_hash is not None
    # Anyone who knows the token is the sender; certificates, sorted parameters and items cover what the body says.
    return in_body or isinstance(check, Token | Basic)


def _as_type(text: str) -> str:
    return _EMPTY_PARTS.sub(".", _NOT_IN_TYPE.sub("_", text)).strip(".")
