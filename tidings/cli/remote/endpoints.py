"""`tidings endpoints`: register, inspect, change, pause and test the URLs that get events."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from tidings.cli.remote import endpoint_files
from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, Together, calling, revision_of, spelled_out
from tidings.cli.terminal.numbers import whole
from tidings.cli.terminal.sentences import counted
from tidings.cli.terminal.values import read_json, values
from tidings.client import ApiError, Client, Forbidden
from tidings.client.calls import given
from tidings.client.client import Json
from tidings.model.digits import is_digits
from tidings.model.event import OWN_TYPES
from tidings.rules import event_types

NAMED_MAX = 3
"""The maximum number of endpoints with the same URL to name in a note."""
RECENT_EVENTS = 100
"""How many of the newest events to search for types that are published but not declared."""

cli = typer.Typer(help="Endpoints: URLs that receive events as signed webhooks.", no_args_is_help=True)

Revision = Annotated[int | None, revision_of("endpoint")]
Id = Annotated[str, typer.Argument(help="The endpoint's id, ep_...")]
Events = Annotated[
    list[str] | None,
    typer.Option(
        help="The type of the events to send, or a pattern such as 'tasks.*'; repeat for more.",
        metavar="PATTERN",
    ),
]
Filter = Annotated[str | None, typer.Option(help="A JSON pattern that events must match.", metavar="JSON")]
Description = Annotated[str | None, typer.Option(help="A description.")]
Header = Annotated[
    list[str] | None, typer.Option(help="A header to send, as 'Name: value'; repeat for more.", metavar="HEADER")
]
GiveUpOn = Annotated[
    list[str] | None,
    typer.Option(
        help="A response status after which a delivery is not retried, such as 422 or 4xx; repeat for more.",
        metavar="STATUS",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Set any other option, such as rate=20 or order=subject; the value is JSON or plain text.",
        metavar="NAME=VALUE",
    ),
]

Authority = Annotated[
    Path | None,
    typer.Option("--ca", help="The certificates (PEM) to trust for this URL; no others are trusted.", metavar="FILE"),
]
Certificate = Annotated[
    Path | None,
    typer.Option("--client-certificate", help="The client certificate (PEM) to present to this URL.", metavar="FILE"),
]
CertificateKey = Annotated[
    Path | None,
    typer.Option(
        "--client-key",
        help="The private key (PEM) of the client certificate, unless the certificate's file contains the key.",
        metavar="FILE",
    ),
]


def _selection(events: Events = None, filter: Filter = None, description: Description = None) -> Json:
    """Which events the endpoint receives, and what it is for. Raises ValueError."""
    return given(
        events=events or None,
        description=description,
        filter=None if filter is None else read_json(filter, "--filter"),
    )


def _sending(
    header: Header = None,
    ca: Authority = None,
    client_certificate: Certificate = None,
    client_key: CertificateKey = None,
    give_up_on: GiveUpOn = None,
    set: Set = None,
) -> Json:
    """How the endpoint receives them. Raises ValueError."""
    options = given(
        headers=dict(_header(text) for text in header) if header else None,
        give_up_on=[_status(status) for status in give_up_on] if give_up_on else None,
    )
    return options | values(set, "rate=20") | endpoint_files.options(ca, client_certificate, client_key)


Selection = Annotated[Json, Together(_selection)]
Sending = Annotated[Json, Together(_sending)]


@cli.command("create")
@calling
def create(
    out: Session,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The URL to send webhooks to.")],
    *,
    selection: Selection,
    tenant: Annotated[
        str | None, typer.Option(help="The tenant whose events the endpoint receives; '*' for all tenants.")
    ] = None,
    sending: Sending,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="If an endpoint with this URL already exists, show it instead of creating another."
        ),
    ] = False,
) -> None:
    """Register a URL. The output shows the endpoint's id; `tidings endpoints secret` shows its signing secret."""
    options = selection | sending | given(tenant=tenant)
    endpoint_files.check_pair(options)
    same = _same_url(out.client, target, tenant, needed=once)
    if once and same:
        _check_same(same[0], options)
        out.answer(same[0], lambda: out.details(same[0], f"{same[0]['id']} is already registered."))
        return
    made = out.client.create_endpoint(target, **options)
    out.answer(made, lambda: out.details(made, f"{made['id']} is registered."))
    for note in [*_notes_on_url(same), *_notes_on_types(out.client, options.get("events", []))]:
        typer.echo(note, err=True)


@cli.command("list")
@calling
def list_endpoints(
    out: Session,
    state: Annotated[
        str | None, typer.Option(help="Show only endpoints in this state: enabled, paused or disabled.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Show only this tenant's endpoints.")] = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List endpoints, newest first."""
    columns = {"id": "id", "state": "state", "url": "url", "events": "events", "tenant": "tenant", "reason": "reason"}
    found = out.client.endpoints(state=state, tenant=tenant, limit=min(limit, PAGE_MAX))
    shown = found if out.as_json else ({**each, "events": spelled_out(each["events"])} for each in found)
    out.list(shown, limit, columns, "There are no endpoints. Register one with: tidings endpoints create URL")


@cli.command("show")
@calling
def show(out: Session, id: Id) -> None:
    """Show one endpoint, its health, and the number of waiting deliveries."""
    found = out.client.endpoint(id, counts=True)
    out.answer(found, lambda: out.details(found, found["id"]))


@cli.command("edit")
@calling
def edit(
    out: Session,
    id: Id,
    *,
    target: Annotated[str | None, typer.Option("--target", help="The URL to send webhooks to.")] = None,
    selection: Selection,
    sending: Sending,
    revision: Revision = None,
) -> None:
    """Change the given options and keep the others. The change takes effect with the next attempt."""
    changes = selection | sending | given(url=target)
    if not changes:
        raise ValueError("Pass at least one option to change, such as --events 'tasks.*'.")
    out.changed(out.client.edit_endpoint(id, changes, revision))


@cli.command("delete")
@calling
def delete(out: Session, id: Id) -> None:
    """Delete an endpoint and cancel its waiting deliveries."""
    out.client.delete_endpoint(id)
    out.deleted(id)


@cli.command("pause")
@calling
def pause(
    out: Session,
    id: Id,
    reason: Annotated[str | None, typer.Option(help="The reason for the pause, shown with the endpoint.")] = None,
) -> None:
    """Pause an endpoint; its events wait until you resume it."""
    paused = out.client.pause_endpoint(id, reason)
    out.answer(paused, lambda: out.say(f"{id} is paused. Its events will wait."))


@cli.command("resume")
@calling
def resume(
    out: Session,
    id: Id,
    cancel_missed: Annotated[
        bool,
        typer.Option(
            "--cancel-missed", help="Cancel the waiting deliveries instead of sending them, and send only new events."
        ),
    ] = False,
) -> None:
    """Resume an endpoint, starting with the events that it missed."""
    resumed = out.client.resume_endpoint(id, "cancel" if cancel_missed else "send")
    waiting = resumed.get("waiting", 0)
    fate = ("was" if waiting == 1 else "were") if cancel_missed else ("is" if waiting == 1 else "are")
    what = f"{counted(waiting, 'delivery', 'deliveries')} {fate} {'cancelled' if cancel_missed else 'being sent'}"
    out.answer(resumed, lambda: out.say(f"{id} is enabled; {what}."))


@cli.command("test")
@calling
def test(out: Session, id: Id) -> None:
    """Send an event of type endpoint.test to this endpoint only."""
    sent = out.client.test_endpoint(id)
    look = (
        f"tidings deliveries show {sent['delivery']}"
        if sent.get("delivery")
        else f"tidings events show {sent['event_id']}"
    )
    out.answer(sent, lambda: out.say(f"The test event {sent['event_id']} is on its way. See: {look}"))


@cli.command("secret")
@calling
def secret(
    out: Session,
    id: Id,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Replace the secret with a new one, and show the new secret.")
    ] = False,
    overlap_seconds: Annotated[
        int | None,
        typer.Option(
            parser=whole,
            help="With --rotate: for how many seconds webhooks are also signed with the old secret (default: a day).",
            metavar="NUMBER",
        ),
    ] = None,
    own: Annotated[
        str | None,
        typer.Option("--secret", help="With --rotate: your own new secret (whsec_...). By default, one is generated."),
    ] = None,
) -> None:
    """Show the signing secret of an endpoint, or rotate it."""
    if not rotate and (overlap_seconds is not None or own is not None):
        raise ValueError("--overlap-seconds and --secret require --rotate.")
    if rotate:
        found = out.client.rotate_endpoint_secret(id, overlap_seconds=overlap_seconds, secret=own)
    else:
        found = out.client.endpoint_secret(id)
    out.answer(found, lambda: out.details(found, id))


def _same_url(client: Client, target: str, tenant: str | None, *, needed: bool) -> list[Json]:
    """The endpoints that already have this URL; unless `needed`, none if the key may register but not read them."""
    try:
        return list(islice(client.endpoints(url=target, **given(tenant=tenant)), PAGE_MAX))
    except Forbidden:
        if needed:
            raise
        return []


def _check_same(endpoint: Json, options: Json) -> None:
    """Raise ValueError if the existing endpoint differs from the requested one."""
    # Header values are never shown again, so only the names can be compared.
    shown = {**endpoint, "headers": sorted(endpoint.get("headers") or {})}
    wanted = {**options, "headers": sorted(options["headers"])} if "headers" in options else options
    wanted |= endpoint_files.shown(options)
    differ = [name for name, value in wanted.items() if shown.get(name) != value]
    if differ:
        raise ValueError(
            f"{endpoint['id']} already has this URL, but with different values for {', '.join(differ)}. To register a "
            f"second endpoint, omit --once. To change this one, run: tidings endpoints edit {endpoint['id']} ..."
        )


def _notes_on_url(same: list[Json]) -> Iterator[str]:
    """A note if other endpoints have the same URL."""
    if same:
        ids = ", ".join(endpoint["id"] for endpoint in same[:NAMED_MAX]) + (", ..." if len(same) > NAMED_MAX else "")
        yield (
            f"Note: this URL was already registered, as {ids}. Each endpoint has its own signing secret, so the "
            "receiver must know all of these secrets. To keep only one endpoint, delete the others with: tidings "
            "endpoints delete ID. Next time, use --once to avoid a duplicate."
        )


def _notes_on_types(client: Client, patterns: list[str]) -> Iterator[str]:
    """A note if nothing matches a pattern yet: it may be misspelt."""
    if not patterns or patterns == ["*"]:
        return
    try:
        recent = {event["type"] for event in islice(client.events(limit=RECENT_EVENTS), RECENT_EVENTS)}
        known = sorted(recent | {kind["name"] for kind in islice(client.pages("/v1/event-types"), PAGE_MAX)})
        for pattern in patterns:
            if pattern.startswith(OWN_TYPES) or any(map(event_types.matcher((pattern,)), known)):
                continue
            if _was_published(client, pattern):
                continue
            near = difflib.get_close_matches(pattern, known, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            yield f"Note: no event type matches {pattern}, and no such event has been published yet.{meant}"
    except ApiError:
        # The key may register endpoints but not read types or events, so there is nothing to say.
        return


def _was_published(client: Client, pattern: str) -> bool:
    return "*" not in pattern and next(client.events(type=pattern, limit=1), None) is not None


def _status(text: str) -> int | str:
    return int(text) if is_digits(text) else text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"--header must have the form 'Name: value', not {text!r}")
    return name.strip(), value.strip()
