"""Hooks as a file declares them: what it would change, and making it so, in one transaction.

A hook is known by its path. Secrets are replaced if the file has some, else those of the store stay: senders may have
handed them over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tidings.control.hooks.body import NewHook, checked
from tidings.control.hooks.hooks import WRITE
from tidings.model.access import TENANT_RULE, Caller, is_tenant
from tidings.model.errors import Conflict
from tidings.model.hook import Hook, HookOptions
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.reading.refused import Refused, escaped
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers

WHOLE = "Hooks of a file"


class HookStep(msgspec.Struct, frozen=True, kw_only=True):
    """One change, in words."""

    do: Literal["create_hook", "change_hook", "delete_hook"]
    path: str
    says: str


class HooksPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would change, or has. `plan` names it: under this name it is refused if anything has changed since.

    `stays` are the paths of hooks that nobody declared, and that stay.
    """

    plan: str
    steps: list[HookStep]
    stays: list[str]
    applied: bool = False


class WantedHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Hooks by the names of their links. `prune`: delete those without a tenant that are not among them."""

    hooks: dict[str, NewHook]
    prune: bool = False


def wanted_hooks(hooks: dict[str, Any]) -> WantedHooks:
    """Hooks that were checked, as plain values, by the names of their links."""
    return msgspec.convert({"hooks": hooks}, WantedHooks)


class DeclaredHooks:
    """Plans and carries out."""

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock, bytes_max: int) -> None:
        self._catalog, self._readers, self._clock, self._bytes_max = catalog, readers, clock, bytes_max

    async def plan(self, caller: Caller, wanted: WantedHooks) -> HooksPlan:
        """What these declarations would change. Raises Invalid or Conflict."""
        caller.need(WRITE, WHOLE)
        return await self._readers.call(lambda db: self.look(db, wanted), caller.tenant)

    async def apply(
        self, caller: Caller, wanted: WantedHooks, run: Run[HooksPlan, R], *, plan_name: str | None = None
    ) -> R:
        """Make them so, all or none. Raises Invalid or Conflict."""
        caller.need(WRITE, WHOLE)
        return await run(lambda db: self.carry_out(db, wanted, plan_name=plan_name))

    def look(self, db: Db, wanted: WantedHooks) -> HooksPlan:
        """The plan, as a job. Raises Invalid or Conflict."""
        return self._planned(db, wanted)[0]

    def carry_out(self, db: Db, wanted: WantedHooks, *, plan_name: str | None = None) -> HooksPlan:
        """Carry it out, as a job of the writer. Raises Invalid or Conflict."""
        plan, put, dropped = self._planned(db, wanted)
        if plan_name is not None and plan_name != plan.plan:
            detail = (
                "The hooks have changed since this plan was made, or the plan was made from another "
                "declaration. Plan again."
            )
            raise Conflict(detail, code="plan_changed")
        for hook in dropped:
            self._catalog.drop_hook(db, hook.id)
        for hook in put:
            self._catalog.put_hook(db, hook)
        return msgspec.structs.replace(plan, applied=True)

    def _planned(self, db: Db, wanted: WantedHooks) -> tuple[HooksPlan, list[Hook], list[Hook]]:
        """The plan, and the hooks to write and to delete."""
        present = {hook.options.path: hook for hook in self._catalog.hooks(db)}
        steps: list[HookStep] = []
        put: list[Hook] = []
        wants = self._read(wanted)
        for path, hook in wants.items():
            before = present.get(path)
            if before is not None and before.tenant != hook.tenant:
                raise Conflict(f"The path {path} belongs to a hook of another tenant.", code="path_taken")
            if before is None:
                steps.append(HookStep(do="create_hook", path=path, says=f"will create the hook {path}"))
                put.append(hook)
            elif changes := _changes(before, hook):
                says = f"will change {', '.join(changes)} of the hook {path}"
                steps.append(HookStep(do="change_hook", path=path, says=says))
                put.append(_merged(before, hook))
        others = [hook for path, hook in sorted(present.items()) if path not in wants and hook.tenant is None]
        dropped = others if wanted.prune else []
        steps += [
            HookStep(do="delete_hook", path=hook.options.path, says=f"will delete the hook {hook.options.path}")
            for hook in dropped
        ]
        stays = [] if wanted.prune else [hook.options.path for hook in others]
        return HooksPlan(plan=_name(present, steps), steps=steps, stays=stays), put, dropped

    def _read(self, wanted: WantedHooks) -> dict[str, Hook]:
        """The hooks that are wanted, by path. Raises Refused."""
        now, found = self._clock.now(), dict[str, Hook]()
        for name, body in wanted.hooks.items():
            try:
                options = checked_hook(body, self._bytes_max)
            except Refused as wrong:
                raise wrong.under(f"/hooks/{escaped(name)}") from None
            if options.path in found:
                raise Refused(f"/hooks/{escaped(name)}/path", "path", f"Another hook has the path {options.path}.")
            found[options.path] = Hook(
                id=new_id("hook", now),
                tenant=body.tenant,
                options=options,
                secrets=body.secrets,
                revision=1,
                created=now,
                updated=now,
            )
        return found


def checked_hook(body: NewHook, bytes_max: int | None = None) -> HookOptions:
    """The options of a hook in a file. Raises Refused with the place of what is wrong.

    `bytes_max`: the server's own limit of bodies, where it is known.
    """
    if body.tenant is not None and not is_tenant(body.tenant):
        raise Refused("/tenant", "tenant", TENANT_RULE)
    return checked(body, body.tenant, bytes_max)


def _changes(before: Hook, wanted: Hook) -> list[str]:
    old, new = msgspec.structs.asdict(before.options), msgspec.structs.asdict(wanted.options)
    found = [name for name in new if new[name] != old[name]]
    return [*found, "secrets"] if wanted.secrets and wanted.secrets != before.secrets else found


def _merged(before: Hook, wanted: Hook) -> Hook:
    return msgspec.structs.replace(
        before,
        options=wanted.options,
        secrets=wanted.secrets or before.secrets,
        revision=before.revision + 1,
        updated=wanted.updated,
    )


def _name(present: Mapping[str, Hook], steps: list[HookStep]) -> str:
    """The plan's name: a hash of what it depends on. Secrets are in none of it."""
    revisions = sorted((path, hook.id, hook.revision) for path, hook in present.items())
    return "plan_" + hashlib.sha256(msgspec.json.encode([revisions, steps])).hexdigest()[:24]
