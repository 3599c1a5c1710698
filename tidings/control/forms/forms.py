"""Forms on behalf of callers: declare pages that people fill in."""

from __future__ import annotations

import msgspec

from tidings.control.forms.body import FormBody, NewForm, checked
from tidings.control.tenants import owner
from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.forms.form import Form
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.revisions import check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog

READ, WRITE = "forms:read", "forms:write"
FORMS_PER_TENANT_MAX = 1_000


class Forms:
    """What callers may do with forms. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock

    def visible(self, caller: Caller, tenant: str | None = None) -> list[Form]:
        """The forms that the caller may see. `tenant`: only that one's. Raises NotFound."""
        caller.need(READ)
        wanted = caller.narrowed(tenant)
        return [form for form in self._catalog.now.forms.values() if wanted in (None, form.tenant)]

    def find(self, caller: Caller, ident: str, scope: str = READ) -> Form:
        """One form, for somebody who has this scope. Raises NotFound, also if it is another tenant's."""
        caller.need(scope)
        form = self._catalog.now.forms.get(ident)
        if form is None or not caller.sees(form.tenant):
            raise NotFound(f"There is no form {ident[:100]}.")
        return form

    async def create(self, caller: Caller, new: NewForm, run: Run[Form, R]) -> R:
        """Declare a form. Raises Invalid, or Conflict if its path is taken or the tenant has too many."""
        caller.need(WRITE)
        tenant = owner(caller, new.tenant)
        now = self._clock.now()
        options = checked(new, tenant)
        form = Form(id=new_id("form", now), tenant=tenant, options=options, revision=1, created=now, updated=now)

        def job(db: Db) -> Form:
            check_free(db, options.path, form.id)
            row = db.one("forms_of_tenant", tenant=tenant)
            if tenant is not None and row is not None and row[0] >= FORMS_PER_TENANT_MAX:
                detail = f"The tenant already has {FORMS_PER_TENANT_MAX:,} forms, the maximum."
                raise Conflict(detail, code="too_many_forms")
            self._catalog.put_form(db, form)
            return form

        return await run(job)

    async def edit(self, caller: Caller, ident: str, expected: set[int] | None, body: FormBody, run: Run[Form, R]) -> R:
        """Make a form what `body` says. Raises NotFound, Invalid, Stale, or Conflict if its path is taken."""
        options = checked(body, self.find(caller, ident, WRITE).tenant)
        now = self._clock.now()

        def job(db: Db) -> Form:
            before = self._at(db, ident, expected)
            check_free(db, options.path, before.id)
            form = msgspec.structs.replace(before, options=options, revision=before.revision + 1, updated=now)
            self._catalog.put_form(db, form)
            return form

        return await run(job)

    async def delete(self, caller: Caller, ident: str, expected: set[int] | None, run: Run[None, R]) -> R:
        """Delete a form; its events and receipts are kept as long as any. Raises NotFound or Stale."""
        self.find(caller, ident, WRITE)

        def job(db: Db) -> None:
            self._catalog.drop_form(db, self._at(db, ident, expected).id)

        return await run(job)

    def _at(self, db: Db, ident: str, expected: set[int] | None) -> Form:
        before = self._catalog.form(db, ident)
        if before is None:
            raise NotFound(f"There is no form {ident[:100]}.")
        check_revision(expected, before.revision)
        return before


def check_free(db: Db, path: str, ident: str) -> None:
    """Raise Conflict if another form than this one has the path."""
    row = db.one("form_at", path=path)
    if row is not None and row[0] != ident:
        raise Conflict(f"Another form has the path {path}.", code="path_taken")
