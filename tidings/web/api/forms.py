"""The operations on forms: pages that people fill in."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.forms.body import FormBody, NewForm
from tidings.control.forms.declared import FormsPlan, WantedForms
from tidings.model.forms.form import Form
from tidings.rules.network.origin import public_url
from tidings.views.forms.form import FormView, form_view
from tidings.web.habits.edits import created, merged, patch_of, shown, unless_known
from tidings.web.habits.given import agree
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import IF_MATCH, if_match
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Forms"
EXAMPLE: dict[str, Any] = {
    "path": "contact",
    "title": "Contact us",
    "fields": {
        "email": {"type": "email", "label": "Your email", "required": True},
        "message": {"type": "textarea", "label": "Your message", "required": True, "max": 5000},
    },
    "thanks": "Thank you. We will answer within a day.",
}

FormPatch = patch_of(
    FormBody,
    "FormPatch",
    "A merge patch: omitted members keep their values, and null resets a member to its default. `fields` replaces "
    "all fields of "
    "the form.",
)


class FormList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of forms."""

    data: list[FormView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


class FormsApplied(WantedForms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations of forms to apply. `plan`: the name of an earlier plan; apply only if the plan is still the same."""

    plan: str | None = None


class FormsToPlan(WantedForms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations of forms, by names of your choice. `prune`: also delete forms without a tenant that are not declared
    here.
    """


SORTS: dict[str, SortKey] = {"path": lambda form: form.options.path, "created": lambda form: form.created}


async def list_forms(parts: Parts, request: Request) -> Answer:
    """Forms, by path by default."""
    forms = parts.forms.control.visible(request.caller, request.query.get("tenant"))
    page = SortedPage(request, forms, SORTS, lambda form: form.id)
    return page.answer([_view(parts, form) for form in page.shown])


async def create_form(parts: Parts, request: Request) -> Answer:
    """Declare a form."""

    def answer(form: Form) -> Answer:
        return created(_view(parts, form), form.revision, f"/v1/forms/{form.id}")

    return await parts.forms.control.create(request.caller, request.body, run_once(parts, request, answer))


async def get_form(parts: Parts, request: Request) -> Answer:
    """Read one form."""
    form = parts.forms.control.find(request.caller, request.path["id"])
    return unless_known(request, _view(parts, form), form.revision)


async def put_form(parts: Parts, request: Request) -> Answer:
    """Replace a form's settings; takes effect with the next request."""
    before = parts.forms.control.find(request.caller, request.path["id"], "forms:write")
    agree(request, _view(parts, before))
    expected = if_match(request)
    return _shown(
        parts, await parts.forms.control.edit(request.caller, before.id, expected, request.body, parts.writer.call)
    )


async def edit_form(parts: Parts, request: Request) -> Answer:
    """Change a form; takes effect with the next request."""
    before = parts.forms.control.find(request.caller, request.path["id"], "forms:write")
    agree(request, _view(parts, before))
    document: dict[str, Any] = msgspec.to_builtins(before.options) | {"max_per_minute": before.options.max_per_minute}
    expected = if_match(request)
    body = merged(document, request, FormBody)
    # The patch was merged into what was read: a change in between is noticed.
    form = await parts.forms.control.edit(
        request.caller, before.id, {before.revision} if expected is None else expected, body, parts.writer.call
    )
    return _shown(parts, form)


async def delete_form(parts: Parts, request: Request) -> Answer:
    """Delete a form."""
    await parts.forms.control.delete(request.caller, request.path["id"], if_match(request), parts.writer.call)
    return Answer(204)


async def plan_forms(parts: Parts, request: Request) -> Answer:
    """What these declarations would change; nothing is changed."""
    return Answer(200, await parts.forms.declared.plan(request.caller, request.body))


async def apply_forms(parts: Parts, request: Request) -> Answer:
    """Make forms match these declarations, all or none."""
    run = run_once(parts, request, lambda shown: Answer(200, shown))
    return await parts.forms.declared.apply(request.caller, request.body, run, plan_name=request.body.plan)


def _view(parts: Parts, form: Form) -> FormView:
    public = public_url(parts.settings.public_url)
    return form_view(form, public.whole if public else "")


def _shown(parts: Parts, form: Form) -> Answer:
    return shown(_view(parts, form), form.revision)


NOUN = Noun(name="form", path="/v1/forms/{id}", tag=TAG, view=FormView)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(
        list_forms,
        FormList,
        SORTS,
        summary="List forms",
        parameters=(Parameter(name="tenant", schema={"type": "string"}, help="Return only forms of this tenant."),),
    ),
    NOUN.creates(
        create_form,
        summary="Declare a form: a page that people fill in",
        help="The form's page is at `/f/` followed by the form's path. A submission from this page, or from a "
        "page on one of the `origins`, is checked and kept as a receipt, and becomes an event with the fields as its "
        "data.",
        request=NewForm,
        example=EXAMPLE,
    ),
    NOUN.reads(get_form, summary="Read a form"),
    Operation(
        name="put_form",
        method="PUT",
        path="/v1/forms/{id}",
        scope="forms:write",
        summary="Replace a form",
        help="Omitted members get their defaults.",
        handler=put_form,
        tag=TAG,
        request=FormBody,
        response=FormView,
        parameters=(IF_MATCH,),
        example=EXAMPLE,
    ),
    NOUN.edits(
        edit_form,
        summary="Change a form",
        help="`fields` replaces all fields of the form.",
        request=FormPatch,
        example={"thanks": "https://example.com/thanks"},
    ),
    NOUN.deletes(
        delete_form,
        summary="Delete a form",
        help="The form's page then returns 404. The form's events and receipts are kept.",
    ),
    NOUN.does_to_all(
        "plan",
        plan_forms,
        whole=True,
        summary="See what declarations of forms would change",
        help="Nothing is changed. Forms are identified by their paths.",
        request=FormsToPlan,
        response=FormsPlan,
        example={"forms": {"contact": EXAMPLE}},
    ),
    NOUN.does_to_all(
        "apply",
        apply_forms,
        whole=True,
        summary="Make forms match declarations, all or none",
        help="To apply exactly what an earlier plan showed, set `plan` to the name that `plan_forms` returned.",
        request=FormsApplied,
        response=FormsPlan,
        idempotent_key=True,
        example={"forms": {"contact": EXAMPLE}},
    ),
)
