"""A hook as callers write it, and its checks."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from tidings.model.hook import HookOptions, Method, Repeats
from tidings.rules import schemes
from tidings.rules.hooks import emitting, naming
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookReply
from tidings.rules.schemes.checked import check_reply
from tidings.rules.schemes.form import Basic, Signature, SortedParameters, Token, refused

DESCRIPTION_CHARS_MAX = 2_000
SECRET_CHARS_MAX = 16_384
TOLERANCE_SECONDS_MIN, TOLERANCE_SECONDS_MAX = 1, 10 * 365 * 86_400


class HookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hook. Its URL is `/in/` followed by its `path`, and its `scheme` determines which requests are let in.

    `scheme` is the name of a scheme (`GET /v1/schemes`), or a scheme of your own. All `secrets` are valid at once.
    `{type}` in `type` stands for the sender's name for the type of the event, and `subject` says where requests contain
    the subject; or `type`, `key` (the subject, which also identifies repeats) and `data` are templates of `body` and
    `headers`. `repeats` says how a repeated request is recognized: by the sender's `delivery` id, by its `content`, or
    not at all (`accept`). `max_bytes` is the maximum size of a body: by default, and at most, the setting
    `max_hook_bytes`.
    """

    path: str
    scheme: str | dict[str, Any]
    secrets: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    description: str = ""
    type: str | None = None
    subject: str = ""
    key: str = ""
    data: str | dict[str, Any] | None = None
    methods: tuple[Method, ...] | None = None
    tolerance_seconds: float | None = None
    max_bytes: int | None = None
    repeats: Repeats = "delivery"
    enabled: bool = True
    accepted: dict[str, Any] | None = None
    repeated: dict[str, Any] | None = None
    refused: dict[str, Any] | None = None


class NewHook(HookBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hook to declare. The paths of a tenant's hooks begin with the tenant's id."""

    tenant: str | None = None


def checked(given: HookBody, tenant: str | None, bytes_max: int | None = None) -> HookOptions:
    """The options to store. Raises Refused with the place of what is wrong.

    `bytes_max`: the server's own limit of bodies, where it is known.
    """
    _check_plainly(given, tenant)
    _check_size(given.max_bytes, bytes_max)
    scheme = scheme_of(given.scheme)
    if tenant is not None and not isinstance(given.scheme, str):
        _check_cost(scheme)
    schemes.Verifier(scheme, given.secrets, settings=given.settings, tolerance_seconds=given.tolerance_seconds)
    if given.subject:
        try:
            schemes.source(given.subject)
        except Refused as wrong:
            raise wrong.under("/subject") from None
    emitting.check(given.type, given.key, given.data, given.subject, tenant)
    replies = {name: getattr(given, name) for name in ("accepted", "repeated", "refused")}
    for name, reply in replies.items():
        if reply is not None:
            _check_reply(reply, f"/{name}")
    return HookOptions(
        path=given.path,
        scheme=given.scheme,
        settings=given.settings,
        description=given.description,
        type=given.type if given.type is not None else naming.default_type(given.path),
        subject=given.subject,
        key=given.key,
        data=given.data,
        methods=tuple(dict.fromkeys(given.methods)) if given.methods is not None else _methods(scheme),
        tolerance_seconds=given.tolerance_seconds,
        max_bytes=given.max_bytes,
        repeats=given.repeats,
        enabled=given.enabled,
        **replies,
    )


def _check_plainly(given: HookBody, tenant: str | None) -> None:
    naming.check_path(given.path)
    if tenant is not None and not given.path.startswith(f"{tenant}/"):
        raise Refused("/path", "path", f"The paths of this tenant's hooks must begin with {tenant}/.")
    if len(given.description) > DESCRIPTION_CHARS_MAX:
        raise Refused(
            "/description", "too_long", f"A description may have at most {DESCRIPTION_CHARS_MAX:,} characters."
        )
    for index, secret in enumerate(given.secrets):
        if len(secret) > SECRET_CHARS_MAX:
            raise Refused(
                f"/secrets/{index}", "too_long", f"A secret may have at most {SECRET_CHARS_MAX:,} characters."
            )
    if given.methods is not None and not given.methods:
        raise Refused("/methods", "missing", "Give at least one method.")
    tolerance = given.tolerance_seconds
    if tolerance is not None and not TOLERANCE_SECONDS_MIN <= tolerance <= TOLERANCE_SECONDS_MAX:
        detail = f"tolerance_seconds must be from {TOLERANCE_SECONDS_MIN} to {TOLERANCE_SECONDS_MAX:,}."
        raise Refused("/tolerance_seconds", "wrong_value", detail)


def _check_size(given: int | None, bytes_max: int | None) -> None:
    if given is not None and given < 1:
        raise Refused("/max_bytes", "wrong_value", "max_bytes must be at least 1.")
    if given is not None and bytes_max is not None and given > bytes_max:
        detail = (
            f"max_bytes may be at most {bytes_max:,} on this server. The operator can raise the setting "
            "`max_hook_bytes`."
        )
        raise Refused("/max_bytes", "wrong_value", detail)


def _methods(scheme: schemes.Scheme) -> tuple[Method, ...]:
    """The methods that a hook accepts if none are given: POST, and those that its sender uses."""
    used = [method for method in get_args(Method) if method == scheme.sample.method]
    return ("POST", *(method for method in used if method != "POST"))


def scheme_of(given: str | dict[str, Any]) -> schemes.Scheme:
    """A scheme by its name, or one of the caller's own. Raises Refused."""
    if isinstance(given, str):
        return schemes.named(given)
    try:
        return schemes.read(given)
    except Refused as wrong:
        raise wrong.under("/scheme") from None


def _check_cost(scheme: schemes.Scheme) -> None:
    """Raise Refused for what only operators may declare: URLs to fetch from, and patterns, which may cost anything."""
    for index, check in enumerate(scheme.checks):
        if not isinstance(check, Signature | Token | Basic | SortedParameters) or getattr(check, "keys", None):
            at = f"/scheme/check/{index}" if isinstance(scheme.check, tuple) else "/scheme/check"
            detail = (
                "Only an operator can declare a scheme that fetches keys or certificates. Use a named scheme instead."
            )
            raise Refused(at, "not_permitted", detail)
    for index, handshake in enumerate(scheme.handshakes):
        if not isinstance(handshake, str) and handshake.fetch:
            detail = "Only an operator can declare a handshake that fetches a URL. Use a named handshake instead."
            raise Refused(f"/scheme/handshakes/{index}/fetch", "not_permitted", detail)


def _check_reply(given: dict[str, Any], pointer: str) -> None:
    try:
        reply = msgspec.convert(given, HookReply)
    except msgspec.ValidationError as wrong:
        raise refused(str(wrong)).under(pointer) from None
    check_reply(reply, pointer, signs=False)
