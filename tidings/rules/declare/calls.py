"""The part `call` of a link's declaration: one HTTP request, read into its parts and written back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.link import BODY_FORMS, IN_DOUBTS, VERBS, BodyForm, CallApi, EmitRule, Pacing, Verb
from tidings.rules.calls.authentication import check_header_name
from tidings.rules.calls.request import CallTemplate
from tidings.rules.calls.signing import plain_sign, read_sign
from tidings.rules.declare.pacing import read_timeout, refusing
from tidings.rules.mirror import pages as mirror_pages
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import escaped
from tidings.rules.template import SCOPE

PARTS = ("via", *VERBS, "query", "headers", *BODY_FORMS, "ok", "in_doubt", "give_up_on", "timeout_seconds", "sign")
OF_EMIT = ("pages", "gone", "empty")
"""The members that only a call of a link with `emit` can have."""


def read_call(
    given: Any, pointer: str, wrong: Places, emit: EmitRule | None = None, names: Sequence[str] = SCOPE
) -> CallApi | None:
    """The call. `pointer`: that of the link. Its connection is looked up later.

    `emit`: what its responses emit; `names`: what its templates see without that.
    """
    at = f"{pointer}/call"
    before = len(wrong.found)
    call = wrong.members(given, at, (*PARTS, *OF_EMIT), "`call`")
    verbs: list[Verb] = [verb for verb in VERBS if call.get(verb) is not None]
    forms: list[BodyForm] = [form for form in BODY_FORMS if form in call]
    if len(verbs) != 1:
        wrong.say(at, "incomplete", f"`call` needs exactly one of {', '.join(VERBS)}, with a path or a URL.")
        return None
    if len(forms) > 1:
        wrong.say(f"{at}/{forms[1]}", "contradiction", f"A call can have only one body: {forms[0]} or {forms[1]}.")
    if forms and verbs[0] in ("get", "head"):
        wrong.say(f"{at}/{forms[0]}", "contradiction", f"`{verbs[0]}` takes no body.")
    via, path = call.get("via"), call[verbs[0]]
    if via is not None and type(via) is not str:
        wrong.say(f"{at}/via", "wrong_type", f"`via` must be the name of a connection, not {shown(via)}.")
    found = CallApi(
        via=via,
        verb=verbs[0],
        path=path if type(path) is str else "",
        query=_object(call, "query", at, wrong),
        headers=_headers(call, at, wrong),
        form=forms[0] if forms else None,
        content=call[forms[0]] if forms else None,
        ok=call.get("ok"),
        in_doubt=_in_doubt(call.get("in_doubt"), f"{at}/in_doubt", wrong),
        call_timeout_seconds=read_timeout(call, at, wrong),
        pages=call.get("pages") if mirror_pages.check(call.get("pages", {}), f"{at}/pages", wrong) else None,
        gone=_statuses(call.get("gone"), f"{at}/gone", "gone", 400, wrong),
        empty=_statuses(call.get("empty"), f"{at}/empty", "empty", 200, wrong),
        emit=emit,
    )
    for name in OF_EMIT if emit is None else ():
        if call.get(name) is not None:
            wrong.say(f"{at}/{name}", "contradiction", f"`{name}` requires `emit`, which reads the response.")
    _check_types(found, call, at, wrong)
    found = _signed(found, call, at, wrong)
    if len(wrong.found) > before:
        return None
    names = names if emit is None else mirror_pages.FIRST_NAMES
    refusing(lambda: CallTemplate(found, "https://example.com", at, names), wrong)
    if found.pages is not None:
        refusing(lambda: mirror_pages.Pages(found, "https://example.com", at), wrong)
    return found


def _signed(found: CallApi, call: dict[str, Any], at: str, wrong: Places) -> CallApi:
    """The call with the rule by which its requests are signed."""
    if call.get("sign") is None:
        return found
    if found.emit is not None:
        wrong.say(
            f"{at}/sign",
            "contradiction",
            "A call with `emit` only reads, so there is nothing to sign. Leave `sign` out.",
        )
    signed = read_sign(call["sign"], f"{at}/sign", wrong)
    return found if signed is None else msgspec.structs.replace(found, sign=signed[0], sealed=signed[1])


def _check_types(found: CallApi, call: dict[str, Any], at: str, wrong: Places) -> None:
    """Report parts that are of the wrong type."""
    path, form, content = call[found.verb], found.form, found.content
    if type(path) is not str:
        wrong.say(f"{at}/{found.verb}", "wrong_type", f"`{found.verb}` must be a path or a URL, not {shown(path)}.")
    for name, value in (("ok", found.ok), *(((form, content),) if form in ("xml", "text") else ())):
        if value is not None and type(value) is not str:
            wrong.say(f"{at}/{name}", "wrong_type", f"`{name}` must be a string, not {shown(value)}.")
    if form == "form" and type(content) is not dict:
        wrong.say(f"{at}/form", "wrong_type", f"`form` must be an object of parameters, not {shown(content)}.")


def plain_call(what: CallApi, pacing: Pacing) -> dict[str, Any]:
    """The call in its canonical form, without defaults."""
    found: dict[str, Any] = {} if what.via is None else {"via": what.via}
    found[what.verb] = what.path
    if what.query:
        found["query"] = what.query
    if what.headers:
        found["headers"] = what.headers
    if what.form is not None:
        found[what.form] = what.content
    rest = {"ok": what.ok, "in_doubt": what.in_doubt, "timeout_seconds": what.call_timeout_seconds}
    found |= {name: value for name, value in rest.items() if value is not None}
    if what.pages is not None:
        found["pages"] = what.pages
    for name, statuses in (("gone", what.gone), ("empty", what.empty)):
        if statuses:
            found[name] = list(statuses)
    if what.sign is not None:
        found["sign"] = plain_sign(what.sign, what.sealed)
    if pacing.give_up_on:
        found["give_up_on"] = list(pacing.give_up_on)
    return found


def _object(call: dict[str, Any], name: str, at: str, wrong: Places) -> dict[str, Any]:
    value = call.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        wrong.say(f"{at}/{name}", "wrong_type", f"`{name}` must be an object, not {shown(value)}.")
        return {}
    return value


def _headers(call: dict[str, Any], at: str, wrong: Places) -> dict[str, str]:
    found = _object(call, "headers", at, wrong)
    for name, value in found.items():
        here = f"{at}/headers/{escaped(name)}"
        check_header_name(name, here, wrong)
        if type(value) is not str:
            wrong.say(here, "wrong_type", f"A header's value must be a string, not {shown(value)}.")
    return found


def _statuses(value: Any, pointer: str, name: str, low: int, wrong: Places) -> tuple[int, ...]:
    if value is None:
        return ()
    if (
        type(value) is not list
        or not 1 <= len(value) <= 10
        or not all(type(n) is int and low <= n < 500 and not 300 <= n < 400 for n in value)
    ):
        which = "from 400 to 499, such as [404, 410]" if low >= 400 else "2xx and 4xx, such as [204]"
        wrong.say(pointer, "wrong_type", f"`{name}` must be a list of statuses {which}.")
        return ()
    return tuple(value)


def _in_doubt(value: Any, pointer: str, wrong: Places) -> Any:
    if value is not None and value not in IN_DOUBTS:
        wrong.say(pointer, "not_in_enum", f"`in_doubt` must be {' or '.join(IN_DOUBTS)}.")
    return value
