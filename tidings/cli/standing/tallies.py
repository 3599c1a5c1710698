"""`tidings tallies`: the results of attempts, minute by minute or hour by hour, and why they failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from tidings.cli.session import Session, calling
from tidings.cli.terminal import layout
from tidings.cli.terminal.sentences import counted
from tidings.client.exchange import ClientRequest

COLUMNS = {
    "time": "time",
    "accepted": "accepted",
    "delivered": "delivered",
    "rejected": "rejected",
    "timeout": "timeout",
    "unreachable": "unreachable",
    "failed": "failed",
    "skipped": "skipped",
}
POINTS_SHOWN, REASONS_SHOWN = 24, 10


@calling
def tallies(
    out: Session,
    step: Annotated[str, typer.Option(help="The length of a step: minute or hour.", show_default=True)] = "minute",
    endpoint: Annotated[
        str | None, typer.Option(help="Count only attempts to the endpoint with this id (ep_...).")
    ] = None,
    link: Annotated[str | None, typer.Option(help="Count only attempts through the link with this name.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Count only attempts for this tenant.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="The start of the range (RFC 3339). The default is an hour ago with --step minute, and a day ago "
            "with --step hour."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(help="The end of the range (RFC 3339). The default is now.")] = None,
) -> None:
    """Show the results of delivery attempts, by minute or hour.

    The output also shows the success rate, durations, and the most frequent reasons for failures, each with an example.
    """
    given = {"step": step, "endpoint": endpoint, "link": link, "tenant": tenant, "time__gte": since, "time__lt": until}
    query = {name: value for name, value in given.items() if value is not None}
    report = out.client.exchange(ClientRequest("GET", "/v1/tallies", query)).value()
    out.answer(report, lambda: typer.echo("\n".join(lines(report))))


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for people."""
    total = report["total"]
    if total["success_rate"] is None:
        yield f"No attempts since {report['since']}."
    else:
        rate = f"{100 * total['success_rate']:.4g}% delivered"
        took = f"half took at most {total['p50_ms']} ms, 95% at most {total['p95_ms']} ms"
        yield f"{counted(total['attempts'], 'attempt')} since {report['since']}: {rate}; {took}."
    points = report["points"][-POINTS_SHOWN:]
    if points:
        yield ""
        shown = {name: field for name, field in COLUMNS.items() if any(point[field] for point in points)}
        yield from layout.table(points, shown, None)
    if report["reasons"]:
        yield ""
        reasons = [{**each, "whose": _whose(each)} for each in report["reasons"][:REASONS_SHOWN]]
        yield from layout.table(
            reasons,
            {"failures": "count", "reason": "reason", "whose": "whose", "last": "last", "example": "example"},
            120,
        )


def _whose(reason: Mapping[str, Any]) -> str:
    first, total = reason["links"][:1], reason["links_total"]
    name = "".join(each["endpoint_id"] or each["link"] or "" for each in first)
    return name if total <= 1 else f"{name} and {total - 1:,} more"
