"""`tidings forms`: pages that people fill in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tidings.cli.names import form_id
from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, Together, calling, revision_of
from tidings.cli.terminal.values import pairs, read_json, values
from tidings.cli.webhooks.options import content, set_of
from tidings.client.calls import given
from tidings.client.client import Json

cli = typer.Typer(help="Forms: pages that people fill in.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The form's path or id (form_...).")]
FIELD_HELP = (
    "A field: its name with its type, such as email=email, or with its declaration in JSON, such as "
    '\'age={"type": "integer", "min": 18}\'. Repeat the option for each field, in the order in which they '
    "appear on the page."
)
FieldsOption = Annotated[list[str] | None, typer.Option("--field", help=FIELD_HELP, metavar="NAME=TYPE")]
FieldsFile = Annotated[
    str | None,
    typer.Option(help="A JSON file with the declarations of all fields by name, or - for stdin.", metavar="FILE"),
]
Title = Annotated[str | None, typer.Option(help="The heading of the page.")]
Description = Annotated[str | None, typer.Option(help="The text above the fields.")]
Thanks = Annotated[
    str | None,
    typer.Option(help="The text to show after a submission, or the URL or path to redirect to."),
]
Type = Annotated[str | None, typer.Option(help="The type of the form's events.")]
Set = Annotated[list[str] | None, set_of('lang=de or origins=["https://example.com"]')]
Revision = Annotated[int | None, revision_of("form")]

EXAMPLE = "lang=de"
LISTS = {"origins": '["https://example.com"]'}


def _options(
    field: FieldsOption = None,
    fields_file: FieldsFile = None,
    title: Title = None,
    description: Description = None,
    thanks: Thanks = None,
    type: Type = None,
) -> Json:
    """The given options in the form of the API. Raises ValueError."""
    found = given(title=title, description=description, thanks=thanks, type=type)
    if fields := _fields(field, fields_file):
        found["fields"] = fields
    return found


Options = Annotated[Json, Together(_options)]


@cli.command("create")
@calling
def create(
    out: Session,
    path: Annotated[str, typer.Argument(help="The form's path: the part of its URL after /f/, such as contact.")],
    *,
    options: Options,
    tenant: Annotated[str | None, typer.Option(help="The tenant that the form's events belong to.")] = None,
    set: Set = None,
) -> None:
    """Declare a page that people fill in. Each submission is checked and kept, and becomes an event."""
    options = options | values(set, EXAMPLE, LISTS) | given(tenant=tenant)
    if "fields" not in options:
        raise ValueError("A form needs fields: --field email=email, or --fields-file fields.json")
    made = out.client.forms.create(path, options.pop("fields"), **options)
    out.answer(made, lambda: out.details(made, f"{made['id']} is declared. Its page: {made['url']}"))


@cli.command("list")
@calling
def list_forms(
    out: Session,
    tenant: Annotated[str | None, typer.Option(help="Show only this tenant's forms.")] = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List forms, by path."""
    columns = {"id": "id", "path": "path", "title": "title", "type": "type", "tenant": "tenant", "enabled": "enabled"}
    found = out.client.forms.list(limit=min(limit, PAGE_MAX), **given(tenant=tenant))
    nothing = "There are no forms. Declare one with: tidings forms create PATH --field NAME=TYPE"
    out.list(found, limit, columns, nothing)


@cli.command("show")
@calling
def show(out: Session, id: Id) -> None:
    """Show one form."""
    form = out.client.forms.get(form_id(out.client, id))
    out.answer(form, lambda: out.details(form, form["id"]))


@cli.command("submissions")
@calling
def submissions(out: Session, id: Id, limit: Limit = LIST_LIMIT) -> None:
    """List the submissions of a form, newest first, including refused ones."""
    columns = {"id": "id", "state": "state", "received": "received", "from": "client", "event": "event_id"}
    found = out.client.receipts(limit=min(limit, PAGE_MAX), form=form_id(out.client, id))
    out.list(found, limit, columns | {"reason": "reason"}, "There are no submissions yet.")


@cli.command("edit")
@calling
def edit(out: Session, id: Id, *, options: Options, set: Set = None, revision: Revision = None) -> None:
    """Change a form. The change takes effect with the next request.

    If you pass fields, they replace all existing fields.
    """
    changes = options | values(set, EXAMPLE, LISTS)
    if not changes:
        raise ValueError("There is nothing to change. See: tidings forms edit --help")
    out.changed(out.client.forms.edit(form_id(out.client, id), changes, revision))


@cli.command("delete")
@calling
def delete(out: Session, id: Id) -> None:
    """Delete a form. After that, its page returns 404; its events and receipts are kept."""
    id = form_id(out.client, id)
    out.client.forms.delete(id)
    out.deleted(id)


def _fields(given: Sequence[str] | None, file: str | None) -> Json:
    """The fields of the options, or of a file. Raises ValueError."""
    if file is not None:
        if given:
            raise ValueError("Use --field or --fields-file, not both")
        found = read_json(content(file).decode("utf-8", "replace"), file)
        if not isinstance(found, dict):
            raise ValueError(f"{file} is not a JSON object of fields by name")
        return found
    fields: Json = {}
    for name, value in pairs(given, "--field", "email=email"):
        if name in fields:
            raise ValueError(f"--field gives {name} twice")
        fields[name] = read_json(value, f"--field {name}") if value.startswith("{") else {"type": value}
    return fields
