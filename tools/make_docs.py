"""Writes docs/reference from the code's own tables; `--check` only says which pages are not fresh.

python tools/make_docs.py            write every page
python tools/make_docs.py --check    exit with 1 and name the pages that differ
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main

import form_page
import link_page
import operation_page
import scheme_page
from tidings.cli.commands import tree
from tidings.model import codes, errors, outcome
from tidings.rules import wants
from tidings.rules.deliver import judgement, lifecycle
from tidings.settings import OTHER_VARIABLES, SETTINGS
from tidings.web.api.service import metrics
from tidings.web.docs.llms import llms_text
from tidings.web.operations import CALLS
from tidings.web.svix import document as svix_openapi
from tidings.web.svix import table as svix

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def errors_page() -> str:
    """One row for each error that a request may be answered with."""
    rows = [(kind.status, f"`{kind.code}`", sentence(kind), kind.title) for kind in request_errors()]
    fault = errors.TidingsError
    rows.append(
        (
            fault.status,
            f"`{fault.code}`",
            "An internal error of the server. The server's log has the details under the request id.",
            fault.title,
        )
    )
    return page(
        "Errors",
        "tidings/model/errors.py",
        "Every error is an `application/problem+json` (RFC 9457) response. `code` is for programs and never changes;",
        "`detail` is a message for people; `errors` locates each problem, by a JSON pointer into the body or by the",
        "parameter's name.",
        "",
        "```json",
        '{"type": "urn:tidings:problem:invalid", "title": "A value is wrong", "status": 422, "code": "invalid",',
        ' "detail": "...", "errors": [{"pointer": "/data/age", "code": "wrong_type", "detail": "..."}],',
        ' "request_id": "req_..."}',
        "```",
        "",
        table(("status", "code", "when", "title"), sorted(rows)),
        "",
        "If the cause is known more precisely, `code` is one of these instead:",
        "",
        table(("status", "code", "when"), sorted(precise_codes())),
        "",
        "The `code` of an entry of `errors` is one of these, or one of the above:",
        "",
        table(("code", "what is wrong"), [(f"`{code}`", when) for code, when in codes.OF_PLACES.items()]),
        "",
        "A few requests are refused by the HTTP parser, before the API sees them: the response has no body, and",
        "the connection is closed. 400 means that the request line or a header is not valid HTTP; 414, that the URL",
        "is longer than 64 KiB; 431, that there are more than 100 headers. The usual cause of a 400 is a `<`, `>`,",
        "`^`, space or quotation mark in the URL that is not percent-encoded: write a filter as",
        "`?amount__gte=100`, not as `?amount>=100`.",
    )


def precise_codes() -> list[tuple[str, str, str]]:
    """One row for each code that is more precise than its class's."""
    return [(" or ".join(map(str, each.statuses)), f"`{each.code}`", each.when) for each in codes.PRECISE]


def request_errors() -> list[type[errors.TidingsError]]:
    """Every class of error, however deep in the tree."""
    found: list[type[errors.TidingsError]] = []
    waiting = [errors.TidingsError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        found += kinds
        waiting += kinds
    return [kind for kind in found if kind.__module__ == errors.__name__]


def outcomes_page() -> str:
    """One row for each outcome of an attempt."""
    return page(
        "Outcomes",
        "tidings/model/outcome.py",
        "The possible outcomes of one attempt to deliver. There are no others.",
        "[What a response means](answers.md) shows what happens next.",
        "",
        table(("outcome", "meaning"), [(f"`{one.name}`", one.meaning) for one in outcome.OUTCOMES]),
    )


def answers_page() -> str:
    """What each response says about the message and about the endpoint, and what the words mean."""
    rows = [(f"`{row.outcome.name}`", row.answers, row.message, row.endpoint, row.because) for row in judgement.TABLE]
    calls = [
        (f"`{row.outcome.name}`", row.answers, row.message, row.endpoint, row.because) for row in judgement.OF_CALLS
    ]
    mails = [
        (f"`{row.outcome.name}`", row.answers, row.message, row.endpoint, row.because) for row in judgement.OF_MAIL
    ]
    edits = [(f"`{row.outcome.name}`", row.message, row.because) for row in judgement.OF_EDITS.values()]
    of_message = [(f"`{word}`", meaning) for word, meaning in judgement.OF_MESSAGE.items()]
    of_endpoint = [(f"`{word}`", meaning) for word, meaning in judgement.OF_ENDPOINT.items()]
    return page(
        "What a response means",
        "tidings/rules/deliver/judgement.py",
        "A failed message does not mean that the next one will fail too. So each response is judged twice: for what",
        "it says about the message, and for what it says about the endpoint. The first matching row applies.",
        "",
        table(("outcome", "response", "about the message", "about the endpoint", "because"), rows),
        "",
        table(("about the message", "what follows"), of_message),
        "",
        table(("about the endpoint", "what follows"), of_endpoint),
        "",
        *(f"* {rule}" for rule in judgement.RULES),
        "",
        "## Calls to other systems",
        "",
        "A [link](../howto/call-an-api.md) with `call` judges responses by this table instead. A call that got no",
        "response at all (because the connection failed, for example) is judged as above. The link is never disabled.",
        "",
        table(("outcome", "response", "about the event", "about the service", "because"), calls),
        "",
        "## Codes of mail servers",
        "",
        "A [link](../howto/mail.md) with `mail` judges the reply codes of the mail server. An email that got no",
        "reply code is judged as in the first table.",
        "",
        table(("outcome", "code", "about the event", "about the server", "because"), mails),
        "",
        "## Edits of items",
        "",
        "A [link](../howto/links.md) with `item` edits an item instead of sending a request. A failed edit says",
        "nothing about the link, so its other edits continue, and the link is never disabled.",
        "",
        table(("outcome", "about the event", "because"), edits),
    )


def lifecycle_page() -> str:
    """The states of a delivery, drawn, and each move with its reason."""
    rows = [(f"`{move.source}`", f"`{move.cause}`", f"`{move.target}`", move.reason) for move in lifecycle.MOVES]
    return page(
        "The life of a delivery",
        "tidings/rules/deliver/lifecycle.py",
        "When an event matches an endpoint, a delivery is created with the state `waiting`. The state is not stored:",
        "it follows from the last attempt and from whether the table `waiting` has a row for the delivery.",
        "",
        "```mermaid",
        lifecycle.as_mermaid().rstrip(),
        "```",
        "",
        table(("from", "cause", "to", "because"), rows),
    )


def settings_page() -> str:
    """One row for each setting, with its three spellings."""
    words = {str: "text", int: "number", bool: "true or false"}
    rows = [
        (f"`{one.name}`", f"`{one.flag}`", f"`{one.env}`", words[one.type], literal(one.default), one.help)
        for one in SETTINGS
    ]
    others = ", ".join(f"`{name}`" for name in sorted(OTHER_VARIABLES))
    return page(
        "Settings",
        "tidings/settings.py",
        "Each setting is read from section `settings` of the file (by its name), the environment (by its variable) and",
        "the command line (by its flag). Flags override variables, and variables override the file. Unknown names are",
        "refused in all three. A setting that is true or false also has a negative flag, such as `--no-allow-http`.",
        "",
        table(("name", "flag", "variable", "type", "default", "what it does"), rows),
        "",
        f"Commands other than `serve` also read {others}; see [commands](commands.md).",
    )


def commands_page() -> str:
    """Each command with its arguments and options."""
    sections = [
        section
        for path, command in commands("tidings", typer.main.get_command(tree()))
        for section in ("", f"## `{path}`", "", (command.help or "").strip(), *parameters(command))
    ]
    return page(
        "Commands",
        "tidings/cli/",
        "`tidings COMMAND --help` shows the same text in the terminal.",
        *sections,
    )


def commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command that can be called, below its groups, with the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from commands(f"{path} {name}", child)


def parameters(command: Any) -> list[str]:
    """The table of what a command takes."""
    rows = []
    for one in command.params:
        if not getattr(one, "hidden", False) and one.name != "help":
            option = one.opts[0].startswith("-")
            called = "/".join([*one.opts, *one.secondary_opts]) if option else (one.metavar or one.name.upper())
            default = one.show_default if isinstance(one.show_default, str) else one.default
            shown = "" if default in (None, False, "", ()) or callable(default) else literal(default)
            rows.append((f"`{called}`", "required" if one.required else shown, one.help or ""))
    return ["", table(("takes", "default", "what it does"), rows)] if rows else []


def operations_page() -> str:
    """Every operation of the API: what it needs, takes and returns."""
    return page("Operations", "tidings/web/operations.py", *operation_page.lines(table))


def llms_page() -> str:
    """What `/llms.txt` answers."""
    return llms_text(CALLS)


def metrics_page() -> str:
    """One row for each metric."""
    return page(
        "Metrics",
        "tidings/web/api/service/metrics.py",
        "`GET /metrics` returns metrics in the Prometheus text format; the key needs the scope `metrics:read`.",
        "Counters start at 0 when the process starts. The usual `process_...` metrics and `python_info` are included.",
        "",
        table(("metric", "kind", "labels", "meaning"), [(f"`{name}`", *rest) for name, *rest in metric_rows()]),
    )


def metric_rows() -> list[tuple[str, str, str, str]]:
    """Name, kind, labels and meaning of each metric, from the source: a running server has none of it in a table."""
    source = ast.parse(Path(metrics.__file__).read_text())
    return sorted(row for node in ast.walk(source) if isinstance(node, ast.Call) and (row := metric(node)))


def metric(made: ast.Call) -> tuple[str, str, str, str] | None:
    """The row of one metric, where this call makes one."""
    word = {"CounterMetricFamily": "counter", "GaugeMetricFamily": "gauge", "HistogramMetricFamily": "histogram"}.get(
        getattr(made.func, "id", "")
    )
    if word is None:
        return None
    called, says = (ast.literal_eval(argument) for argument in made.args[:2])
    labels = [name for keyword in made.keywords if keyword.arg == "labels" for name in ast.literal_eval(keyword.value)]
    suffix = "_total" if word == "counter" else ""
    return f"{called}{suffix}", word, ", ".join(f"`{label}`" for label in labels), says


def reasons_page() -> str:
    """Why a link gets an event or does not."""
    rows = [(f"`{one.name}`", one.sentence, "yes" if one.is_sent else "") for one in wants.REASONS]
    return page(
        "Why an endpoint got an event, or did not",
        "tidings/rules/wants.py",
        "For each of the tenant's endpoints that did not get an event, `GET /v1/events/{id}` shows the reason.",
        "Routing and replays use the same list, but a replay also sends events whose reason is `earlier`.",
        "",
        table(("reason", "explanation", "sent anyway"), rows),
    )


def schemes_page() -> str:
    """Every signature scheme: what it checks, where that is known from, a sample."""
    return page("Signature schemes", "tidings/rules/schemes/named/", *scheme_page.lines(table))


def form_fields_page() -> str:
    """Which fields a form can have."""
    return page("Fields of forms", "tidings/rules/forms/fields.py and tools/form_page.py", *form_page.lines(table))


def links_page() -> str:
    """Every member of a link and of a connection."""
    return page("Members of links and connections", "tools/link_page.py", *link_page.lines(table))


def svix_page() -> str:
    """Every operation of the door for those who come from Svix."""
    rows = [
        (f"`{one.method} {one.path}`", f"`{one.name}`", operation_page.scope_of(one), one.summary)
        for one in svix.OPERATIONS
    ]
    return page(
        "Svix's API",
        "tidings/web/svix/table.py",
        "The operations for [Svix's SDKs](../howto/from-svix.md). Each path begins with `/svix/api/v1` or `/api/v1`.",
        "The OpenAPI document is at `/svix/api/v1/openapi.json`; [svix-openapi.json](svix-openapi.json) is a copy.",
        "The body of a refusal is `{code, detail}`; with status 422, `detail` lists the errors, each with its `loc`.",
        "",
        table(("call", "Svix's name", "scope", "what it does"), rows),
    )


def svix_document() -> str:
    """The door's OpenAPI document."""
    return json.dumps(svix_openapi.document(svix.OPERATIONS), indent=1) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "answers.md": answers_page,
    "commands.md": commands_page,
    "errors.md": errors_page,
    "form-fields.md": form_fields_page,
    "lifecycle.md": lifecycle_page,
    "links.md": links_page,
    "llms.txt": llms_page,
    "metrics.md": metrics_page,
    "operations.md": operations_page,
    "outcomes.md": outcomes_page,
    "reasons.md": reasons_page,
    "schemes.md": schemes_page,
    "settings.md": settings_page,
    "svix.md": svix_page,
    "svix-openapi.json": svix_document,
}


def page(title: str, source: str, *lines: str) -> str:
    """A whole page: its title, where it comes from, and its lines."""
    note = f"<!-- Written by `make docs` from {source}. Edit it there. -->"
    return "\n".join([f"# {title}", "", note, "", *lines]).rstrip() + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells may hold anything."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """One cell: line ends and bars would break the table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def literal(value: object) -> str:
    """A value as one writes it; nothing for an empty one."""
    if value in ("", None):
        return ""
    return f"`{json.dumps(value) if isinstance(value, bool) else value}`"


def sentence(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


def differences(wanted: dict[str, str]) -> list[str]:
    """The pages that are missing, stale, or no longer made."""
    present = {path.name: path.read_text() for path in REFERENCE.glob("*")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where pages are not fresh")
    wanted = {name: make() for name, make in PAGES.items()}
    changed = differences(wanted)
    if parser.parse_args().check:
        if changed:
            sys.stderr.write(f"docs/reference is not fresh, run `make docs`: {', '.join(changed)}\n")
        return 1 if changed else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (REFERENCE / name).write_text(wanted[name])
        else:
            (REFERENCE / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
