"""`tidings hooks`: URLs at which other systems' webhooks come in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tidings.cli.session import (
    DEFAULT_URL,
    LIST_LIMIT,
    PAGE_MAX,
    AsJson,
    Key,
    Limit,
    Session,
    Url,
    double,
    pairs,
    session,
)
from tidings.cli.terminal.numbers import counting
from tidings.cli.webhooks.options import SchemeSettings, SecretFile, Secrets, content, secrets_of, settings_of
from tidings.client.calls import given
from tidings.client.client import Json

cli = typer.Typer(help="Hooks: URLs for other systems' webhooks.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The hook's id, hook_...")]
SchemeName = Annotated[
    str, typer.Option("--scheme", help="The sender, such as github, or @FILE with a scheme of your own.")
]
Type = Annotated[
    str | None, typer.Option(help="The type of its events; {type} becomes the sender's own name for the event.")
]
Subject = Annotated[str | None, typer.Option(help="Where to find the subject, such as json:data.id.")]
Description = Annotated[str | None, typer.Option(help="A description.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help='Any other option, such as repeats=content or methods=["GET"]; the value is JSON or plain text.',
        metavar="NAME=VALUE",
    ),
]
Revision = Annotated[
    int | None, typer.Option(parser=counting, help="Refuse unless the hook is at this revision.", metavar="NUMBER")
]


@cli.command("create")
def create(
    path: Annotated[str, typer.Argument(help="What follows /in/ in its URL, such as github.")],
    scheme: SchemeName,
    secret: Secrets = None,
    secret_file: SecretFile = None,
    setting: SchemeSettings = None,
    type: Type = None,
    subject: Subject = None,
    description: Description = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant that its events belong to.")] = None,
    set: Set = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Declare a URL for another system's webhooks. They are verified, kept, and become events."""
    with session(url, key, as_json) as out:
        options = _options(type, subject, description, set) | given(tenant=tenant)
        options["secrets"] = secrets_of(secret, secret_file)
        if setting:
            options["settings"] = settings_of(setting)
        made = out.client.create_hook(path, _scheme(scheme), **options)
        out.answer(made, lambda: out.details(made, f"{made['id']} is declared. Its URL: {made['url']}"))


@cli.command("list")
def list_hooks(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's hooks.")] = None,
    limit: Limit = LIST_LIMIT,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List hooks, by path."""
    columns = {"id": "id", "path": "path", "scheme": "scheme", "type": "type", "tenant": "tenant", "enabled": "enabled"}
    with session(url, key, as_json) as out:
        found = out.client.hooks(limit=min(limit, PAGE_MAX), **given(tenant=tenant))
        out.list(found, limit, columns, "There are no hooks. Declare one with: tidings hooks create PATH --scheme NAME")


@cli.command("show")
def show(id: Id, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """Show one hook. Its secrets are never shown."""
    with session(url, key, as_json) as out:
        hook = out.client.hook(id)
        out.answer(hook, lambda: out.details(hook, hook["id"]))


@cli.command("edit")
def edit(
    id: Id,
    scheme: Annotated[
        str | None, typer.Option("--scheme", help="Another sender, or @FILE with a scheme of your own.")
    ] = None,
    secret: Secrets = None,
    secret_file: SecretFile = None,
    setting: SchemeSettings = None,
    type: Type = None,
    subject: Subject = None,
    description: Description = None,
    set: Set = None,
    revision: Revision = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Change a hook, from the next request on. Secrets that are given replace all present ones."""
    with session(url, key, as_json) as out:
        changes = _options(type, subject, description, set)
        if scheme is not None:
            changes["scheme"] = _scheme(scheme)
        if secret or secret_file is not None:
            changes["secrets"] = secrets_of(secret, secret_file)
        if setting:
            changes["settings"] = settings_of(setting)
        if not changes:
            raise ValueError("There is nothing to change. See: tidings hooks edit --help")
        hook = out.client.edit_hook(id, changes, revision)
        out.answer(hook, lambda: out.details(hook, f"{hook['id']} is changed."))


@cli.command("delete")
def delete(id: Id, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """Delete a hook. Its URL is 404 from then on; its events and receipts are kept."""
    with session(url, key, as_json) as out:
        out.client.delete_hook(id)
        out.answer({"id": id, "deleted": True}, lambda: out.say(f"{id} is deleted."))


def _scheme(text: str) -> str | Json:
    """A scheme's name, or what a file says. Raises ValueError."""
    if not text.startswith("@"):
        return text
    try:
        found: Json = json.loads(content(text[1:]))
    except json.JSONDecodeError as wrong:
        raise ValueError(f"{text[1:]} is not valid JSON: {wrong}") from None
    return found


def _options(type: str | None, subject: str | None, description: str | None, others: Sequence[str] | None) -> Json:
    found = given(type=type, subject=subject, description=description)
    for name, value in pairs(others, "--set", "repeats=content"):
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_float=double)
    except json.JSONDecodeError:
        return text


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
