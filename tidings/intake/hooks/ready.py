"""Hooks with their schemes, secrets and answers compiled, once for each of their revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from tidings.intake.publish import WRITE
from tidings.model.access import Key
from tidings.model.event import Event
from tidings.model.hook import Hook
from tidings.rules import schemes
from tidings.rules.hooks.emitting import EventTemplates, templates_of
from tidings.rules.hooks.masking import headers_read, shows_secret
from tidings.rules.hooks.naming import DeliveryKeys
from tidings.rules.schemes import HookReply, HookRequest

HOOKS_KEPT = 10_000


class ReadyHook(NamedTuple):
    """A hook that can take requests."""

    hook: Hook
    scheme: schemes.Scheme
    verifier: schemes.Verifier
    key: Key
    """The caller under which its events are published: the hook itself, for its tenant."""
    repeats: DeliveryKeys
    templates: EventTemplates | None
    accepted: HookReply
    repeated: HookReply
    refused: HookReply | None
    """The response to refused requests; None for the default of hooks."""
    headers_read: frozenset[str]
    """The lowercase names of the headers that are read to check a request."""
    shows_secret: bool
    """Whether requests to the hook contain the secret itself, or another credential that is read."""

    def key_of(self, request: HookRequest, event: Event) -> str | None:
        """The key that identifies repeats of the request that became this event; None if repeats are accepted."""
        has_key = self.templates is not None and self.templates.has_key
        return self.repeats.of(request, event.subject if has_key else None)


class ReadyHooks:
    """The recently used hooks. Belongs to one event loop."""

    def __init__(self) -> None:
        self._known: dict[str, ReadyHook] = {}

    def of(self, hook: Hook) -> ReadyHook:
        """The hook, compiled."""
        known = self._known.get(hook.id)
        if known is not None and known.hook is hook:
            return known
        if len(self._known) >= HOOKS_KEPT:
            self._known.clear()
        ready = self._known[hook.id] = ready_hook(hook)
        return ready


def ready_hook(hook: Hook) -> ReadyHook:
    """A hook, compiled."""
    options = hook.options
    scheme = scheme_of(options.scheme)
    verifier = schemes.Verifier(
        scheme, hook.secrets, settings=options.settings, tolerance_seconds=options.tolerance_seconds
    )
    templates = templates_of(options)
    accepted = _reply(options.accepted) or scheme.accepted or HookReply(status=200)
    # A setting may name a header.
    read = headers_read(scheme, options.subject, *(f"header:{value}" for value in options.settings.values()))
    return ReadyHook(
        hook=hook,
        scheme=scheme,
        verifier=verifier,
        key=Key(id=hook.id, hash="", name=options.path, scopes=(WRITE,), tenant=hook.tenant),
        repeats=DeliveryKeys(
            options.repeats, scheme, key_is_of_body=templates is not None and templates.key_is_of_body
        ),
        templates=templates,
        accepted=accepted,
        repeated=_reply(options.repeated) or accepted,
        refused=_reply(options.refused) or scheme.refused,
        headers_read=read,
        shows_secret=shows_secret(scheme, read),
    )


def scheme_of(given: str | Mapping[str, Any]) -> schemes.Scheme:
    """A scheme by its name, or one of the user's own. Raises Refused."""
    return schemes.named(given) if isinstance(given, str) else schemes.read(given)


def _reply(given: Mapping[str, Any] | None) -> HookReply | None:
    return None if given is None else msgspec.convert(given, HookReply)
