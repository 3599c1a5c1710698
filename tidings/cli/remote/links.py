"""`tidings links`: list, inspect, try, run, pause and delete links. They are declared in a file: `tidings apply`."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling
from tidings.cli.terminal.sentences import counted
from tidings.cli.terminal.values import read_json
from tidings.client.client import Json
from tidings.model.calls.trial import KEY_OF_TRIAL

cli = typer.Typer(help="Links: actions triggered by events or timers.", no_args_is_help=True)

RUNS_LIMIT = 10
"""The number of runs to show by default. Showing a run takes one more call."""

Name = Annotated[str, typer.Argument(help="The link's name.")]


@cli.command("list")
@calling
def list_links(
    out: Session,
    state: Annotated[str | None, typer.Option(help="Show only links in this state: enabled or paused.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Show only this tenant's links.")] = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List links, by name."""
    columns = {"name": "name", "state": "state", "when": "when", "does": "does", "tenant": "tenant", "reason": "reason"}
    found = out.client.links.list(state=state, tenant=tenant, limit=min(limit, PAGE_MAX))
    out.list(
        found if out.as_json else map(_short, found),
        limit,
        columns,
        "There are no links. Declare some in tidings.yaml, under `links`, and run: tidings apply tidings.yaml",
    )


@cli.command("show")
@calling
def show(out: Session, name: Name) -> None:
    """Show one link, the number of waiting deliveries and, if the link has a timer, when its next run is due."""
    found = out.client.links.get(name, counts=True)
    out.answer(found, lambda: out.details(found, name))


@cli.command("test")
@calling
def test(
    out: Session,
    name: Name,
    event: Annotated[
        str | None,
        typer.Option(
            help="The id of an event, or a JSON file with an event (`type`, `data` and so on). A link with a timer "
            "needs neither.",
            metavar="ID|FILE",
        ),
    ] = None,
) -> None:
    """Show the exact edit or call that a link would make for an event, or at its timer's next run; change nothing."""
    file = Path(event or "")
    if event is None:
        if not {"every", "at", "cron"} & out.client.links.get(name)["when"].keys():
            raise ValueError(f"The link {name} acts on events: pass one with --event ID|FILE")
        tried = out.client.links.test(name)
    elif file.suffix == ".json" or file.is_file():
        tried = out.client.links.test(name, event=_event(file))
    else:
        tried = out.client.links.test(name, event_id=event)
    out.answer(tried, lambda: _show_trial(out, tried))


@cli.command("run")
@calling
def run(out: Session, name: Name) -> None:
    """Run a link with a timer immediately, in addition to its scheduled runs."""
    made = out.client.links.run(name)
    out.answer(made, lambda: out.say(f"{name} is running now, for the event {made['id']}."))


@cli.command("runs")
@calling
def runs(out: Session, name: Name, limit: Limit = RUNS_LIMIT) -> None:
    """Show the last runs of a link: when, for which event, and what it read, sent or edited, or why it failed."""
    link = out.client.links.get(name)
    latest = islice(out.client.deliveries(link=name, limit=min(limit, PAGE_MAX)), limit)
    found = [out.client.delivery(each["id"]) for each in latest]
    columns = {"time": "time", "event": "event_id", "state": "state", "attempts": "attempts", "what": "what"}
    nothing = f"{name} has not acted yet. A link acts only on events that happen after the link is declared."
    out.answer(found, lambda: out.table([_run(each, link) for each in found], columns, nothing))


@cli.command("kept")
@calling
def kept(
    out: Session,
    name: Name,
    subject: Annotated[str, typer.Argument(help="The subject of the events.")],
    tenant: Annotated[str | None, typer.Option(help="The tenant of the events.")] = None,
) -> None:
    """Show the values that a link has kept from responses for a subject (`mine` in its templates)."""
    found = out.client.links.kept(name, subject, tenant)
    out.answer(found, lambda: out.details(found, subject))


@cli.command("secret")
@calling
def secret(out: Session, name: Name) -> None:
    """Show the secret that a link signs its requests with, if the server generated it. The receiver needs it."""
    found = out.client.links.secret(name)
    out.answer(found, lambda: out.say(found["secret"]))


@cli.command("reset")
@calling
def reset(
    out: Session,
    name: Name,
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror",
            help="Also delete the records in the mirror, so that the next run emits every record as created.",
        ),
    ] = False,
    forget_kept: Annotated[
        bool,
        typer.Option("--kept", help="Delete only the values that the link kept from responses; reset nothing else."),
    ] = False,
    subject: Annotated[str | None, typer.Option(help="With --kept: delete only the values for this subject.")] = None,
) -> None:
    """Reset a link that polls. Its next run reads all records again, and emits the differences."""
    done = out.client.links.reset(name, mirror=mirror, kept=forget_kept, subject=subject)
    records = f"; {counted(done['records'], 'record was', 'records were')} deleted" if mirror else ""
    said = f"{name} will read everything again in its next run{records}."
    if forget_kept:
        said = f"The values that {name} kept for {counted(done['kept'], 'subject', 'subjects')} were deleted."
    out.answer(done, lambda: out.say(said))


@cli.command("pause")
@calling
def pause(
    out: Session,
    name: Name,
    reason: Annotated[str | None, typer.Option(help="The reason for the pause, shown with the link.")] = None,
) -> None:
    """Pause a link; its events wait until you resume it."""
    paused = out.client.links.pause(name, reason)
    out.answer(paused, lambda: out.say(f"{name} is paused. Its events will wait."))


@cli.command("resume")
@calling
def resume(
    out: Session,
    name: Name,
    cancel_missed: Annotated[
        bool,
        typer.Option(
            "--cancel-missed",
            help="Cancel the waiting deliveries instead of carrying them out; act only on new events.",
        ),
    ] = False,
) -> None:
    """Resume a link, starting with the events that it missed."""
    resumed = out.client.links.resume(name, "cancel" if cancel_missed else "send")
    number = resumed.get("waiting", 0)
    fate = (
        ("was cancelled" if number == 1 else "were cancelled")
        if cancel_missed
        else ("was waiting" if number == 1 else "were waiting")
    )
    waiting = counted(number, "delivery", "deliveries")
    out.answer(resumed, lambda: out.say(f"{name} is enabled; {waiting} {fate}."))


@cli.command("delete")
@calling
def delete(out: Session, name: Name) -> None:
    """Delete a link and cancel its waiting deliveries."""
    out.client.links.delete(name)
    out.deleted(name, "name")


def _short(link: Json) -> Json:
    """A link as a row of the table: when it acts, what it does, and whether it fails."""
    # Servers of earlier versions do not return this.
    failing = link.get("health", {}).get("failing_since")
    held = link.get("health", {}).get("held_until")
    if link["state"] == "enabled" and (failing or held):
        link = {**link, "reason": f"Failing since {failing}." if failing else f"Asked to wait until {held}."}
    if link["call"] is not None:
        call = link["call"]
        word = next(word for word in ("get", "post", "put", "patch", "delete", "head") if word in call)
        does = " ".join(filter(None, (word, call[word], f"via {call['via']}" if "via" in call else "")))
        return {**link, "when": _when(link["when"]), "does": does}
    if link["mail"] is not None:
        return {**link, "when": _when(link["when"]), "does": f"mail via {link['mail']['via']}"}
    item = link["item"]
    does = next(f"{word} {item['collection']}" for word in ("create", "put", "patch", "delete") if word in item)
    return {**link, "when": _when(link["when"]), "does": does}


def _when(when: Json) -> str:
    """Its events, or its times: `at 09:00 mon-fri, Europe/Berlin`."""
    kind = next((kind for kind in ("every", "at", "cron") if kind in when), None)
    if kind is None:
        return ", ".join(when["event"])
    if "event" in when:
        return f"{_when({name: value for name, value in when.items() if name != 'event'})}, {', '.join(when['event'])}"
    times = " ".join(when[kind]) if kind == "at" else when[kind]
    said = " ".join([kind, times, *([when["days"]] if "days" in when else [])])
    return said if "tz" not in when else f"{said}, {when['tz']}"


def _run(delivery: Json, link: Json) -> Json:
    """A delivery through a link as a row of the table, with a sentence about its last attempt, or why there is none."""
    attempts = delivery["attempts"]
    last = attempts[-1] if attempts else {"at": delivery["created"], "reason": _why_not_yet(delivery, link)}
    is_due = attempts and delivery["state"] == "waiting" and delivery["due"]
    due = f" Next attempt: {delivery['due']}." if is_due else ""
    return {**delivery, "time": last["at"], "attempts": len(attempts), "what": f"{last['reason'] or ''}{due}".strip()}


def _why_not_yet(delivery: Json, link: Json) -> str | None:
    if delivery["state"] != "waiting":
        return None
    if link["state"] == "paused":
        return f"The link is paused: {link['reason']}"
    waits = "This delivery is waiting for an earlier one to end." if delivery["held"] else None
    return link["health"].get("held") or waits


def _show_call(out: Session, call: Json) -> None:
    out.say(f"{call['method']} {call['url']}")
    for name, value in call["headers"].items():
        note = " (a placeholder: each delivery has its own)" if value == KEY_OF_TRIAL else ""
        out.say(f"{name}: {value}{note}")
    if call["body"] is not None:
        out.say("")
        out.say(call["body"])
    out.say("Nothing was sent.")


def _show_observed(out: Session, tried: Json) -> None:
    call, found = tried["call"], tried["observed"]
    out.say(f"{call['method']} {call['url']}")
    more = ", and there are further pages" if found["has_more"] else ""
    out.say(f"Read {counted(found['records'], 'record', 'records')}{more}.")
    for record in found["first"]:
        out.say(json.dumps(record, ensure_ascii=False))
    out.say(f"Records: {found['created']:,} created, {found['updated']:,} updated, {found['deleted']:,} deleted.")
    for each in found["changes"]:
        out.say(f"  {each['change']} {each['key']}")
    out.say("The mirror and the cursor are unchanged.")


def _event(file: Path) -> Any:
    try:
        return read_json(file.read_text(), str(file))
    except OSError as wrong:
        raise ValueError(f"{file} cannot be read: {wrong.strerror}.") from wrong


def _show_trial(out: Session, tried: Json) -> None:
    name, edit, change = tried["link"], tried["edit"], tried["change"]
    if not tried["wants"]:
        out.say(f"{name} does not act on such an event: {tried['reason']}")
    if tried["elements"]:
        out.say(
            f"The event is split into {counted(len(tried['elements']), 'delivery', 'deliveries')}. The first is about:"
        )
        out.say(json.dumps(tried["elements"][0], ensure_ascii=False))
    if edit is not None:
        whose = "" if edit["tenant"] is None else f" of {edit['tenant']}"
        out.say(f"{edit['edit']} {edit['collection']}/{edit['id']}{whose}")
        if edit["data"] is not None:
            out.say(json.dumps(edit["data"], indent=2, ensure_ascii=False))
    if tried["mail"] is not None:
        mail = tried["mail"]
        for line in (f"To: {', '.join(mail['to'])}", f"Subject: {mail['subject']}", "", mail["text"] or mail["html"]):
            out.say(line)
        out.say("Nothing was sent.")
        return
    if tried["observed"] is not None:
        _show_observed(out, tried)
        return
    if tried["call"] is not None and tried["outcome"] is None:
        _show_call(out, tried["call"])
        return
    out.say(f"The outcome would be {tried['outcome']}: {tried['says']}")
    if change is not None:
        fields = "" if change["changed"] is None else f" with changes to {', '.join(change['changed'])}"
        out.say(f"The edit would emit {change['type']}{fields}. Nothing was changed.")
