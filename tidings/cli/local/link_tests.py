"""Runs the tests of links in a file: compares what each link would do with an event with what the test expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from tidings.cli.terminal.sentences import counted
from tidings.config import Config
from tidings.model.calls.connection import Connection
from tidings.model.event import Event
from tidings.model.ids import new_id
from tidings.model.link import EDIT_WORDS, VERBS, AnyLink, CallApi, SendMail
from tidings.model.moment import Clock, SystemClock, from_text
from tidings.rules import filter
from tidings.rules.calls import sending
from tidings.rules.calls.mail import MailTemplate
from tidings.rules.calls.request import CallTemplate
from tidings.rules.declare import connections, links
from tidings.rules.declare.in_file.link_tests import NOTHING
from tidings.rules.edits import EditTemplate, LoopEnds
from tidings.rules.guard import ITEM, MINE, SKIPPED_BY_IF, Guard, names_of
from tidings.rules.mirror.pages import FIRST_NAMES
from tidings.rules.splitting import SplitTemplate
from tidings.rules.template import Scope, TemplateFailed
from tidings.rules.templates.numbers import read
from tidings.rules.wants import Wants

_ABSENT = object()


class Tested(NamedTuple):
    """One test. `differences`: sentences; none if it passed."""

    link: str
    number: int
    name: str
    differences: list[str]


def run(config: Config, clock: Clock | None = None) -> Iterator[Tested]:
    """Run each test of the links of a checked file. Nothing is sent."""
    now = (clock or SystemClock()).now()
    reached = {
        name: Connection(
            id="", name=name, options=each.options, secrets=each.secrets, revision=1, created=now, updated=now
        )
        for name, each in connections.read(config.connections or {}, {}, now).items()
    }
    for declared in links.read({name: (config.links or {})[name] for name in config.tests}):
        link = links.new(declared, 1, new_id("lnk", now), 0, now)
        for number, test in enumerate(config.tests[declared.name], 1):
            event = _event(test.get("event") or {}, declared, now)
            connection = reached.get(getattr(link.what, "via", None) or "")
            try:
                made: list[dict[str, Any]] | str = _made(link, event, connection, test.get("mine") or {})
            except (TemplateFailed, LoopEnds) as wrong:
                made = str(wrong)
            yield Tested(declared.name, number, str(test.get("name", "")), list(_differences(test["expect"], made)))


def _event(given: Mapping[str, Any], declared: links.DeclaredLink, now: int) -> Event:
    kind = declared.events[0]
    return Event(
        id=given.get("id") or new_id("evt", now),
        type=given.get("type") or (kind if not kind.endswith("*") else kind.removesuffix("*") + "test"),
        time=from_text(given["time"]) if "time" in given else now,
        data=json.dumps(given.get("data", {})),
        tenant=given.get("tenant", None if declared.tenant == "*" else declared.tenant),
        subject=given.get("subject"),
        previous=_text(given.get("previous")),
        changed=_text(given.get("changed")),
    )


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _made(link: AnyLink, event: Event, connection: Connection | None, mine: Any) -> list[dict[str, Any]] | str:
    """What the link would make of an event, or why it does nothing."""
    wants = Wants.of(link)
    document = filter.document(event.type, event.subject, event.data, event.previous, event.changed)
    reason = wants.refuses_type(event.tenant, event.type) or wants.filtered(document)
    if reason is not None and not reason.is_sent:
        return wants.explain(reason, event.type, document) or NOTHING
    if Guard(link.what).skips(Scope(event)):
        return SKIPPED_BY_IF
    if link.what.split_by is None:
        return [_acted(link, event, connection, {MINE: mine}, "")]
    found = SplitTemplate(link.what.split_by).fill(Scope(event))
    if not found.texts:
        return found.sentence
    return [_acted(link, event, connection, {MINE: mine, ITEM: read(text)}, text) for text in found.texts]


def _acted(
    link: AnyLink, event: Event, connection: Connection | None, more: dict[str, Any], element: str
) -> dict[str, Any]:
    scope = Scope(event, {**more, **sending.auth_scope(connection)})
    what = link.what
    if isinstance(what, SendMail):
        mail = MailTemplate(what, names=names_of(what)).fill(scope)
        to = mail.to[0] if len(mail.to) == 1 else list(mail.to)
        return {"to": to, "subject": mail.subject, "text": mail.text, "html": mail.html}
    if isinstance(what, CallApi):
        return _called(what, scope, "" if connection is None else connection.options.base)
    edit = EditTemplate(link).fill(event, scope, element)
    return {edit.word: True if edit.is_made else edit.item, "data": json.loads(edit.values)}


def _called(what: CallApi, scope: Scope, base: str) -> dict[str, Any]:
    names = names_of(what) if what.emit is None else FIRST_NAMES
    request = CallTemplate(what, base, names=(*names, MINE)).fill(scope)
    url, _, query = request.url.removeprefix(base).partition("?")
    body: Any = request.body.decode()
    if what.form == "json":
        body = json.loads(body)
    elif what.form == "form":
        body = _fields(body)
    found: dict[str, Any] = {request.method.lower(): url if what.query else request.url.removeprefix(base)}
    found |= {"query": _fields(query), "headers": {name.lower(): value for name, value in request.headers}}
    return found | ({what.form: body} if what.form is not None else {})


def _fields(encoded: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in found.items()}


def _differences(expected: Any, made: list[dict[str, Any]] | str) -> Iterator[str]:
    if isinstance(made, str):
        if expected != NOTHING or made.startswith("The template"):
            yield f"it does nothing: {made}"
        return
    if expected == NOTHING:
        yield f"it acts, but nothing was expected: {_short(made[0])}"
        return
    several = expected if type(expected) is list else [expected]
    if len(several) != len(made):
        yield f"expected {counted(len(several), 'delivery', 'deliveries')}, but it makes {len(made)}"
        return
    for number, (want, have) in enumerate(zip(several, made, strict=True), 1):
        where = f"of delivery {number}, " if len(made) > 1 else ""
        for name, value in want.items():
            if name == "headers":
                value = {key.lower(): each for key, each in value.items()}
                have = have | {name: {key: each for key, each in have.get(name, {}).items() if key in value}}
            other = next((verb for verb in (*VERBS, *EDIT_WORDS) if verb in have), name)
            if name not in have and name in (*VERBS, *EDIT_WORDS):
                yield f"{where}expected {name} {_short(value)}, but it is {other} {_short(have.get(other, _ABSENT))}"
            else:
                yield from _differs(have.get(name, _ABSENT), _as_sent(name, value), f"{where}{name}")


def _as_sent(name: str, value: Any) -> Any:
    """Parameters are sent as strings."""
    if name not in ("query", "form") or type(value) is not dict:
        return value
    return {key: each if type(each) in (str, list) else json.dumps(each) for key, each in value.items()}


def _differs(have: Any, want: Any, place: str) -> Iterator[str]:
    if type(have) is dict and type(want) is dict:
        for name in dict.fromkeys((*want, *have)):
            yield from _differs(have.get(name, _ABSENT), want.get(name, _ABSENT), f"{place}.{name}")
    elif type(have) is list and type(want) is list and len(have) == len(want):
        for index, (one, other) in enumerate(zip(have, want, strict=True)):
            yield from _differs(one, other, f"{place}.{index}")
    elif want is _ABSENT:
        yield f"{place}: {_short(have)} was not expected"
    elif have is not want and (have != want or type(have) is bool or type(want) is bool):
        yield f"{place}: expected {_short(want)}, but it is {_short(have)}"


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "missing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."
