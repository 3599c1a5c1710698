"""`tidings keys`: make, list and revoke keys."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from tidings.cli.session import LIST_LIMIT, Limit, Session, calling, spelled_out
from tidings.cli.terminal.values import pairs, read_json
from tidings.client.calls import given

cli = typer.Typer(help="Keys: who may call the API, what they may do, and how often.", no_args_is_help=True)

_LIMIT = re.compile(r"([0-9]+)/([0-9]*)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@cli.command("create")
@calling
def create(
    out: Session,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What the key may do, such as events:write; repeat for more.", metavar="SCOPE"),
    ] = None,
    permit: Annotated[
        list[str] | None,
        typer.Option(
            help="What the key may do with the items of one collection: verbs, as in tasks=list,get, or a permit in "
            'JSON, as in \'tasks={"verbs": ["list"], "read": ["title"]}\'; repeat for more.',
            metavar="COLLECTION=VERBS",
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Limit the key to this tenant.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="A limit on calls, such as 10/s, 1000/d or 50/10m; repeat for more.", metavar="CALLS/TIME"),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When the key expires, such as 2027-01-01T00:00:00Z.")] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="An origin, such as https://app.example.com, whose pages may use the key; repeat for more.",
            metavar="ORIGIN",
        ),
    ] = None,
) -> None:
    """Create a key. It is shown once, and never again."""
    if not scope and not permit:
        raise ValueError("A key needs at least one --scope, such as events:write, or one --permit, such as tasks=list.")
    permits = [_permit(collection, text) for collection, text in pairs(permit, "--permit", "tasks=list,get")]
    limits = [_limit(text) for text in limit or []]
    more = given(tenant=tenant, limits=limits or None, expires=expires, cors_origins=cors_origin or None)
    made = out.client.create_key(name, scope or [], **more, **given(permits=permits or None))
    out.answer(made, lambda: _show_made(out, made))


@cli.command("list")
@calling
def list_keys(out: Session, limit: Limit = LIST_LIMIT) -> None:
    """List keys, newest first."""
    columns = {
        "id": "id",
        "name": "name",
        "scopes": "scopes",
        "permits": "permits",
        "tenant": "tenant",
        "limits": "limits",
    }
    columns |= {"created": "created", "expires": "expires", "revoked": "revoked"}
    found = out.client.keys(limit=min(limit, 1000))
    out.list((found if out.as_json else map(_short, found)), limit, columns, "There are no keys.")


@cli.command("revoke")
@calling
def revoke(out: Session, id: Annotated[str, typer.Argument(help="The key's id, key_...")]) -> None:
    """Revoke a key. Calls with this key are refused from then on."""
    out.client.revoke_key(id)
    out.answer({"id": id, "revoked": True}, lambda: out.say(f"{id} is revoked."))


def _limit(text: str) -> dict[str, Any]:
    """`10/s` or `50/10m` in the form of the API. Raises ValueError."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"--limit must have the form 10/s, 50/10m, 100/h or 1000/d, not {text!r}")
    calls, count, unit = match.groups()
    return {"calls": int(calls), "seconds": int(count or 1) * _SECONDS[unit]}


def _permit(collection: str, text: str) -> dict[str, Any]:
    """`list,get`, or a permit in JSON, in the form of the API. Raises ValueError."""
    if not text.startswith("{"):
        return {"collection": collection, "verbs": [verb.strip() for verb in text.split(",") if verb.strip()]}
    permit = read_json(text, f"the permit for {collection}")
    return {"collection": collection, **permit}


def _short(key: dict[str, Any]) -> dict[str, Any]:
    """What each permit is for, for the table."""
    permits = [f"{each['collection']}: {' '.join(_verbs(each))}" for each in key["permits"]]
    return {**key, "scopes": spelled_out(key["scopes"]), "permits": permits}


def _verbs(permit: dict[str, Any]) -> list[str]:
    return [*permit.get("verbs", ()), *(f"?{name}" for name in permit.get("questions", ()))]


def _show_made(out: Session, made: dict[str, Any]) -> None:
    permits = _short(made)["permits"]
    out.say(f"{made['id']} may {', '.join([*made['scopes'], *permits])}.")
    out.say(f"Keep the key, which is shown only this once: {made['key']}")
