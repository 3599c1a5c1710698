"""Forms as a file declares them: what it would change, and making it so, in one transaction. A form is known by its
path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tidings.control.forms.body import NewForm, checked
from tidings.control.forms.forms import WRITE
from tidings.model.access import TENANT_RULE, Caller, is_tenant
from tidings.model.errors import Conflict
from tidings.model.forms.form import Form, FormOptions
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.reading.refused import Refused, escaped
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers

WHOLE = "Forms of a file"


class FormStep(msgspec.Struct, frozen=True, kw_only=True):
    """One change, in words."""

    do: Literal["create_form", "change_form", "delete_form"]
    path: str
    says: str


class FormsPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would change, or has. `plan` names it: under this name it is refused if anything has changed since.

    `stays` are the paths of forms that nobody declared, and that stay.
    """

    plan: str
    steps: list[FormStep]
    stays: list[str]
    applied: bool = False


class WantedForms(msgspec.Struct, frozen=True, kw_only=True):
    """Forms by the names of their links. `prune`: delete those without a tenant that are not among them."""

    forms: dict[str, NewForm]
    prune: bool = False


def wanted_forms(forms: dict[str, Any]) -> WantedForms:
    """Forms that were checked, as plain values, by the names of their links."""
    return msgspec.convert({"forms": forms}, WantedForms)


class DeclaredForms:
    """Plans and carries out."""

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock) -> None:
        self._catalog, self._readers, self._clock = catalog, readers, clock

    async def plan(self, caller: Caller, wanted: WantedForms) -> FormsPlan:
        """What these declarations would change. Raises Invalid or Conflict."""
        caller.need(WRITE, WHOLE)
        return await self._readers.call(lambda db: self.look(db, wanted), caller.tenant)

    async def apply(
        self, caller: Caller, wanted: WantedForms, run: Run[FormsPlan, R], *, plan_name: str | None = None
    ) -> R:
        """Make them so, all or none. Raises Invalid or Conflict."""
        caller.need(WRITE, WHOLE)
        return await run(lambda db: self.carry_out(db, wanted, plan_name=plan_name))

    def look(self, db: Db, wanted: WantedForms) -> FormsPlan:
        """The plan, as a job. Raises Invalid or Conflict."""
        return self._planned(db, wanted)[0]

    def carry_out(self, db: Db, wanted: WantedForms, *, plan_name: str | None = None) -> FormsPlan:
        """Carry it out, as a job of the writer. Raises Invalid or Conflict."""
        plan, put, dropped = self._planned(db, wanted)
        if plan_name is not None and plan_name != plan.plan:
            detail = (
                "The forms have changed since this plan was made, or the plan was made from another "
                "declaration. Plan again."
            )
            raise Conflict(detail, code="plan_changed")
        for form in dropped:
            self._catalog.drop_form(db, form.id)
        for form in put:
            self._catalog.put_form(db, form)
        return msgspec.structs.replace(plan, applied=True)

    def _planned(self, db: Db, wanted: WantedForms) -> tuple[FormsPlan, list[Form], list[Form]]:
        """The plan, and the forms to write and to delete."""
        present = {form.options.path: form for form in self._catalog.forms(db)}
        steps: list[FormStep] = []
        put: list[Form] = []
        wants = self._read(wanted)
        for path, form in wants.items():
            before = present.get(path)
            if before is not None and before.tenant != form.tenant:
                raise Conflict(f"The path {path} belongs to a form of another tenant.", code="path_taken")
            if before is None:
                steps.append(FormStep(do="create_form", path=path, says=f"will create the form {path}"))
                put.append(form)
            elif changes := _changes(before.options, form.options):
                says = f"will change {', '.join(changes)} of the form {path}"
                steps.append(FormStep(do="change_form", path=path, says=says))
                revision = before.revision + 1
                changed = {"options": form.options, "revision": revision, "updated": form.updated}
                put.append(msgspec.structs.replace(before, **changed))
        others = [form for path, form in sorted(present.items()) if path not in wants and form.tenant is None]
        dropped = others if wanted.prune else []
        steps += [
            FormStep(do="delete_form", path=form.options.path, says=f"will delete the form {form.options.path}")
            for form in dropped
        ]
        stays = [] if wanted.prune else [form.options.path for form in others]
        return FormsPlan(plan=_name(present, steps), steps=steps, stays=stays), put, dropped

    def _read(self, wanted: WantedForms) -> dict[str, Form]:
        """The forms that are wanted, by path. Raises Refused."""
        now, found = self._clock.now(), dict[str, Form]()
        for name, body in wanted.forms.items():
            at = f"/forms/{escaped(name)}"
            try:
                options = checked_form(body)
            except Refused as wrong:
                raise wrong.under(at) from None
            if options.path in found:
                raise Refused(f"{at}/path", "path", f"Another form has the path {options.path}.")
            ident = new_id("form", now)
            found[options.path] = Form(
                id=ident, tenant=body.tenant, options=options, revision=1, created=now, updated=now
            )
        return found


def checked_form(body: NewForm) -> FormOptions:
    """The options of a form in a file. Raises Refused with the place of what is wrong."""
    if body.tenant is not None and not is_tenant(body.tenant):
        raise Refused("/tenant", "tenant", TENANT_RULE)
    return checked(body, body.tenant)


def _changes(before: FormOptions, wanted: FormOptions) -> list[str]:
    """What differs, by name. The order of the fields counts: it is that of the page."""
    pairs = [(name, getattr(before, name), getattr(wanted, name)) for name in wanted.__struct_fields__]
    return [name for name, old, new in pairs if old != new or (name == "fields" and list(old) != list(new))]


def _name(present: Mapping[str, Form], steps: list[FormStep]) -> str:
    """The plan's name: a hash of what it depends on."""
    revisions = sorted((path, form.id, form.revision) for path, form in present.items())
    return "plan_" + hashlib.sha256(msgspec.json.encode([revisions, steps])).hexdigest()[:24]
