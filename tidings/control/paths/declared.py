"""Hooks or forms declared in a file: what would change, and carrying it out in one transaction. Each is identified by
its path.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from tidings.control.paths.kept import PathKind, T
from tidings.model.access import Caller
from tidings.model.errors import Conflict
from tidings.model.moment import Clock, Micros
from tidings.rules.reading.refused import Refused, escaped
from tidings.store.base import Db, R, Run
from tidings.store.readers import Readers


class PathStep(msgspec.Struct, frozen=True, kw_only=True):
    """One change, as a sentence. `do`: `create_hook`, `change_form` ..."""

    do: str
    path: str
    says: str


class PathsPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that would be made, or were made. `plan` is the plan's name: if it is applied by this name, it is
    refused if anything has changed since. `stays` lists the paths of those that are not declared, and are kept.
    """

    plan: str
    steps: list[Any]
    stays: list[str]
    applied: bool = False


class WantedPaths(msgspec.Struct, frozen=True, kw_only=True):
    """Declarations by the names of their links, in a member named after the noun: `hooks`, `forms`.

    `prune`: delete those without a tenant that are not among them.
    """

    prune: bool = False


P = TypeVar("P", bound=PathsPlan)
W = TypeVar("W", bound=WantedPaths)


class DeclaredPaths(ABC, Generic[T, W, P]):
    """Plans and carries out."""

    step: type[PathStep]
    shown: type[P]

    def __init__(self, kind: PathKind[T], readers: Readers, clock: Clock) -> None:
        self._kind: PathKind[T] = kind
        self._readers, self._clock = readers, clock

    @abstractmethod
    def made(self, body: Any, now: Micros) -> T:
        """The hook or form that a declaration describes, as if it were new. Raises Refused with the wrong place."""

    def changes(self, before: T, wanted: T) -> list[str]:
        """The names of what differs."""
        old, new = before.options, wanted.options
        return [name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name)]

    def parts(self, before: T, wanted: T) -> dict[str, Any]:
        """The parts to replace in the present one."""
        return {"options": wanted.options}

    async def plan(self, caller: Caller, wanted: W) -> P:
        """What these declarations would change. Raises Invalid or Conflict."""
        self._need(caller)
        return await self._readers.call(lambda db: self.look(db, wanted), caller.tenant)

    async def apply(self, caller: Caller, wanted: W, run: Run[P, R], *, plan_name: str | None = None) -> R:
        """Carry out these declarations, all or none. Raises Invalid or Conflict."""
        self._need(caller)
        return await run(lambda db: self.carry_out(db, wanted, plan_name=plan_name))

    def look(self, db: Db, wanted: W) -> P:
        """The plan, as a job. Raises Invalid or Conflict."""
        return self._planned(db, wanted)[0]

    def carry_out(self, db: Db, wanted: W, *, plan_name: str | None = None) -> P:
        """Carry it out, as a job of the writer. Raises Invalid or Conflict."""
        plan, put, dropped = self._planned(db, wanted)
        if plan_name is not None and plan_name != plan.plan:
            detail = (
                f"The {self._kind.noun}s have changed since this plan was made, or the plan was made from another "
                "declaration. Make a new plan."
            )
            raise Conflict(detail, code="plan_changed")
        for each in dropped:
            self._kind.drop(db, each.id)
        for each in put:
            self._kind.put(db, each)
        return msgspec.structs.replace(plan, applied=True)

    def _need(self, caller: Caller) -> None:
        caller.need(self._kind.write, f"{self._kind.noun.capitalize()}s of a file")

    def _planned(self, db: Db, wanted: W) -> tuple[P, list[T], list[T]]:
        """The plan, what to write, and what to delete."""
        noun = self._kind.noun
        present = {each.options.path: each for each in self._kind.all(db)}
        steps: list[PathStep] = []
        put: list[T] = []

        def step(verb: str, path: str, what: str = "") -> None:
            steps.append(self.step(do=f"{verb}_{noun}", path=path, says=f"will {verb} {what}the {noun} {path}"))

        wants = self._read(wanted)
        for path, each in wants.items():
            before = present.get(path)
            if before is not None and before.tenant != each.tenant:
                raise Conflict(f"The path {path} belongs to a {noun} of another tenant.", code="path_taken")
            if before is None:
                step("create", path)
                put.append(each)
            elif changes := self.changes(before, each):
                step("change", path, f"{', '.join(changes)} of ")
                changed = {**self.parts(before, each), "revision": before.revision + 1, "updated": each.updated}
                put.append(msgspec.structs.replace(before, **changed))
        others = [each for path, each in sorted(present.items()) if path not in wants and each.tenant is None]
        dropped = others if wanted.prune else []
        for each in dropped:
            step("delete", each.options.path)
        stays = [] if wanted.prune else [each.options.path for each in others]
        return self.shown(plan=_name(present, steps), steps=steps, stays=stays), put, dropped

    def _read(self, wanted: W) -> dict[str, T]:
        """What is wanted, by path. Raises Refused."""
        noun, now, found = self._kind.noun, self._clock.now(), dict[str, T]()
        for name, body in getattr(wanted, f"{noun}s").items():
            at = f"/{noun}s/{escaped(name)}"
            try:
                each = self.made(body, now)
            except Refused as wrong:
                raise wrong.under(at) from None
            path = each.options.path
            if path in found:
                raise Refused(f"{at}/path", "path", f"Another {noun} already has the path {path}.")
            found[path] = each
        return found


def _name(present: Mapping[str, T], steps: list[PathStep]) -> str:
    """The plan's name: a hash of everything it depends on, without secrets."""
    revisions = sorted((path, each.id, each.revision) for path, each in present.items())
    return "plan_" + hashlib.sha256(msgspec.json.encode([revisions, steps])).hexdigest()[:24]
