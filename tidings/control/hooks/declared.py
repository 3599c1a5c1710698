"""Hooks declared in a file.

If the file has secrets, they replace the stored ones; otherwise those are kept, as senders may have handed them over.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.control.hooks.body import NewHook, checked
from tidings.control.paths.declared import DeclaredPaths, PathsPlan, PathStep, WantedPaths
from tidings.control.paths.kept import hooks_of
from tidings.control.tenants import check_tenant
from tidings.model.hook import Hook, HookOptions
from tidings.model.ids import new_id
from tidings.model.moment import Clock, Micros
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers


class HookStep(PathStep, frozen=True, kw_only=True):
    """One change, in words."""

    do: Literal["create_hook", "change_hook", "delete_hook"]


class HooksPlan(PathsPlan, frozen=True, kw_only=True):
    """What would change, or has changed. `plan` is the plan's name: if it is applied by this name, it is refused if
    anything has changed since.

    `stays` has the paths of hooks that are not declared and are kept.
    """

    steps: list[HookStep]


class WantedHooks(WantedPaths, frozen=True, kw_only=True):
    """Hooks by the names of their links. `prune`: delete those without a tenant that are not among them."""

    hooks: dict[str, NewHook]


def wanted_hooks(hooks: dict[str, Any]) -> WantedHooks:
    """Hooks that were checked, as plain values, by the names of their links."""
    return msgspec.convert({"hooks": hooks}, WantedHooks)


class DeclaredHooks(DeclaredPaths[Hook, WantedHooks, HooksPlan]):
    """Plans and carries out."""

    step, shown = HookStep, HooksPlan

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock, bytes_max: int) -> None:
        super().__init__(hooks_of(catalog), readers, clock)
        self._bytes_max = bytes_max

    def made(self, body: NewHook, now: Micros) -> Hook:
        """The hook that a declaration describes. Raises Refused."""
        return Hook(
            id=new_id("hook", now),
            tenant=body.tenant,
            options=checked_hook(body, self._bytes_max),
            secrets=body.secrets,
            revision=1,
            created=now,
            updated=now,
        )

    def changes(self, before: Hook, wanted: Hook) -> list[str]:
        """The names of what differs."""
        found = super().changes(before, wanted)
        return [*found, "secrets"] if wanted.secrets and wanted.secrets != before.secrets else found

    def parts(self, before: Hook, wanted: Hook) -> dict[str, Any]:
        """The options, and the secrets if there are new ones."""
        return {"options": wanted.options, "secrets": wanted.secrets or before.secrets}


def checked_hook(body: NewHook, bytes_max: int | None = None) -> HookOptions:
    """The options of a hook in a file. Raises Refused with the place of what is wrong.

    `bytes_max`: the server's own limit of bodies, where it is known.
    """
    check_tenant(body.tenant)
    return checked(body, body.tenant, bytes_max)
