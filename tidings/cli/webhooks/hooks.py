"""`tidings hooks`: URLs that receive other systems' webhooks."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tidings.cli.names import hook_id
from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, Together, calling, revision_of
from tidings.cli.terminal.values import values
from tidings.cli.webhooks.options import SchemeSettings, SecretFile, Secrets, content, secrets_of, set_of, settings_of
from tidings.client.calls import given
from tidings.client.client import Json

cli = typer.Typer(help="Hooks: URLs for other systems' webhooks.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The hook's path or id (hook_...).")]
SchemeName = Annotated[str, typer.Option("--scheme", help="The sender, such as github, or @FILE for your own scheme.")]
Type = Annotated[
    str | None,
    typer.Option(help="The type of the hook's events; in it, {type} stands for the sender's name for the event."),
]
Subject = Annotated[
    str | None, typer.Option(help="Where to find the event's subject in a request, such as json:data.id.")
]
Description = Annotated[str | None, typer.Option(help="A description.")]
Set = Annotated[list[str] | None, set_of('repeats=content or methods=["GET"]')]
Revision = Annotated[int | None, revision_of("hook")]


EXAMPLE = "repeats=content"
LISTS = {"methods": '["GET"]'}


def _options(
    secret: Secrets = None,
    secret_file: SecretFile = None,
    setting: SchemeSettings = None,
    type: Type = None,
    subject: Subject = None,
    description: Description = None,
) -> Json:
    """The given options in the form of the API. Raises ValueError."""
    found = given(type=type, subject=subject, description=description)
    if secret or secret_file is not None:
        found["secrets"] = secrets_of(secret, secret_file)
    if setting:
        found["settings"] = settings_of(setting)
    return found


Options = Annotated[Json, Together(_options)]


@cli.command("create")
@calling
def create(
    out: Session,
    path: Annotated[str, typer.Argument(help="The hook's path: the part of its URL after /in/, such as github.")],
    scheme: SchemeName,
    *,
    options: Options,
    tenant: Annotated[str | None, typer.Option(help="The tenant that the hook's events belong to.")] = None,
    set: Set = None,
) -> None:
    """Declare a URL for another system's webhooks. Each webhook is verified and kept, and becomes an event."""
    options = {"secrets": secrets_of(None, None), **options, **values(set, EXAMPLE, LISTS), **given(tenant=tenant)}
    made = out.client.create_hook(path, _scheme(scheme), **options)
    out.answer(made, lambda: out.details(made, f"{made['id']} is declared. Its URL: {made['url']}"))


@cli.command("list")
@calling
def list_hooks(
    out: Session,
    tenant: Annotated[str | None, typer.Option(help="Show only this tenant's hooks.")] = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List hooks, by path."""
    columns = {"id": "id", "path": "path", "scheme": "scheme", "type": "type", "tenant": "tenant", "enabled": "enabled"}
    found = out.client.hooks(limit=min(limit, PAGE_MAX), **given(tenant=tenant))
    out.list(found, limit, columns, "There are no hooks. Declare one with: tidings hooks create PATH --scheme NAME")


@cli.command("show")
@calling
def show(out: Session, id: Id) -> None:
    """Show one hook. Its secrets are never shown."""
    hook = out.client.hook(hook_id(out.client, id))
    out.answer(hook, lambda: out.details(hook, hook["id"]))


@cli.command("edit")
@calling
def edit(
    out: Session,
    id: Id,
    *,
    scheme: Annotated[
        str | None, typer.Option("--scheme", help="A different sender, or @FILE for your own scheme.")
    ] = None,
    options: Options,
    set: Set = None,
    revision: Revision = None,
) -> None:
    """Change a hook. The change takes effect with the next request.

    If you pass secrets, they replace all existing secrets.
    """
    changes = options | values(set, EXAMPLE, LISTS)
    if scheme is not None:
        changes["scheme"] = _scheme(scheme)
    if not changes:
        raise ValueError("There is nothing to change. See: tidings hooks edit --help")
    out.changed(out.client.edit_hook(hook_id(out.client, id), changes, revision))


@cli.command("delete")
@calling
def delete(out: Session, id: Id) -> None:
    """Delete a hook. After that, its URL returns 404; its events and receipts are kept."""
    id = hook_id(out.client, id)
    out.client.delete_hook(id)
    out.deleted(id)


def _scheme(text: str) -> str | Json:
    """A scheme's name, or the scheme in a file. Raises ValueError."""
    if not text.startswith("@"):
        return text
    try:
        found: Json = json.loads(content(text[1:]))
    except json.JSONDecodeError as wrong:
        raise ValueError(f"{text[1:]} is not valid JSON: {wrong}") from None
    return found


def show_receipt(out: Session, receipt: Json) -> None:
    """A request to a hook, for people: the result, then the request as received."""
    headers, text = receipt.pop("headers"), receipt.pop("text")
    out.details(receipt, receipt["id"])
    out.say("")
    out.say(f"{receipt['method']} {receipt['target']}")
    for line in headers:
        out.say(f"{line['name']}: {line['value']}")
    out.say("")
    out.say(text if text is not None else f"({receipt['bytes']:,} bytes that are not text)")
