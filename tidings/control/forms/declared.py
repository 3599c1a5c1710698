"""Forms declared in a file."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.control.forms.body import NewForm, checked
from tidings.control.paths.declared import DeclaredPaths, PathsPlan, PathStep, WantedPaths
from tidings.control.paths.kept import forms_of
from tidings.control.tenants import check_tenant
from tidings.model.forms.form import Form, FormOptions
from tidings.model.ids import new_id
from tidings.model.moment import Clock, Micros
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers


class FormStep(PathStep, frozen=True, kw_only=True):
    """One change, in words."""

    do: Literal["create_form", "change_form", "delete_form"]


class FormsPlan(PathsPlan, frozen=True, kw_only=True):
    """What would change, or has changed. `plan` is the plan's name: if it is applied by this name, it is refused if
    anything has changed since.

    `stays` has the paths of forms that are not declared and are kept.
    """

    steps: list[FormStep]


class WantedForms(WantedPaths, frozen=True, kw_only=True):
    """Forms by the names of their links. `prune`: delete those without a tenant that are not among them."""

    forms: dict[str, NewForm]


def wanted_forms(forms: dict[str, Any]) -> WantedForms:
    """Forms that were checked, as plain values, by the names of their links."""
    return msgspec.convert({"forms": forms}, WantedForms)


class DeclaredForms(DeclaredPaths[Form, WantedForms, FormsPlan]):
    """Plans and carries out."""

    step, shown = FormStep, FormsPlan

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock) -> None:
        super().__init__(forms_of(catalog), readers, clock)

    def made(self, body: NewForm, now: Micros) -> Form:
        """The form that a declaration describes. Raises Refused."""
        options, ident = checked_form(body), new_id("form", now)
        return Form(id=ident, tenant=body.tenant, options=options, revision=1, created=now, updated=now)

    def changes(self, before: Form, wanted: Form) -> list[str]:
        """The names of what differs. The order of the fields counts: it is that of the page."""
        found = super().changes(before, wanted)
        if "fields" in found or list(before.options.fields) == list(wanted.options.fields):
            return found
        return ["fields", *found]


def checked_form(body: NewForm) -> FormOptions:
    """The options of a form in a file. Raises Refused with the place of what is wrong."""
    check_tenant(body.tenant)
    return checked(body, body.tenant)
