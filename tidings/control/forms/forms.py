"""Forms on behalf of callers: declare pages that people fill in."""

from __future__ import annotations

from tidings.control.forms.body import FormBody, NewForm, checked
from tidings.control.paths.kept import KeptPaths, forms_of
from tidings.control.tenants import owner
from tidings.model.access import Caller
from tidings.model.forms.form import Form
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.store.base import R, Run
from tidings.store.catalog import Catalog

WRITE = "forms:write"


class Forms(KeptPaths[Form]):
    """What callers may do with forms. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        super().__init__(forms_of(catalog), clock)

    async def create(self, caller: Caller, new: NewForm, run: Run[Form, R]) -> R:
        """Declare a form. Raises Invalid, or Conflict if its path is taken or the tenant has too many."""
        caller.need(WRITE)
        tenant, now = owner(caller, new.tenant), self._clock.now()
        options, ident = checked(new, tenant), new_id("form", now)
        form = Form(id=ident, tenant=tenant, options=options, revision=1, created=now, updated=now)
        return await self._add(form, run)

    async def edit(self, caller: Caller, ident: str, expected: set[int] | None, body: FormBody, run: Run[Form, R]) -> R:
        """Change a form to match `body`. Raises NotFound, Invalid, Stale, or Conflict if its path is taken."""
        options = checked(body, self.find(caller, ident, WRITE).tenant)
        return await self._change(ident, expected, run, options=options)
