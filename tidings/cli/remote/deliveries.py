"""`tidings deliveries`: list, inspect, retry and cancel deliveries."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.bulk import in_bulk
from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, Together, calling
from tidings.cli.terminal.times import Since, Until, between
from tidings.client.calls import given
from tidings.client.client import Json
from tidings.model.moment import SystemClock

cli = typer.Typer(help="Deliveries: events on their way to endpoints and through links.", no_args_is_help=True)

EVER = "1970-01-01T00:00:00Z"

Id = Annotated[str, typer.Argument(help="The delivery's id, dlv_...")]


@cli.command("list")
@calling
def list_deliveries(
    out: Session,
    state: Annotated[
        str | None,
        typer.Option(help="Show only deliveries in this state: waiting, delivered, dead, cancelled or replaced."),
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Show only deliveries to the endpoint with this id.")] = None,
    link: Annotated[str | None, typer.Option(help="Show only deliveries through the link with this name.")] = None,
    event: Annotated[str | None, typer.Option(help="Show only deliveries of the event with this id.")] = None,
    type: Annotated[
        str | None, typer.Option(help="Show only deliveries of events of this type or pattern, such as 'tasks.*'.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Show only deliveries whose last attempt had this outcome, such as timeout.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Show only deliveries whose last response had this status, such as 422 or 4xx.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List deliveries, newest first."""
    columns = {"id": "id", "state": "state", "type": "event_type", "event": "event_id", "to": "to"}
    columns |= {"attempts": "attempts", "last": "last", "due": "due"}
    now = SystemClock().now()
    times = dict(zip(("time__gte", "time__lt"), between(since, until, now), strict=True))
    last = {"type": type, "outcome": outcome, "status": status}
    query = {
        "state": state,
        "endpoint": endpoint,
        "link": link,
        "event": event,
        **last,
        **times,
        "limit": min(limit, PAGE_MAX),
    }
    found = out.client.deliveries(**query)
    out.list((found if out.as_json else map(_short, found)), limit, columns, "There are no such deliveries.")


@cli.command("show")
@calling
def show(out: Session, id: Id) -> None:
    """Show one delivery with all its attempts."""
    delivery = out.client.delivery(id)
    out.answer(delivery, lambda: _show(out, delivery))


OptionalId = Annotated[
    str | None, typer.Argument(help="The delivery's id (dlv_...). Without an id, the options select the deliveries.")
]
OfEndpoint = Annotated[str | None, typer.Option(help="Select deliveries to the endpoint with this id.")]
OfLink = Annotated[str | None, typer.Option(help="Select deliveries through the link with this name.")]
OfTenant = Annotated[
    str | None, typer.Option(help="Select deliveries to this tenant's endpoints and through its links.")
]
OfType = Annotated[
    str | None, typer.Option(help="Select deliveries of events of this type or pattern, such as 'tasks.*'.")
]
WithOutcome = Annotated[
    str | None, typer.Option(help="Select deliveries whose last attempt had this outcome, such as timeout.")
]
WithStatus = Annotated[
    str | None, typer.Option(help="Select deliveries whose last response had this status, such as 422 or 5xx.")
]


def _filter(
    *,
    endpoint: OfEndpoint = None,
    link: OfLink = None,
    tenant: OfTenant = None,
    type: OfType = None,
    outcome: WithOutcome = None,
    status: WithStatus = None,
    since: Since = None,
    until: Until = None,
) -> Json:
    """The options that select deliveries, as the members of a body."""
    times = dict(zip(("since", "until"), between(since, until, SystemClock().now()), strict=True))
    return given(endpoint_id=endpoint, link=link, tenant=tenant, type=type, outcome=outcome, status=status, **times)


Filter = Annotated[Json, Together(_filter)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count the selected deliveries.")]


@cli.command("retry")
@calling
def retry(
    out: Session,
    id: OptionalId = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Select dead deliveries; the same as --state dead.")] = False,
    state: Annotated[str | None, typer.Option(help="Select deliveries in this state; the default is dead.")] = None,
    narrowing: Filter,
    dry_run: DryRun = False,
) -> None:
    """Retry one delivery, or all deliveries that match the options, now and with a fresh schedule of attempts.

    A delivery that had already succeeded is sent again. Deliveries that the options select are counted first;
    then the server retries them as a durable job.
    """
    if id is None:
        if not (failed or state or narrowing):
            raise ValueError("Pass a delivery's id, or --failed, or options such as --endpoint.")
        body = narrowing | {"state": state or "dead"}
        if len(body) == 1:
            body["since"] = EVER
        in_bulk(out, "retry", body, dry_run=dry_run)
        return
    if failed or state or narrowing or dry_run:
        raise ValueError("Pass a delivery's id or options, not both.")
    before = out.client.delivery(id)["state"]
    delivery = out.client.retry_delivery(id)
    what = (
        f"{id} was already delivered, and is being sent again." if before == "delivered" else f"{id} is being retried."
    )
    out.answer(delivery, lambda: out.say(f"{what} See: tidings deliveries show {id}"))


@cli.command("cancel")
@calling
def cancel(
    out: Session,
    id: OptionalId = None,
    *,
    body: Filter,
    dry_run: DryRun = False,
) -> None:
    """Cancel a delivery, or all waiting deliveries that match the options, so that they are not attempted again."""
    if id is None:
        if not body:
            raise ValueError("Pass a delivery's id, or options such as --endpoint.")
        in_bulk(out, "cancel", body, dry_run=dry_run)
        return
    if body or dry_run:
        raise ValueError("Pass a delivery's id or options, not both.")
    delivery = out.client.cancel_delivery(id)
    out.answer(delivery, lambda: out.say(f"{id} is {delivery['state']}."))


def _short(delivery: Json) -> Json:
    """A delivery as a row of the table, with its last attempt in two words and the time of the next one."""
    last = delivery["last"]
    words = "" if last is None else f"{last['outcome']} {last['status'] or ''}".strip()
    # Servers of earlier versions have neither `held` nor `waiting_because` in lists.
    because = delivery.get("waiting_because")
    due = "held" if delivery.get("held") else because if because in ("paused", "disabled") else delivery["due"]
    return {**delivery, "last": words, "due": due, "to": delivery["link"] or delivery["endpoint_id"]}


def _show(out: Session, delivery: Json) -> None:
    attempts = delivery.pop("attempts")
    shown = {name: value for name, value in _short(delivery).items() if name != "to"}
    out.details(shown, delivery["id"])
    out.say("")
    columns = {"attempt": "n", "at": "at", "outcome": "outcome", "status": "status", "ms": "duration_ms"}
    out.table(attempts, columns | {"reason": "reason", "answer": "answer"}, "This delivery has not been attempted yet.")
