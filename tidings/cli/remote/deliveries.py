"""`tidings deliveries`: list, inspect, retry and cancel deliveries."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling
from tidings.cli.terminal.times import Since, Until, between
from tidings.client.client import Json
from tidings.model.moment import SystemClock

cli = typer.Typer(help="Deliveries: events on their way to endpoints and through links.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The delivery's id, dlv_...")]


@cli.command("list")
@calling
def list_deliveries(
    out: Session,
    state: Annotated[
        str | None, typer.Option(help="Only deliveries in this state: waiting, delivered, dead, cancelled or replaced.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only deliveries to the endpoint with this id.")] = None,
    link: Annotated[str | None, typer.Option(help="Only deliveries through the link with this name.")] = None,
    event: Annotated[str | None, typer.Option(help="Only deliveries of the event with this id.")] = None,
    type: Annotated[
        str | None, typer.Option(help="Only deliveries of events of this type or pattern, such as 'tasks.*'.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only deliveries whose last attempt had this outcome, such as timeout.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only deliveries whose last response had this status, such as 422 or 4xx.")
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


@cli.command("retry")
@calling
def retry(out: Session, id: Id) -> None:
    """Retry a delivery now, with a fresh schedule of attempts. If it was already delivered, it is sent again."""
    before = out.client.delivery(id)["state"]
    delivery = out.client.retry_delivery(id)
    what = "It was already delivered, and is sent again." if before == "delivered" else f"{id} is being retried."
    out.answer(delivery, lambda: out.say(f"{what} See: tidings deliveries show {id}"))


@cli.command("cancel")
@calling
def cancel(out: Session, id: Id) -> None:
    """Cancel a delivery, so that it is not sent again."""
    delivery = out.client.cancel_delivery(id)
    out.answer(delivery, lambda: out.say(f"{id} is {delivery['state']}."))


def _short(delivery: Json) -> Json:
    """The last attempt in two words, and when the next one is, for the table."""
    last = delivery["last"]
    words = "" if last is None else f"{last['outcome']} {last['status'] or ''}".strip()
    # Servers of earlier versions have no `held` in lists.
    due = "held" if delivery.get("held") else delivery["due"]
    return {**delivery, "last": words, "due": due, "to": delivery["link"] or delivery["endpoint_id"]}


def _show(out: Session, delivery: Json) -> None:
    attempts = delivery.pop("attempts")
    shown = {name: value for name, value in _short(delivery).items() if name != "to"}
    out.details(shown, delivery["id"])
    out.say("")
    columns = {"attempt": "n", "at": "at", "outcome": "outcome", "status": "status", "ms": "duration_ms"}
    out.table(attempts, columns | {"reason": "reason", "answer": "answer"}, "This delivery has not been attempted yet.")
